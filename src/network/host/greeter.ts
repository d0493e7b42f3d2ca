import type { Connection } from '@libp2p/interface'
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Metrics } from '../../base/metrics.ts'
import type { HostNode } from './libp2p-node.ts'
import { connectionLimits } from './limits.ts'

/**
 * Asks on each new connection who is there, and closes those that don't answer in this network's
 * identify protocol: peers of other networks, strangers, and sockets that only sit there.
 */
export class Greeter {
  readonly #node: HostNode
  readonly #logger: Logger
  readonly #closed

  constructor(components: { node: HostNode; logger: Logger; metrics: Metrics }) {
    this.#node = components.node
    this.#logger = components.logger
    this.#closed = components.metrics.counter(
      'pinaivu_network_refused_connections_total',
      'Connections that were closed right after they opened.',
      ['reason'],
    )
    this.#node.addEventListener('connection:open', (event) => void this.#greet(event.detail))
  }

  async #greet(connection: Connection): Promise<void> {
    const { remotePeer } = connection
    if (this.#node.getConnections(remotePeer).length > connectionLimits.connectionsPerPeerMax) {
      this.#refuse(connection, 'too_many_of_one_peer', undefined)
      return
    }
    try {
      const signal = AbortSignal.timeout(connectionLimits.identifyMs)
      await this.#node.services.identify.identify(connection, { signal })
    } catch (error) {
      // The one who closed it knows why, and whoever waits for it is told.
      if (connection.status === 'open') this.#refuse(connection, 'not_of_this_network', error)
    }
  }

  #refuse(connection: Connection, reason: string, cause: unknown): void {
    this.#closed.add(1, { reason })
    const data = {
      reason,
      address: connection.remoteAddr.toString(),
      error: cause === undefined ? undefined : messageOf(cause),
    }
    // Strangers come and go; one that this peer dialled itself was meant to be ours.
    if (connection.direction === 'inbound') this.#logger.debug('closed a connection', data)
    else this.#logger.warn('closed a connection; check --network and --bootstrap', data)
    connection.abort(new Error(reason))
  }
}
