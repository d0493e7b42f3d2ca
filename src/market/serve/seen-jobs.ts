/** At least as long as any job may be on its way, so that none is taken for new when it comes again. */
export const SEEN_MS_MIN = 10 * 60_000

/**
 * The job ids that one coordinator has used. Kept in two halves, of which the older is let go as a
 * whole: each id stays between once and twice SEEN_MS_MIN, and none needs a time of its own.
 */
export class SeenJobs {
  #newer = new Set<string>()
  #older = new Set<string>()
  #turnedAt: number

  constructor(now: number) {
    this.#turnedAt = now
  }

  get size(): number {
    return this.#newer.size + this.#older.size
  }

  has(jobId: string): boolean {
    return this.#newer.has(jobId) || this.#older.has(jobId)
  }

  add(jobId: string): void {
    this.#newer.add(jobId)
  }

  forgetOld(now: number): void {
    const age = now - this.#turnedAt
    if (age < SEEN_MS_MIN) return
    this.#older = age < 2 * SEEN_MS_MIN ? this.#newer : new Set()
    this.#newer = new Set()
    this.#turnedAt = now
  }
}
