import type { Clock } from '../../src/base/clock.ts'

/** Where `now` begins, in milliseconds since the epoch; `elapsed` begins at 0. */
export const FAKE_EPOCH = 1_800_000_000_000

interface Timer {
  at: number
  task: () => void
}

/** Time that passes when the test says so, and lets everything happen that is due on the way. */
export class FakeClock implements Clock {
  #elapsed = 0
  #wallOffset = FAKE_EPOCH
  #timers: Timer[] = []

  now = () => this.#wallOffset + this.#elapsed
  elapsed = () => this.#elapsed

  after(ms: number, task: () => void): () => void {
    const timer = { at: this.#elapsed + ms, task }
    this.#timers.push(timer)
    return () => {
      const at = this.#timers.indexOf(timer)
      if (at >= 0) this.#timers.splice(at, 1)
    }
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted()
      const onAbort = () => {
        cancel()
        reject(signal.reason)
      }
      const cancel = this.after(ms, () => {
        signal.removeEventListener('abort', onAbort)
        resolve()
      })
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }

  /** The wall clock jumps; what is measured in elapsed time does not. */
  setBack(ms: number): void {
    this.#wallOffset -= ms
  }

  /** The process stood still for so long: what was due then comes at once, and late. */
  stall(ms: number): void {
    this.#elapsed += ms
  }

  /** Timers that wait. */
  get pending(): number {
    return this.#timers.length
  }

  /** Lets `ms` pass, timer by timer; what each of them sets off has happened before the next. */
  async advance(ms: number): Promise<void> {
    const end = this.#elapsed + ms
    await settled()
    for (;;) {
      const next = this.#next(end)
      if (next === undefined) break
      this.#elapsed = Math.max(this.#elapsed, next.at)
      next.task()
      await settled()
    }
    this.#elapsed = end
  }

  #next(end: number): Timer | undefined {
    let first = 0
    for (let at = 1; at < this.#timers.length; at++) {
      if ((this.#timers[at]?.at ?? 0) < (this.#timers[first]?.at ?? 0)) first = at
    }
    const timer = this.#timers[first]
    if (timer === undefined || timer.at > end) return undefined
    this.#timers.splice(first, 1)
    return timer
  }
}

/** Resolves when nothing is left to do that needs no timer. */
export async function settled(): Promise<void> {
  // One turn of the event loop runs every microtask, and those that these set off.
  for (let turn = 0; turn < 2; turn++) await new Promise<void>((resolve) => setImmediate(resolve))
}
