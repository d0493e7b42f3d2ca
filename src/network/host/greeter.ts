import type { Connection } from '@libp2p/interface'
import { messageOf, PeerError } from '../../base/errors.ts'
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
  readonly #refused
  readonly #greetings = new WeakMap<Connection, Promise<PeerError | undefined>>()

  readonly #onWelcome: (connection: Connection) => void

  /** @param onWelcome called for each connection to a peer of this network, before `welcomed` resolves */
  constructor(
    components: { node: HostNode; logger: Logger; metrics: Metrics },
    onWelcome: (connection: Connection) => void,
  ) {
    this.#node = components.node
    this.#logger = components.logger
    this.#onWelcome = onWelcome
    this.#refused = components.metrics.counter(
      'pinaivu_network_refused_connections_total',
      'Connections that were closed right after they opened.',
      ['reason'],
    )
    this.#node.addEventListener('connection:open', ({ detail: connection }) => {
      void this.#greeting(connection)
    })
  }

  /** Resolves once the other side is known to be a peer of this network; throws when it is none. */
  async welcomed(connection: Connection): Promise<void> {
    const refusal = await this.#greeting(connection)
    if (refusal !== undefined) throw refusal
  }

  #greeting(connection: Connection): Promise<PeerError | undefined> {
    let greeting = this.#greetings.get(connection)
    if (greeting === undefined) {
      greeting = this.#greet(connection)
      this.#greetings.set(connection, greeting)
    }
    return greeting
  }

  async #greet(connection: Connection): Promise<PeerError | undefined> {
    const { remotePeer } = connection
    const isCircuit = connection.limits !== undefined
    const alike = this.#node
      .getConnections(remotePeer)
      .filter(({ limits }) => (limits !== undefined) === isCircuit)
    if (alike.length > connectionLimits.connectionsPerPeerMax) {
      return this.#refuse(connection, 'too_many_connections', 'It has other connections to us.')
    }
    try {
      // Within `connectionLimits.identifyMs`, which the service was made with.
      await this.#node.services.identify.identify(connection)
      if (connection.status !== 'open') {
        return new PeerError('connection_lost', 'That peer has closed the connection.')
      }
      this.#onWelcome(connection)
      return undefined
    } catch (cause) {
      return this.#refuse(
        connection,
        'not_of_this_network',
        'That peer does not speak the protocols of this network: is --network the same there?',
        cause,
      )
    }
  }

  #refuse(connection: Connection, code: string, message: string, cause?: unknown): PeerError {
    // No action: it is let go here, and a peer of another network did nothing that deserves a ban.
    const refusal = new PeerError(code, message, { cause })
    // One that was closed from the other side meanwhile is none that we refused.
    if (connection.status === 'open') {
      this.#refused.add(1, { reason: code })
      this.#logger.debug('connection refused', {
        reason: code,
        address: connection.remoteAddr.toString(),
        error: cause === undefined ? undefined : messageOf(cause),
      })
      connection.abort(refusal)
    }
    return refusal
  }
}
