import { LruMap } from '../../base/lru-map.ts'

/** Peers, listed or not: sixteen times what the directory holds, at 100 to 300 bytes each. */
const SEQUENCES_MAX = 4096

export type Verdict = 'newer' | 'same' | 'stale' | 'departed'

interface Heard {
  highest: number
  /** As the peer signed it, if it has left since. */
  departure: Uint8Array | undefined
}

/**
 * The highest sequence that each peer ever signed, as far as this peer has seen it. Outlives the
 * peer's place in the directory, so that nothing old counts when the peer is met again.
 */
export class Sequences {
  readonly #heard = new LruMap<string, Heard>(SEQUENCES_MAX)

  knows(peerId: string): boolean {
    return this.#heard.get(peerId) !== undefined
  }

  /** Judges an advert, and remembers the sequence of one that counts. */
  advert(peerId: string, sequence: number): Verdict {
    const heard = this.#heard.get(peerId)
    if (heard !== undefined && sequence <= heard.highest) {
      if (heard.departure !== undefined) return 'departed'
      return sequence === heard.highest ? 'same' : 'stale'
    }
    this.#heard.set(peerId, { highest: sequence, departure: undefined })
    return 'newer'
  }

  /** Whether this departure is news: adverts up to its sequence count no more from here on. */
  departure(peerId: string, sequence: number, signed: Uint8Array): boolean {
    const heard = this.#heard.get(peerId)
    if (heard !== undefined) {
      // An old one, said again after the peer came back, or one that another peer brought before.
      const { highest, departure } = heard
      if (sequence < highest || (departure && sequence === highest)) return false
    }
    // A copy: it came as part of something larger.
    this.#heard.set(peerId, { highest: sequence, departure: signed.slice() })
    return true
  }

  departureOf(peerId: string): Uint8Array | undefined {
    return this.#heard.get(peerId)?.departure
  }
}
