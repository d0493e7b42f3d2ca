import type { Clock } from '../../base/clock.ts'

/** One direction between two peers: what is sent first arrives first. */
export class MemoryWire {
  readonly #clock: Clock
  readonly #isSilent: () => boolean
  readonly #tasks: (() => void)[] = []
  /** Those of them that a silence holds back. */
  #held = 0
  #lastAt = 0

  constructor(clock: Clock, isSilent: () => boolean) {
    this.#clock = clock
    this.#isSilent = isSilent
  }

  send(task: () => void, delayMs: number): void {
    this.#tasks.push(task)
    const now = this.#clock.elapsed()
    this.#lastAt = Math.max(this.#lastAt, now + delayMs)
    if (this.#lastAt === now) queueMicrotask(() => this.#arrive())
    else this.#clock.after(this.#lastAt - now, () => this.#arrive())
  }

  /** What was held back arrives, unless there is another silence. */
  release(): void {
    if (this.#held === 0 || this.#isSilent()) return
    for (; this.#held > 0; this.#held--) this.#tasks.shift()?.()
  }

  #arrive(): void {
    if (this.#held > 0 || this.#isSilent()) this.#held++
    else this.#tasks.shift()?.()
  }
}
