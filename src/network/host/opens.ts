import type { Clock } from '../../base/clock.ts'
import { LruMap } from '../../base/lru-map.ts'
import { conductLimits } from './limits.ts'

interface Bucket {
  left: number
  /** `clock.elapsed()` when it was filled up last. */
  at: number
  /** When excess was reported last. */
  reportedAt: number
}

/** Counts what peers open against a rate, with a burst of one second's worth or more. */
export class Opens {
  readonly #clock: Clock
  readonly #buckets = new LruMap<string, Bucket>(conductLimits.peersMax)

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Whether one more is fine. When not, `report` is true once a second. */
  take(name: string, perSecond: number, burst = perSecond): { ok: boolean; report: boolean } {
    const now = this.#clock.elapsed()
    let bucket = this.#buckets.get(name)
    if (bucket === undefined) {
      bucket = { left: burst, at: now, reportedAt: Number.NEGATIVE_INFINITY }
      this.#buckets.set(name, bucket)
    }
    bucket.left = Math.min(burst, bucket.left + ((now - bucket.at) / 1000) * perSecond)
    bucket.at = now
    if (bucket.left >= 1) {
      bucket.left--
      return { ok: true, report: false }
    }
    const report = now - bucket.reportedAt >= 1000
    if (report) bucket.reportedAt = now
    return { ok: false, report }
  }
}
