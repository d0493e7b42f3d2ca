const MINUTE_MS = 60_000

/**
 * So much a minute, and as much at once after a minute of rest: whatever is taken when, it is never
 * more than `perMinute * (minutes + 1)`. Times are in milliseconds and never go back.
 */
export class TokenBucket {
  readonly perMinute: number
  #level: number
  #at: number

  constructor(perMinute: number, now: number) {
    this.perMinute = perMinute
    this.#level = perMinute
    this.#at = now
  }

  /** Takes all of it or nothing. */
  take(amount: number, now: number): boolean {
    this.#fill(now)
    if (this.#level < amount) return false
    this.#level -= amount
    return true
  }

  /** What was taken turned out to be so much more, which is owed, or less, which is given back. */
  correct(more: number, now: number): void {
    this.#fill(now)
    this.#level = Math.min(this.perMinute, this.#level - more)
  }

  /** What could be taken now. */
  left(now: number): number {
    this.#fill(now)
    return Math.max(0, Math.floor(this.#level))
  }

  /** Until so much can be taken, if nobody else takes any. */
  msUntil(amount: number, now: number): number {
    this.#fill(now)
    return Math.max(0, Math.ceil(((amount - this.#level) * MINUTE_MS) / this.perMinute))
  }

  #fill(now: number): void {
    if (now <= this.#at) return
    const gained = ((now - this.#at) * this.perMinute) / MINUTE_MS
    this.#level = Math.min(this.perMinute, this.#level + gained)
    this.#at = now
  }
}
