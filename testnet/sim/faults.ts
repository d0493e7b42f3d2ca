import type { MemoryHub } from '../../src/simulation.ts'
import type { Links } from './links.ts'
import type { Fault } from './plan-faults.ts'
import type { SimPeer } from './sim-peer.ts'
import type { Trace } from './trace.ts'
import type { World } from './world.ts'

export interface FaultsComponents {
  world: World
  hub: MemoryHub
  links: Links
  trace: Trace
  /** By their numbers. */
  peers: readonly SimPeer[]
}

/** The Ack may be on its way already; what was said to be written is. */
const AT_ONCE_MS = 1

/** Whom a peer could not reach it comes back to by then. */
const CABLES_MS = 60_000
const cableFaults: ReadonlySet<Fault['kind']> = new Set(['partition', 'flap', 'loss', 'delay'])

type Of<K extends Fault['kind']> = Extract<Fault, { kind: K }>

/** Does to the network what the plan says. */
export class Faults {
  readonly #components: FaultsComponents
  /** What happens to the next ones that have given a client the end of its answer. */
  readonly #doomed = new Set<(peer: SimPeer) => void>()
  #cablesBadUntil = Number.NEGATIVE_INFINITY
  /** And to those that begin one. */
  readonly #ambushes = new Set<(provider: SimPeer) => void>()

  constructor(components: FaultsComponents) {
    this.#components = components
  }

  plan(faults: readonly Fault[]): void {
    const { world, trace } = this.#components
    for (const fault of faults) {
      world.after(fault.at - world.now, () => {
        trace.event(`fault begins: ${told(fault)}`)
        const end = this.#begin(fault)
        const isOfCables = cableFaults.has(fault.kind)
        if (isOfCables) this.#cablesBadUntil = Math.max(this.#cablesBadUntil, world.now + fault.ms)
        world.after(fault.ms, () => {
          trace.event(`fault ends: ${fault.kind}`)
          end()
        })
      })
    }
  }

  /** Whether messages are held up somewhere, or were a moment ago. */
  get areCablesBad(): boolean {
    return this.#components.world.now < this.#cablesBadUntil + CABLES_MS
  }

  /** A client at that peer has the end of its answer. */
  answered(peer: SimPeer): void {
    takeOne(this.#doomed)?.(peer)
  }

  /** That peer begins an answer. */
  begun(provider: SimPeer): void {
    takeOne(this.#ambushes)?.(provider)
  }

  /** Returns how to end it. */
  #begin(fault: Fault): () => void {
    switch (fault.kind) {
      case 'kill':
      case 'unplug':
      case 'leave':
        return this.#takeAway(fault)
      case 'unplug-at-end':
        return this.#doom()
      case 'at-work':
        return this.#ambush(fault)
      case 'freeze':
        return this.#toEach(fault, (peer) => {
          peer.freeze()
          return () => peer.thaw()
        })
      case 'partition':
        return this.#part(fault)
      case 'flap':
        return this.#flap(fault)
      case 'loss':
        return this.#components.links.lose(fault.share)
      case 'delay':
        return this.#components.links.delay(this.#peersOf(fault), fault.extraMs)
      case 'clock':
        return this.#toEach(fault, (peer) => {
          peer.setClock(fault.skewMs)
          return () => peer.setClock(peer.plan.skewMs)
        })
      case 'slow-disk':
        return this.#toEach(fault, ({ disk, plan }) => {
          disk.syncMs = fault.syncMs
          return () => {
            disk.syncMs = plan.syncMs
          }
        })
      case 'broken-engine':
        return this.#toEach(fault, ({ life }) => {
          if (life === undefined) return () => {}
          life.engine.isBroken = true
          return () => {
            life.engine.isBroken = false
          }
        })
    }
  }

  #takeAway(fault: Of<'kill' | 'unplug' | 'leave'>): () => void {
    const peers = this.#peersOf(fault).filter(({ state }) => state !== 'down')
    for (const peer of peers) {
      if (fault.kind === 'leave') void peer.leave()
      else void peer.end({ isMachine: fault.kind === 'unplug' })
    }
    return () => {
      if (!fault.isForGood) for (const peer of peers) void comeBack(peer, this.#components.world)
    }
  }

  #doom(): () => void {
    const { world } = this.#components
    let end = () => {}
    const doom = (peer: SimPeer) => {
      world.after(AT_ONCE_MS, () => void peer.end({ isMachine: true }))
      end = () => void comeBack(peer, world)
    }
    this.#doomed.add(doom)
    return () => {
      this.#doomed.delete(doom)
      end()
    }
  }

  #ambush({ how, afterMs }: Of<'at-work'>): () => void {
    const { world } = this.#components
    let end = () => {}
    const ambush = (provider: SimPeer) => {
      const cancel = world.after(afterMs, () => {
        if (how === 'freeze') provider.freeze()
        else void provider.end({ isMachine: how === 'unplug' })
        end = () => {
          if (how === 'freeze') provider.thaw()
          else void comeBack(provider, world)
        }
      })
      end = cancel
    }
    this.#ambushes.add(ambush)
    return () => {
      this.#ambushes.delete(ambush)
      end()
    }
  }

  #part(fault: Of<'partition'>): () => void {
    const side = new Set(this.#peersOf(fault).map(({ peerId }) => peerId))
    return this.#components.hub.silence((from, to) => {
      if (side.has(from) === side.has(to)) return false
      return !fault.isOneWay || side.has(from)
    })
  }

  #flap(fault: Of<'flap'>): () => void {
    const { hub, world } = this.#components
    const [peer] = this.#peersOf(fault)
    if (peer === undefined) return () => {}
    const isOff = (from: string, to: string) => from === peer.peerId || to === peer.peerId
    let putBack: (() => void) | undefined
    let cancel = () => {}
    const turn = () => {
      if (putBack === undefined) putBack = hub.silence(isOff)
      else {
        putBack()
        putBack = undefined
      }
      cancel = world.after(fault.everyMs, turn)
    }
    turn()
    return () => {
      cancel()
      putBack?.()
    }
  }

  #toEach(fault: { peers: readonly number[] }, begin: (peer: SimPeer) => () => void): () => void {
    const ends = this.#peersOf(fault).map(begin)
    return () => {
      for (const end of ends) end()
    }
  }

  #peersOf({ peers }: { peers: readonly number[] }): SimPeer[] {
    return peers.flatMap((number) => this.#components.peers[number] ?? [])
  }
}

/** The one that waits for longest. */
function takeOne<T>(waiting: Set<T>): T | undefined {
  const [first] = waiting
  if (first !== undefined) waiting.delete(first)
  return first
}

const LOOK_AGAIN_MS = 1_000

/** One that is still leaving starts again once it has left. */
async function comeBack(peer: SimPeer, world: World): Promise<void> {
  if (peer.state === 'leaving') world.after(LOOK_AGAIN_MS, () => void comeBack(peer, world))
  else await peer.start()
}

const told = (fault: Fault): string => {
  const { at: _, ...rest } = fault
  const peers =
    'peers' in rest && rest.peers.length > 8 ? [...rest.peers.slice(0, 8), '…'] : undefined
  return JSON.stringify(peers === undefined ? rest : { ...rest, peers })
}
