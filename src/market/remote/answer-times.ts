import type { JobTimes } from '../choose/measurements.ts'

/** From so many tokens on, the speed of an answer is more than chance. */
const TOKENS_MIN = 8

/** Who wants to know whose turn it is. */
interface Listener {
  /** A token or vector came. */
  heard(): void
  /** Its reader wants the next. */
  waits(): void
}

/** Times one attempt, without what its reader took. */
export class AnswerTimes {
  readonly #beganAt: number
  readonly #listener: Listener | undefined
  #firstAt: number | undefined
  #lastAt = 0
  #tokens = 0
  #heldMs = 0

  constructor(now: number, listener?: Listener) {
    this.#beganAt = now
    this.#listener = listener
  }

  /** By `clock.elapsed()`, as is `firstAt`. */
  get startedAt(): number {
    return this.#beganAt
  }

  get firstAt(): number | undefined {
    return this.#firstAt
  }

  get begun(): boolean {
    return this.#firstAt !== undefined
  }

  /** Tokens, or 0 for vectors. */
  received(tokens: number, now: number): void {
    // What came with the first ones says nothing about how long the next took.
    if (this.#firstAt === undefined) this.#firstAt = now
    else this.#tokens += tokens
    this.#lastAt = now
    this.#listener?.heard()
  }

  /** The reader was busy, and what came meanwhile waited. */
  held(ms: number): void {
    this.#heldMs += ms
    this.#listener?.waits()
  }

  msSince(now: number): number {
    return now - this.#beganAt
  }

  result(now: number): JobTimes {
    const jobMs = now - this.#beganAt
    const writingMs = this.#lastAt - (this.#firstAt ?? this.#lastAt)
    // A slow reader makes any provider look slow.
    const clear = this.#tokens >= TOKENS_MIN && this.#heldMs < writingMs / 2
    return {
      firstTokenMs: (this.#firstAt ?? now) - this.#beganAt,
      msPerToken: clear ? writingMs / this.#tokens : undefined,
      jobMs,
    }
  }
}
