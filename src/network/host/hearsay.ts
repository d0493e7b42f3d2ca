import type { PeerInfo } from '@libp2p/interface'
import type { KadDHT } from '@libp2p/kad-dht'
import type { Clock } from '../../base/clock.ts'
import { LruMap } from '../../base/lru-map.ts'
import { dhtLimits, storeLimits } from './limits.ts'

/** Of kad-dht's own, what is meddled with. */
interface Teller {
  safeDispatchEvent(name: string, event?: { detail?: unknown }): boolean
}

/**
 * Twenty peers that are asked one question name the same twenty others. kad-dht writes each of them
 * down each time and asks its routing table about it: most of the work of a query. Here whoever is
 * said to be where it was said to be a moment ago is passed over.
 */
export function heedNews(kad: KadDHT, clock: Clock): void {
  const { network } = kad as unknown as { network: Teller }
  /** Peer and addresses → when it was heard. */
  const heard = new LruMap<string, number>(storeLimits.peersMax)
  const isNews = ({ id, multiaddrs }: PeerInfo): boolean => {
    const claim = [id, ...multiaddrs].join(' ')
    // Anybody says anything, and of a thousand addresses as well.
    if (claim.length > dhtLimits.claimMax) return true
    const now = clock.elapsed()
    if (now - (heard.get(claim) ?? Number.NEGATIVE_INFINITY) < dhtLimits.newsMs) return false
    heard.set(claim, now)
    return true
  }
  const tell = network.safeDispatchEvent.bind(network)
  network.safeDispatchEvent = (name, event) => {
    if (name === 'peer' && !isNews(event?.detail as PeerInfo)) return true
    return tell(name, event)
  }
}
