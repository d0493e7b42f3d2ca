import { LruMap } from '../../base/lru-map.ts'

/** Peers, listed or not: sixteen times what the directory holds, at about 100 bytes each. */
const SEQUENCES_MAX = 4096

export type Verdict = 'newer' | 'same' | 'stale' | 'departed'

interface Heard {
  highest: number
  departed: boolean
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
      if (heard.departed) return 'departed'
      return sequence === heard.highest ? 'same' : 'stale'
    }
    this.#heard.set(peerId, { highest: sequence, departed: false })
    return 'newer'
  }

  /** Whether this departure is news: adverts up to its sequence count no more from here on. */
  departure(peerId: string, sequence: number): boolean {
    const heard = this.#heard.get(peerId)
    if (heard !== undefined) {
      // An old one, said again after the peer came back, or one that another peer brought before.
      if (sequence < heard.highest || (heard.departed && sequence === heard.highest)) return false
    }
    this.#heard.set(peerId, { highest: sequence, departed: true })
    return true
  }
}
