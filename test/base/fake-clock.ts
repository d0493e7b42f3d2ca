import { type Clock, sleepOn } from '../../src/base/clock.ts'

/** Where `now` begins, in milliseconds since the epoch; `elapsed` begins at 0. */
export const FAKE_EPOCH = 1_800_000_000_000

interface Timer {
  at: number
  task: (() => void) | undefined
}

/** Time that passes when the test says so, and lets everything happen that is due on the way. */
export class FakeClock implements Clock {
  #elapsed = 0
  #wallOffset = FAKE_EPOCH
  /** The last is due first; of those due at the same time, the one that was set first. */
  readonly #timers: Timer[] = []

  now = () => this.#wallOffset + this.#elapsed
  elapsed = () => this.#elapsed

  after(ms: number, task: () => void): () => void {
    const timer: Timer = { at: this.#elapsed + ms, task }
    let [low, high] = [0, this.#timers.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#timers[middle]?.at ?? 0) > timer.at) low = middle + 1
      else high = middle
    }
    this.#timers.splice(low, 0, timer)
    return () => {
      timer.task = undefined
    }
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return sleepOn(this, ms, signal)
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
    return this.#timers.filter(({ task }) => task !== undefined).length
  }

  /** Lets `ms` pass, from one timer to the next; what is due at a time has happened before it goes on. */
  async advance(ms: number): Promise<void> {
    const end = this.#elapsed + ms
    await settled()
    for (;;) {
      const at = this.#nextAt()
      if (at > end) break
      this.#elapsed = Math.max(this.#elapsed, at)
      while (this.#nextAt() <= this.#elapsed) this.#timers.pop()?.task?.()
      await settled()
    }
    this.#elapsed = end
  }

  #nextAt(): number {
    while (this.#timers.length > 0 && this.#timers.at(-1)?.task === undefined) this.#timers.pop()
    return this.#timers.at(-1)?.at ?? Number.POSITIVE_INFINITY
  }
}

/** The same time on a machine whose wall clock is off by so much. */
export const skewed = (clock: Clock, ms: number): Clock => ({
  now: () => clock.now() + ms,
  elapsed: () => clock.elapsed(),
  after: (delay, task) => clock.after(delay, task),
  sleep: (delay, signal) => clock.sleep(delay, signal),
})

/** Resolves when nothing is left to do that needs no timer. */
export async function settled(): Promise<void> {
  // One turn of the event loop runs every microtask, and those that these set off.
  for (let turn = 0; turn < 2; turn++) await new Promise<void>((resolve) => setImmediate(resolve))
}
