/** What is known of something old is worth less: half after each of these. */
const HALF_LIFE_MS = 30 * 60_000
/** Weight of the newest sample among fresh ones. */
const SMOOTHING = 0.2
/** Below this much evidence a provider is a newcomer again: two half-lives after a single job. */
const EVIDENCE_MIN = 0.25

/** What this peer saw of a provider with one model, as far as it counts now. */
export interface Measured {
  /** From the first word to it until the first token; its queue and the prompt are in it. */
  firstTokenMs: number
  /** Undefined for vectors, and before an answer was long enough to tell. */
  msPerToken: number | undefined
  /** A whole job, on average. */
  jobMs: number
  /** 0 to 1: jobs that it did not bring to an end. */
  failureRate: number
}

/** Of a job that went well. */
export interface JobTimes {
  firstTokenMs: number
  msPerToken: number | undefined
  jobMs: number
}

export class Measurement {
  readonly #firstTokenMs = new DecayingMean()
  readonly #msPerToken = new DecayingMean()
  readonly #jobMs = new DecayingMean()
  readonly #failures = new DecayingMean()

  succeeded(times: JobTimes, now: number): void {
    this.#firstTokenMs.add(times.firstTokenMs, now)
    if (times.msPerToken !== undefined) this.#msPerToken.add(times.msPerToken, now)
    this.#jobMs.add(times.jobMs, now)
    this.#failures.add(0, now)
  }

  failed(now: number): void {
    this.#failures.add(1, now)
  }

  /** Undefined for a newcomer: one that never finished a job, or only long ago. */
  at(now: number): Measured | undefined {
    if (this.#jobMs.evidence(now) < EVIDENCE_MIN) return undefined
    const timed = this.#msPerToken.evidence(now) >= EVIDENCE_MIN
    return {
      firstTokenMs: this.#firstTokenMs.value,
      msPerToken: timed ? this.#msPerToken.value : undefined,
      jobMs: this.#jobMs.value,
      // An old failure is forgiven as an old success is forgotten.
      failureRate: this.#failures.value * Math.min(1, this.#failures.evidence(now)),
    }
  }
}

/** A mean in which a sample weighs more the older, or the fewer, those before it are. */
class DecayingMean {
  value = 0
  #evidence = 0
  #at = 0

  add(sample: number, now: number): void {
    this.#evidence = this.evidence(now) + 1
    this.#at = now
    this.value += Math.max(SMOOTHING, 1 / this.#evidence) * (sample - this.value)
  }

  /** How many samples it is worth now. */
  evidence(now: number): number {
    return this.#evidence * 0.5 ** ((now - this.#at) / HALF_LIFE_MS)
  }
}
