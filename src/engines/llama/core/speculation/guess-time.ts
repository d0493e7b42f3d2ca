/** Weight of the newest guess; the first ones have more. */
const SMOOTHING = 0.1
/** A guess that had to wait for something else counts as this many usual ones. */
const OUTLIER = 3
/** In tokens of answers: what was measured so long ago is believed to a third, so that it is tried again. */
const FORGOTTEN_AFTER = 1024

/** What a guess takes that is computed on this machine, in its own decode. */
export class GuessTime {
  #ms = 0
  /** The first is none: what is computed for the first time takes longer. */
  #guesses = -1
  #passed = 0

  /** 0: not known yet. */
  get ms(): number {
    return this.#ms * (1 - 1 / FORGOTTEN_AFTER) ** this.#passed
  }

  took(ms: number): void {
    this.#passed = 0
    if (++this.#guesses === 0) return
    const usual = this.#guesses === 1 ? ms : Math.min(ms, OUTLIER * this.#ms)
    this.#ms += Math.max(SMOOTHING, 1 / this.#guesses) * (usual - this.#ms)
  }

  /** So many tokens were written since. */
  passed(tokens: number): void {
    this.#passed += tokens
  }
}
