import type { Clock } from '../base/clock.ts'

export interface Rate {
  perSecond: number
  /** What may go at once after a quiet time. */
  burst: number
}

/** So much in a second: each takes what it will need, and waits for what was taken before it. */
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

  /** How long until what was taken has been let through. */
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
