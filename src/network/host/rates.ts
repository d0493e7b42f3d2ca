import type { Clock } from '../../base/clock.ts'
import { LruMap } from '../../base/lru-map.ts'
import { conductLimits } from './limits.ts'

export interface Rate {
  perSecond: number
  /** What may come at once after a quiet time. */
  burst: number
}

interface Bucket {
  left: number
  /** `clock.elapsed()` when it was filled up last. */
  at: number
  /** When excess was reported last. */
  reportedAt: number
}

/** Holds what peers do against a rate. */
export class Rates {
  readonly #clock: Clock
  readonly #buckets = new LruMap<string, Bucket>(conductLimits.peersMax)

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Whether so much more is fine. When not, `report` is true once a second. */
  take(name: string, { perSecond, burst }: Rate, amount = 1): { ok: boolean; report: boolean } {
    const now = this.#clock.elapsed()
    let bucket = this.#buckets.get(name)
    if (bucket === undefined) {
      bucket = { left: burst, at: now, reportedAt: Number.NEGATIVE_INFINITY }
      this.#buckets.set(name, bucket)
    }
    bucket.left = Math.min(burst, bucket.left + ((now - bucket.at) / 1000) * perSecond)
    bucket.at = now
    if (bucket.left >= amount) {
      bucket.left -= amount
      return { ok: true, report: false }
    }
    const report = now - bucket.reportedAt >= 1000
    if (report) bucket.reportedAt = now
    return { ok: false, report }
  }
}
