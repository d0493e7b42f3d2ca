import type { Clock } from './clock.ts'

/** Deadlines of many short waits, one after the other, for the price of one timer. */
export class Watch {
  readonly #clock: Clock
  #deadline = 0
  #firesAt = Number.POSITIVE_INFINITY
  #giveUp = () => {}
  #cancel = () => {}

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The same wait, which fails with `tooLate` at the deadline, a time of `clock.elapsed()`. */
  over<T>(wait: Promise<T>, deadline: number, tooLate: () => Error): Promise<T> {
    this.#deadline = deadline
    if (deadline < this.#firesAt) this.#arm()
    return new Promise((resolve, reject) => {
      this.#giveUp = () => reject(tooLate())
      wait.then(resolve, reject)
    })
  }

  /** Shortens the wait that is on. */
  hurry(deadline: number): void {
    if (deadline >= this.#deadline) return
    this.#deadline = deadline
    if (deadline < this.#firesAt) this.#arm()
  }

  end(): void {
    this.#cancel()
    this.#firesAt = Number.POSITIVE_INFINITY
  }

  #arm(): void {
    this.#cancel()
    this.#firesAt = this.#deadline
    this.#cancel = this.#clock.after(Math.max(0, this.#deadline - this.#clock.elapsed()), () => {
      if (this.#clock.elapsed() < this.#deadline) {
        this.#arm()
        return
      }
      // A wait that is over already does not care; the next one needs a new timer.
      this.#firesAt = Number.POSITIVE_INFINITY
      this.#giveUp()
    })
  }
}
