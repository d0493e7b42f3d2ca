import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import type { PeerId, Transport } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { PeerError } from '../../../base/errors.ts'
import { facade } from './facade.ts'
import { seatLimits as limits } from './nat-limits.ts'
import { type OwnName, ownProtocols } from './own-protocols.ts'

/** What a peer speaks that relays for others. */
export const HOP_PROTOCOL = '/libp2p/circuit/relay/0.2.0/hop'

type Components = Parameters<ReturnType<typeof circuitRelayTransport>>[0]

/** What libp2p's class has as public and its exported type has not. */
interface Inside extends Transport {
  reservationStore: Reservations
}

interface Reservations extends EventTarget {
  addRelay(peer: PeerId, type: 'configured'): Promise<unknown>
  hasReservation(peer: PeerId): boolean
  cancelReservations(): void
}

type ReservationEvent = CustomEvent<{
  relay: PeerId
  details: { reservation: { addrs: Uint8Array[] } }
}>

/**
 * Circuits through relays: this peer dials others by them, and holds seats at relays by which others
 * dial this one. Which relays, it is told: libp2p would take the first that come along.
 */
export class Circuits {
  readonly #seats = new Map<string, Multiaddr[]>()
  readonly #name: OwnName
  readonly #onChange: () => void
  #reservations: Reservations | undefined

  /** @param onChange called when there is another seat, or one less */
  constructor(name: OwnName, onChange: () => void) {
    this.#name = name
    this.#onChange = onChange
  }

  readonly transport = (original: Components): Transport => {
    const components = ownProtocols(original, this.#name)
    const { registrar } = components
    const transport = circuitRelayTransport({
      reservationCompletionTimeout: limits.reserveMs,
      maxInboundStopStreams: limits.circuitsMax,
      maxOutboundStopStreams: limits.circuitsMax,
      discoveryFilter: everybody,
    })(
      facade<Components>(components, {
        registrar: facade(registrar, {
          // libp2p would take a seat at whoever brings a circuit, be it asked for or not.
          handle: (protocol, handler, options) =>
            registrar.handle(
              protocol,
              (stream, connection) => {
                if (this.has(connection.remotePeer.toString())) return handler(stream, connection)
                stream.abort(new PeerError('no_reservation', 'That peer is not asked to relay.'))
              },
              options,
            ),
        }),
      }),
    ) as Inside
    const { reservationStore } = transport
    reservationStore.addEventListener('relay:created-reservation', (event) => {
      const { relay, details } = (event as ReservationEvent).detail
      const addresses = details.reservation.addrs.map((bytes) => multiaddr(bytes))
      this.#set(relay.toString(), addresses)
    })
    reservationStore.addEventListener('relay:removed', (event) => {
      this.#set((event as ReservationEvent).detail.relay.toString(), undefined)
    })
    this.#reservations = reservationStore
    return transport
  }

  /** Relays that this peer has a seat at. */
  get relays(): string[] {
    return [...this.#seats.keys()]
  }

  has(relay: string): boolean {
    return this.#seats.has(relay)
  }

  /** Where others dial this peer by them. */
  addresses(): Multiaddr[] {
    return [...this.#seats.values()].flat().map((relay) => relay.encapsulate('/p2p-circuit'))
  }

  /** Asks that peer, which is connected, for a seat; it is renewed until it is lost. */
  async reserve(relay: PeerId): Promise<void> {
    await this.#reservations?.addRelay(relay, 'configured')
  }

  release(): void {
    this.#reservations?.cancelReservations()
    for (const relay of this.relays) this.#set(relay, undefined)
  }

  #set(relay: string, addresses: Multiaddr[] | undefined): void {
    if (addresses === undefined) this.#seats.delete(relay)
    else this.#seats.set(relay, addresses)
    this.#onChange()
  }
}

/** Knows everybody already, so that libp2p finds no relays by itself. */
const everybody = { has: () => true, add: () => {}, remove: () => {} }
