import type { Dice } from './dice.ts'
import type { SimPeer } from './sim-peer.ts'

/** A lost packet is sent again after this, and after twice as long the next time. */
const RESEND_MS = 200
const RESENDS_MAX = 5
const JITTER_MS = 5

/** How long messages are on their way. */
export class Links {
  readonly #dice: Dice
  readonly #peers = new Map<string, SimPeer>()
  readonly #extraMs = new Map<SimPeer, number>()
  #loss = 0

  constructor(dice: Dice) {
    this.#dice = dice
  }

  add(peer: SimPeer): void {
    this.#peers.set(peer.peerId, peer)
  }

  peer(peerId: string): SimPeer | undefined {
    return this.#peers.get(peerId)
  }

  /** Returns how to end it. */
  lose(share: number): () => void {
    this.#loss += share
    return () => {
      this.#loss -= share
    }
  }

  /** Likewise. */
  delay(peers: readonly SimPeer[], ms: number): () => void {
    const add = (each: number) => {
      for (const peer of peers) this.#extraMs.set(peer, (this.#extraMs.get(peer) ?? 0) + each)
    }
    add(ms)
    return () => add(-ms)
  }

  delayMs = (from: string, to: string): number => {
    let ms = this.#msOf(from) + this.#msOf(to) + this.#dice.below(JITTER_MS)
    if (this.#loss <= 0) return ms
    for (let again = 0; again < RESENDS_MAX && this.#dice.chance(this.#loss); again++) {
      ms += RESEND_MS * 2 ** again
    }
    return ms
  }

  #msOf(peerId: string): number {
    const peer = this.#peers.get(peerId)
    return peer === undefined ? 0 : peer.plan.linkMs + (this.#extraMs.get(peer) ?? 0)
  }
}
