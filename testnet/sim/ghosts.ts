import type { Links } from './links.ts'
import type { SimPeer } from './sim-peer.ts'
import type { Verdicts } from './verdicts.ts'
import type { World } from './world.ts'

/** What a peer said before its end may be on its way for so long. */
const WORD_MS = 5_000
/** By then everybody has found out by itself that a peer is gone. */
const GONE_MS = 90_000

interface GhostsComponents {
  world: World
  links: Links
  verdicts: Verdicts
}

/** Follows whom each peer lists: only those that are there. */
export class Ghosts {
  readonly #components: GhostsComponents
  /** Who lists, in this life of it → whom. */
  readonly #listed = new Map<SimPeer, Set<string>>()

  constructor(components: GhostsComponents) {
    this.#components = components
  }

  listed(by: SimPeer, peerId: string, isListed: boolean): void {
    if (by.isHostile) return
    const list = this.#listed.get(by) ?? new Set()
    this.#listed.set(by, list)
    if (!isListed) {
      list.delete(peerId)
      return
    }
    list.add(peerId)
    const { verdicts } = this.#components
    verdicts.expect(
      !this.#isGone(peerId, WORD_MS),
      'nobody sees a ghost',
      () => `${by} lists ${this.#nameOf(peerId)}, which is not there`,
    )
  }

  /** Its process has ended, and its list with it. */
  forget(by: SimPeer): void {
    this.#listed.delete(by)
  }

  /** When all has been calm for long. */
  atRest(verdicts: Verdicts): void {
    for (const [by, list] of this.#listed) {
      if (by.state !== 'up') continue
      const ghosts = [...list].filter((peerId) => this.#isGone(peerId, GONE_MS))
      verdicts.expect(
        ghosts.length === 0,
        'nobody sees a ghost',
        () => `${by} still lists ${ghosts.map((peerId) => this.#nameOf(peerId)).join(', ')}`,
      )
    }
  }

  #isGone(peerId: string, ms: number): boolean {
    const { world, links } = this.#components
    const peer = links.peer(peerId)
    return peer === undefined || (peer.state === 'down' && world.now - peer.changedAt > ms)
  }

  #nameOf(peerId: string): string {
    return `${this.#components.links.peer(peerId) ?? peerId}`
  }
}
