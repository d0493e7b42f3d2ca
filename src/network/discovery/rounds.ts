import type { Clock } from '../../base/clock.ts'

/** Runs a task now and then: after the wait that its last run asked for, or sooner when told so. */
export class Rounds {
  readonly #clock: Clock
  readonly #task: (signal: AbortSignal) => Promise<number>
  readonly #gapMs: number
  #beganAt = Number.NEGATIVE_INFINITY
  #dueAt = Number.POSITIVE_INFINITY
  #rearm = () => {}

  /**
   * @param task Resolves to the milliseconds until the next round; Infinity waits for `soon`.
   * @param options.gapMs However it is hurried, rounds do not begin closer together.
   */
  constructor(
    clock: Clock,
    task: (signal: AbortSignal) => Promise<number>,
    { gapMs = 0 }: { gapMs?: number } = {},
  ) {
    this.#clock = clock
    this.#task = task
    this.#gapMs = gapMs
  }

  /** The next round begins in `ms`, unless it would have begun before. */
  soon(ms: number): void {
    const at = Math.max(this.#clock.elapsed() + ms, this.#beganAt + this.#gapMs)
    if (at >= this.#dueAt) return
    this.#dueAt = at
    this.#rearm()
  }

  /** Resolves when the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#rest(signal)
      if (signal.aborted) return
      this.#dueAt = Number.POSITIVE_INFINITY
      this.#beganAt = this.#clock.elapsed()
      this.soon(await this.#task(signal))
    }
  }

  #rest(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      let cancel = () => {}
      const done = () => {
        cancel()
        this.#rearm = () => {}
        signal.removeEventListener('abort', done)
        resolve()
      }
      this.#rearm = () => {
        cancel()
        if (this.#dueAt === Number.POSITIVE_INFINITY) return
        cancel = this.#clock.after(Math.max(0, this.#dueAt - this.#clock.elapsed()), done)
      }
      signal.addEventListener('abort', done, { once: true })
      this.#rearm()
    })
  }
}
