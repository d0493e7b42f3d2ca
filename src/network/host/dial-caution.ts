import type { Transport } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import type { Clock } from '../../base/clock.ts'
import { messageOf, PeerError } from '../../base/errors.ts'
import { LruMap } from '../../base/lru-map.ts'
import { dialLimits as limits } from './limits.ts'

interface Trouble {
  failures: number
  /** `clock.elapsed()`, before which it is not dialled. */
  until: number
}

export interface CautionComponents {
  clock: Clock
  /** Peers that are dialled whatever happens: few, and not for a stranger's word. */
  isExcepted(peerId: string): boolean
}

/**
 * Dials an address less and less often while no peer of this network is met there. Where peers are,
 * strangers say: with ever new ids at one address they would have all gateways knock at it for ever.
 */
export class DialCaution {
  readonly #components: CautionComponents
  readonly #troubles = new LruMap<string, Trouble>(limits.addressesMax)
  /** Address → who it was that answered there in another's place. */
  readonly #answering = new LruMap<string, string>(limits.addressesMax)

  constructor(components: CautionComponents) {
    this.#components = components
  }

  /** Throws when it is too early. Each dial is a failure until a peer is met. */
  begin(address: Multiaddr): void {
    const { clock, isExcepted } = this.#components
    const peerId = peerIdOf(address)
    if (peerId !== undefined && isExcepted(peerId)) return
    const key = this.#keyOf(address)
    const now = clock.elapsed()
    const { failures, until } = this.#troubles.get(key) ?? { failures: 0, until: now }
    if (now < until) {
      throw new PeerError('peer_unreachable', `${address} did not answer lately.`)
    }
    const before = now - until > limits.againMsMax ? 0 : failures
    const doublings = Math.min(16, before + 1 - limits.failuresMax)
    const ms = doublings < 0 ? 0 : Math.min(limits.againMsMax, limits.againMsMin * 2 ** doublings)
    this.#troubles.set(key, { failures: before + 1, until: now + ms })
  }

  failed(address: Multiaddr, error: unknown): void {
    // Noise does not say it in another way. Without it the honest peer there would have to wait too.
    const [, peerId] = /^Payload identity key (\w+) does not match/.exec(messageOf(error)) ?? []
    if (peerId !== undefined) this.#answering.set(placeOf(address), peerId)
  }

  /** A peer of this network is there. */
  met(address: Multiaddr): void {
    this.#troubles.delete(this.#keyOf(address))
  }

  /** Whoever is known to be there is dialled on its own account, and not on that of all the others. */
  #keyOf(address: Multiaddr): string {
    const place = placeOf(address)
    const peerId = peerIdOf(address)
    const isThere = peerId !== undefined && peerId === this.#answering.get(place)
    return isThere ? `${place} ${peerId}` : place
  }
}

/** The same transport, which asks before it dials. */
export function cautious<C>(
  make: (components: C) => Transport,
  caution: DialCaution,
): (components: C) => Transport {
  return (components) => {
    const transport = make(components)
    const dial = transport.dial.bind(transport)
    transport.dial = async (address, options) => {
      caution.begin(address)
      try {
        return await dial(address, options)
      } catch (error) {
        caution.failed(address, error)
        throw error
      }
    }
    return transport
  }
}

/** Of the many ways to write one IP address, the bytes are the same. */
function placeOf(address: Multiaddr): string {
  const [place] = address.toString().split('/p2p/')
  return Buffer.from(multiaddr(place).bytes).toString('base64')
}

function peerIdOf(address: Multiaddr): string | undefined {
  return address.getComponents().findLast(({ name }) => name === 'p2p')?.value
}
