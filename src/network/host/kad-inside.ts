import type { PeerId, PeerInfo } from '@libp2p/interface'
import type { KadDHT, QueryEvent } from '@libp2p/kad-dht'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { CID } from 'multiformats/cid'
import { placeOf } from './dht-region.ts'

/** What kad-dht's class has as public and its exported type has not. */
interface Inside {
  network: Record<'sendRequest' | 'sendMessage', Send>
  routingTable: { closestPeers(place: Uint8Array, options: { count: number }): PeerId[] }
  providers: { addProvider(cid: CID, provider: PeerId): Promise<void> }
}

type Send = (to: PeerId, message: object, options: object) => AsyncIterable<QueryEvent>

/** Of what the DHT does, single steps. */
export class KadInside {
  readonly #kad: KadDHT
  readonly #inside: Inside

  constructor(kad: KadDHT) {
    this.#kad = kad
    this.#inside = kad as unknown as Inside
  }

  /** The places of the peers that are known here, the closest first. */
  known(place: Uint8Array, count: number): Uint8Array[] {
    const closest = this.#inside.routingTable.closestPeers(place, { count })
    return closest.map((peer) => placeOf(peer.toMultihash().bytes))
  }

  /** Those known here that are closest to the key, without asking anybody. */
  near(key: Uint8Array, count: number): PeerId[] {
    return this.#inside.routingTable.closestPeers(placeOf(key), { count })
  }

  /** Has this peer itself answer that `self` provides it. */
  async keep(cid: CID, self: PeerId): Promise<void> {
    await this.#inside.providers.addProvider(cid, self)
  }

  /** Those closest to the key that answer. */
  async *closest(key: Uint8Array, signal: AbortSignal): AsyncGenerator<PeerId> {
    for await (const event of this.#kad.getClosestPeers(key, { signal })) {
      if (event.name === 'FINAL_PEER') yield event.peer.id
    }
  }

  /** Whom that peer knows to provide it; nobody when it does not answer. */
  async providersAt(peer: PeerId, cid: CID, signal: AbortSignal): Promise<PeerInfo[]> {
    const message = { type: 'GET_PROVIDERS', key: cid.multihash.bytes }
    for await (const event of this.#inside.network.sendRequest(peer, message, { signal, path })) {
      if (event.name === 'PEER_RESPONSE') return event.providers
    }
    return []
  }

  /** Whether that peer was told that `self` provides it. */
  async tell(
    peer: PeerId,
    cid: CID,
    self: { id: PeerId; addresses: readonly Multiaddr[] },
    signal: AbortSignal,
  ): Promise<boolean> {
    const multiaddrs = self.addresses.map((address) => address.bytes)
    const providers = [{ id: self.id.toMultihash().bytes, multiaddrs }]
    const message = { type: 'ADD_PROVIDER', key: cid.multihash.bytes, providers }
    for await (const event of this.#inside.network.sendMessage(peer, message, { signal, path })) {
      if (event.name === 'PEER_RESPONSE') return true
    }
    return false
  }
}

/** Of which query a step is, for those who look on. */
const path = { index: -1, queued: 0, running: 0, total: 0 }
