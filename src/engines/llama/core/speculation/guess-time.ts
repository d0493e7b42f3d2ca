/** Weight of the newest guess; the first ones have more. */
const SMOOTHING = 0.1
/** A guess that had to wait for something else counts as this many usual ones. */
const OUTLIER = 3
/** In tokens of answers: what was measured so long ago is believed to a third, so that it is tried again. */
const FORGOTTEN_AFTER = 1024

/** Until it is measured: many tokens in one decode take so much less, each, than alone. */
const READ_SHARE = 0.25

/** What a guess takes that is computed on this machine, in its own decode; and what reading takes before it. */
export class GuessTime {
  #readMs = 0
  #ms = 0
  /** The first is none: what is computed for the first time takes longer. */
  #guesses = -1
  #passed = 0

  /** 0: not known yet. */
  get ms(): number {
    return this.#ms * this.#kept
  }

  get #kept(): number {
    return (1 - 1 / FORGOTTEN_AFTER) ** this.#passed
  }

  took(ms: number): void {
    if (this.#guesses > 0) this.#guesses = Math.floor(this.#guesses * this.#kept)
    this.#passed = 0
    if (++this.#guesses === 0) return
    const usual = this.#guesses === 1 ? ms : Math.min(ms, OUTLIER * this.#ms)
    this.#ms += Math.max(SMOOTHING, 1 / this.#guesses) * (usual - this.#ms)
  }

  /** A decode of tokens that were not guessed here. */
  read(tokens: number, ms: number): void {
    const each = ms / tokens
    const usual = this.#readMs === 0 ? each : Math.min(each, OUTLIER * this.#readMs)
    this.#readMs += (this.#readMs === 0 ? 1 : SMOOTHING) * (usual - this.#readMs)
  }

  /** Never 0 for any. */
  msToRead(tokens: number): number {
    const each = this.#readMs === 0 ? READ_SHARE * this.#ms : this.#readMs
    return tokens * Math.max(Number.EPSILON, each * this.#kept)
  }

  /** So many tokens were written since. */
  passed(tokens: number): void {
    this.#passed += tokens
  }
}
