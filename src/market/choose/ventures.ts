import type { JobTimes, Measured } from './measurements.ts'

/** For each of them that may lose its time on a provider that nobody knows, or not as well. */
const REQUESTS_PER_LOSS = 400
/** Losses that were saved up. */
const SAVED_MAX = 2
/** A venture that takes more than this, beside the one that was known, is a loss. */
const PATIENCE = 2

/**
 * Bounds what requests lose on finding out about providers although one is known. What goes well
 * costs nothing, so any number of honest newcomers come to be known. But however many hostile ones
 * there are, and whatever they do, one request in 400 meets them.
 */
export class Ventures {
  #saved = SAVED_MAX * REQUESTS_PER_LOSS

  /** By so many requests more. */
  earned(requests = 1): void {
    this.#saved = Math.min(SAVED_MAX * REQUESTS_PER_LOSS, this.#saved + requests)
  }

  /** Undefined where nothing may be lost now. `known`: what there was to be had instead. */
  begin(known: Measured): Venture | undefined {
    if (this.#saved < REQUESTS_PER_LOSS) return undefined
    this.#saved -= REQUESTS_PER_LOSS
    return new Venture(known, () => this.earned(REQUESTS_PER_LOSS))
  }
}

/** A job that is given to somebody although another is better known. */
export class Venture {
  readonly #known: Measured
  readonly #costsNothing: () => void

  constructor(known: Measured, costsNothing: () => void) {
    this.#known = known
    this.#costsNothing = costsNothing
  }

  /** After so long; `times` of a job that went well. Called once. */
  ended(ms: number, times: JobTimes | undefined): void {
    const isCheap = times === undefined ? ms <= this.#known.firstTokenMs : this.#isAsGood(times)
    if (isCheap) this.#costsNothing()
  }

  #isAsGood({ firstTokenMs, msPerToken, jobMs }: JobTimes): boolean {
    const known = this.#known
    if (firstTokenMs > PATIENCE * known.firstTokenMs) return false
    // Of answers too short to be timed the whole counts.
    return msPerToken === undefined || known.msPerToken === undefined
      ? jobMs <= PATIENCE * known.jobMs
      : msPerToken <= PATIENCE * known.msPerToken
  }
}
