import type { Connection } from '@libp2p/interface'
import type { Clock } from '../../../base/clock.ts'
import { within } from '../../../base/deadline.ts'
import { messageOf } from '../../../base/errors.ts'
import type { Logger } from '../../../base/logger.ts'
import type { HostNode } from '../libp2p-node.ts'
import { connectionLimits } from '../limits.ts'
import { natLimits, seatLimits } from './nat-limits.ts'

export interface CircuitChangeComponents {
  node: Pick<HostNode, 'dial'>
  clock: Clock
  logger: Logger
  /** Resolves once the other side is known to be a peer of this network. */
  welcomed(connection: Connection): Promise<void>
  leave(connection: Connection): void
}

/** What a relay allows is used up at some time: before that, new streams go over another circuit. */
export class CircuitChange {
  readonly #components: CircuitChangeComponents
  /** As it was granted, from when the connection was looked at first. */
  readonly #granted = new WeakMap<Connection, Granted>()
  readonly #replaced = new WeakSet<Connection>()

  constructor(components: CircuitChangeComponents) {
    this.#components = components
  }

  /** Of the connections with one peer the direct one, or the circuit with the most left. */
  bestOf(connections: Iterable<Connection>): Connection | undefined {
    let best: Connection | undefined
    let most = Number.NEGATIVE_INFINITY
    for (const connection of connections) {
      if (connection.status !== 'open') continue
      const left = this.#left(connection)
      if (left <= most) continue
      best = connection
      most = left
    }
    if (best !== undefined && most < seatLimits.renewAt) this.#replace(best)
    return best
  }

  /** Where there is a direct connection, circuits are not used any more. */
  came(connection: Connection, connections: Iterable<Connection>): void {
    if (connection.limits !== undefined) return
    for (const each of connections) if (each.limits !== undefined) this.#retire(each)
  }

  /** Closes it when what runs on it has ended. */
  #retire(connection: Connection): void {
    this.#replaced.add(connection)
    this.#components.leave(connection)
    const look = () => {
      if (connection.status !== 'open') return
      if (connection.streams.length > 0) {
        this.#components.clock.after(natLimits.retireLookMs, look)
        return
      }
      connection.close().catch((error: unknown) => connection.abort(error as Error))
    }
    look()
  }

  /** Of what was granted, the share that is left; a direct connection has more than any circuit. */
  #left(connection: Connection): number {
    const { limits } = connection
    if (limits === undefined) return Number.POSITIVE_INFINITY
    const { bytes, seconds } = limits
    const granted = this.#granted.get(connection) ?? { bytes, seconds }
    this.#granted.set(connection, granted)
    return Math.min(share(bytes, granted.bytes), share(seconds, granted.seconds))
  }

  /** Only whoever has dialled it knows by which way. */
  #replace(spent: Connection): void {
    if (spent.direction !== 'outbound' || this.#replaced.has(spent)) return
    this.#replaced.add(spent)
    const { node, clock, logger, welcomed } = this.#components
    const { signal } = new AbortController()
    const limit = { ms: connectionLimits.dialMs, what: 'Another circuit', signal }
    within(clock, limit, async (signal) => {
      await welcomed(await node.dial(spent.remoteAddr, { signal, force: true }))
      this.#retire(spent)
    }).catch((error: unknown) => {
      logger.debug('a circuit is not replaced', { error: messageOf(error) })
    })
  }
}

interface Granted {
  bytes: bigint | undefined
  seconds: number | undefined
}

function share(left: bigint | number | undefined, of: bigint | number | undefined): number {
  if (left === undefined || of === undefined) return 1
  return Number(left) / Math.max(1, Number(of))
}
