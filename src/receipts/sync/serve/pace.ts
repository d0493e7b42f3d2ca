import type { Clock } from '../../../base/clock.ts'

export interface Rate {
  perSecond: number
  /** What may go at once after a quiet time. */
  burst: number
}

/** Lets so much through in a second: what is too much now is waited for before the next. */
export class Pace {
  readonly #clock: Clock
  readonly #rate: Rate
  #left: number
  #at: number

  constructor(clock: Clock, rate: Rate) {
    this.#clock = clock
    this.#rate = rate
    this.#left = rate.burst
    this.#at = clock.elapsed()
  }

  take(amount: number): void {
    this.#refill()
    this.#left -= amount
  }

  /** How long until the next may go. */
  get waitMs(): number {
    this.#refill()
    return Math.max(0, Math.ceil((-this.#left / this.#rate.perSecond) * 1000))
  }

  #refill(): void {
    const now = this.#clock.elapsed()
    const { perSecond, burst } = this.#rate
    this.#left = Math.min(burst, this.#left + ((now - this.#at) / 1000) * perSecond)
    this.#at = now
  }
}
