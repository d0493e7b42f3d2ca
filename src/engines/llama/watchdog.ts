import type { Clock } from '../../base/clock.ts'

/**
 * Notices when somebody who has work says nothing for too long.
 * Each piece of work has a key and its own limit; the shortest counts.
 */
export class Watchdog {
  readonly #clock: Clock
  readonly #onSilence: (silentMs: number) => void
  readonly #work = new Map<string | number, number>()
  #limitMs = Number.POSITIVE_INFINITY
  #heardAt = 0
  #cancelTimer: (() => void) | undefined

  constructor(clock: Clock, onSilence: (silentMs: number) => void) {
    this.#clock = clock
    this.#onSilence = onSilence
  }

  begin(key: string | number, limitMs: number): void {
    this.#work.set(key, limitMs)
    // Silence before the work came is no fault; further work does not excuse silence on the first.
    if (limitMs < this.#limitMs) {
      this.#limitMs = limitMs
      this.#heardAt = this.#clock.elapsed()
      this.#arm(limitMs)
    }
  }

  end(key: string | number): void {
    if (!this.#work.delete(key)) return
    this.#limitMs = Math.min(...this.#work.values())
    if (this.#work.size === 0) this.#disarm()
  }

  heard(): void {
    this.#heardAt = this.#clock.elapsed()
  }

  clear(): void {
    this.#work.clear()
    this.#limitMs = Number.POSITIVE_INFINITY
    this.#disarm()
  }

  #arm(ms: number): void {
    this.#disarm()
    this.#cancelTimer = this.#clock.after(ms, () => this.#check())
  }

  #disarm(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
  }

  #check(): void {
    const silentMs = this.#clock.elapsed() - this.#heardAt
    if (silentMs >= this.#limitMs) {
      this.clear()
      this.#onSilence(silentMs)
    } else {
      this.#arm(this.#limitMs - silentMs)
    }
  }
}
