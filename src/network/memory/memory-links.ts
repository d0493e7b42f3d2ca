import type { Clock } from '../../base/clock.ts'
import { PeerError } from '../../base/errors.ts'
import type { ConnectionEvent } from '../network.ts'
import type { MemoryNetwork } from './memory-network.ts'
import type { MemoryStream } from './memory-stream.ts'

/** One side of a connection. */
export interface Side {
  /** Both sides have the same. */
  readonly connection: object
  readonly other: MemoryNetwork
  readonly streams: Set<MemoryStream>
  readonly dialled: boolean
  usedAt: number
  /** When the other side last pinged this one. */
  pingedAt?: number
}

export interface MemoryLinksComponents {
  clock: Clock
  tell(event: ConnectionEvent): void
  /** Tells the other side, when it can be, that this connection is closed. */
  hangUp(peerId: string, connection: object): void
}

/** The connections of one peer, as it sees them. */
export class MemoryLinks {
  readonly #components: MemoryLinksComponents
  readonly #sides = new Map<string, Side>()

  constructor(components: MemoryLinksComponents) {
    this.#components = components
  }

  get size(): number {
    return this.#sides.size
  }

  /** Connections that this peer has dialled. */
  get dialled(): number {
    return [...this.#sides.values()].filter(({ dialled }) => dialled).length
  }

  peers(): string[] {
    return [...this.#sides.keys()]
  }

  get(peerId: string): Side | undefined {
    return this.#sides.get(peerId)
  }

  /** From here on there is this connection, whatever was before it. */
  opened(other: MemoryNetwork, how: Pick<Side, 'connection' | 'dialled'>): void {
    const { clock, tell } = this.#components
    const { peerId } = other
    this.closed(peerId)
    const usedAt = clock.elapsed()
    this.#sides.set(peerId, { ...how, other, streams: new Set(), usedAt })
    tell({ peerId, connected: true })
  }

  /** With a connection: that one and no later one. */
  closed(peerId: string, connection?: object): void {
    const side = this.#sides.get(peerId)
    if (side === undefined || (connection ?? side.connection) !== side.connection) return
    this.#sides.delete(peerId)
    const error = new PeerError('connection_lost', `The connection to ${peerId} is gone.`)
    for (const stream of side.streams) stream.fail(error)
    this.#components.tell({ peerId, connected: false })
  }

  pinged(peerId: string): void {
    const side = this.#sides.get(peerId)
    if (side !== undefined) side.pingedAt = this.#components.clock.elapsed()
  }

  /** It is closed here, and the other side hears of that when it can. */
  giveUp(peerId: string): void {
    const side = this.#sides.get(peerId)
    if (side === undefined) return
    this.closed(peerId)
    this.#components.hangUp(peerId, side.connection)
  }

  /** The process of this side ends, and hears nothing of that. */
  vanish({ isTold }: { isTold: boolean }): void {
    for (const [peerId, { streams, connection }] of this.#sides) {
      for (const stream of streams) stream.vanish()
      if (isTold) this.#components.hangUp(peerId, connection)
    }
    this.#sides.clear()
  }

  used(side: Side): void {
    side.usedAt = this.#components.clock.elapsed()
  }

  /** The one that was not used for longest goes, if nobody needs it. */
  makeRoom(kept: ReadonlySet<string>, idleMs: number): void {
    const now = this.#components.clock.elapsed()
    let idlest: [peerId: string, usedAt: number] | undefined
    for (const [peerId, { streams, usedAt }] of this.#sides) {
      if (streams.size > 0 || kept.has(peerId) || now - usedAt < idleMs) continue
      if (idlest === undefined || usedAt < idlest[1]) idlest = [peerId, usedAt]
    }
    if (idlest !== undefined) this.giveUp(idlest[0])
  }

  openStreams(): MemoryStream[] {
    return [...this.#sides.values()].flatMap(({ streams }) => [...streams])
  }
}
