import { backoffMs } from '../../base/backoff.ts'
import type { Random } from '../../base/random.ts'

/** A provider that is back after a restart is not kept out for long. */
const OPEN_MS_MIN = 1_000
/** One that keeps failing costs a client a try every five minutes at most. */
const OPEN_MS_MAX = 5 * 60_000
/** Failures in a row, of the kind that may be the job's. */
const FAILURES_MAX = 2

/**
 * Keeps jobs away from a provider that failed, for longer each time. After that it lets one
 * through: its outcome decides.
 */
export class Breaker {
  readonly #random: Random
  #failures = 0
  #openings = 0
  #openUntil = 0
  #trying = false

  constructor(random: Random) {
    this.#random = random
  }

  /** Closed lets all jobs through, ready exactly one. */
  state(now: number): 'closed' | 'ready' | 'open' {
    if (this.#openings === 0) return 'closed'
    return now < this.#openUntil || this.#trying ? 'open' : 'ready'
  }

  /** A job goes there. It ends in one of the other three. */
  enter(now: number): void {
    if (this.state(now) === 'ready') this.#trying = true
  }

  succeeded(): void {
    this.#failures = 0
    this.#openings = 0
    this.#trying = false
  }

  /** `surely`: it was the provider and not the job, as when it says nothing any more. */
  failed(now: number, surely: boolean): void {
    this.#failures++
    this.#trying = false
    if (!surely && this.#openings === 0 && this.#failures < FAILURES_MAX) return
    const ms = backoffMs(this.#openings, OPEN_MS_MIN, OPEN_MS_MAX)
    // Half to whole: coordinators that lost the same provider don't come back all at once.
    this.#openUntil = now + ms / 2 + this.#random.below(Math.ceil(ms / 2) + 1)
    this.#openings++
  }

  /** The job ended without saying anything about the provider. */
  left(): void {
    this.#trying = false
  }
}
