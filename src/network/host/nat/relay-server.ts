import { AsyncLocalStorage } from 'node:async_hooks'
import { type CircuitRelayService, circuitRelayServer } from '@libp2p/circuit-relay-v2'
import type { Connection, PeerId, Stream } from '@libp2p/interface'
import type { Metrics } from '../../../base/metrics.ts'
import { Underway } from '../../../base/underway.ts'
import { facade } from './facade.ts'
import { relayLimits as limits } from './nat-limits.ts'
import { type OwnName, ownProtocols } from './own-protocols.ts'

type Components = Parameters<ReturnType<typeof circuitRelayServer>>[0]

/** Two peers that this one relays between. */
export interface Relayed {
  from: string
  to: string
}

/**
 * The role relay: libp2p's own, which counts no circuits, and holds all that a fast peer sends to a
 * slow one.
 */
export class RelayServer {
  readonly circuits = new Underway<Relayed>()
  readonly #asked = new AsyncLocalStorage<{ stream: Stream; from: string }>()
  readonly #name: OwnName
  readonly #gauge
  #service: CircuitRelayService | undefined

  constructor(name: OwnName, metrics: Metrics) {
    this.#name = name
    this.#gauge = metrics.gauge(
      'pinaivu_relay_circuits',
      'Connections between other peers that go through this one.',
    )
  }

  readonly service = (original: Components): CircuitRelayService => {
    const components = ownProtocols(original, this.#name)
    const { registrar, connectionManager, events } = components as Components & HasEvents
    const service = circuitRelayServer({
      hopTimeout: limits.hopMs,
      maxInboundHopStreams: limits.circuitsPerPeerMax,
      maxOutboundStopStreams: limits.circuitsPerPeerMax,
      reservations: {
        maxReservations: limits.reservationsMax,
        reservationTtl: limits.reservationMs,
        defaultDurationLimit: limits.circuitMs,
        defaultDataLimit: BigInt(limits.circuitBytesMax),
      },
    })(
      facade<Components>(components, {
        registrar: facade(registrar, {
          handle: (protocol, handler, options) =>
            registrar.handle(
              protocol,
              (stream, connection) =>
                this.#asked.run({ stream, from: connection.remotePeer.toString() }, () =>
                  handler(stream, connection),
                ),
              options,
            ),
        }),
        connectionManager: facade(connectionManager, {
          getConnections: (peer) =>
            connectionManager.getConnections(peer).map((connection) => this.#watched(connection)),
        }),
      }),
    )
    // A seat is for a peer that is there: else whoever takes one after the other has them all.
    events.addEventListener('peer:disconnect', ({ detail }) => service.reservations.delete(detail))
    this.#service = service
    return service
  }

  /** Where each of those is who have a seat here. */
  seats(): { peer: PeerId; address: string }[] {
    const all = this.#service?.reservations.entries() ?? []
    return [...all].map(([peer, { addr }]) => ({ peer, address: addr.toString() }))
  }

  has(peerId: string): boolean {
    return this.seats().some(({ peer }) => peer.toString() === peerId)
  }

  /** The same connection, on which libp2p opens the other half of a circuit. */
  #watched(connection: Connection): Connection {
    return facade(connection, {
      newStream: async (protocol, options) => {
        const asked = this.#asked.getStore()
        const stream = await connection.newStream(protocol, options)
        if (asked !== undefined) {
          const to = connection.remotePeer.toString()
          this.#join(asked.stream, stream, { from: asked.from, to })
        }
        return stream
      },
    })
  }

  #join(one: Stream, other: Stream, relayed: Relayed): void {
    const remove = this.circuits.add(relayed)
    const leave = () => {
      remove()
      this.#gauge.set(this.circuits.size)
    }
    this.#gauge.set(this.circuits.size)
    one.addEventListener('close', leave)
    other.addEventListener('close', leave)
    pace(one, other)
    pace(other, one)
  }
}

interface HasEvents {
  events: {
    addEventListener(type: 'peer:disconnect', listener: (event: CustomEvent<PeerId>) => void): void
  }
}

/** Has `from` wait while more of its bytes than a little have not gone on to `to`. */
function pace(from: Stream, to: Stream): void {
  const send = to.send.bind(to)
  let held = 0
  let isWaiting = false
  const waitIfFull = () => {
    isWaiting = held > limits.heldBytesMax && from.status === 'open'
    if (isWaiting) from.pause()
  }
  from.addEventListener('message', ({ data }) => {
    held += data.byteLength
    if (!isWaiting) waitIfFull()
  })
  to.send = (data) => {
    held -= data.byteLength
    const hasRoom = send(data)
    if (isWaiting && held <= limits.heldBytesMax / 2) {
      isWaiting = false
      if (from.status === 'open') from.resume()
      // What was read meanwhile has been told of by now, and a pause within that is lost.
      waitIfFull()
    }
    return hasRoom
  }
}
