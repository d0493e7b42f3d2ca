import type { BatchTime } from '../../ipc.ts'

/** Larger batches are not told from this one. */
const SIZE_MAX = 64
/** A decode of any size tells how busy the machine is, and how far the answers have come: soon believed. */
const LEVEL_WEIGHT = 0.1
/** And how its size compares to the others: this changes slowly if at all. */
const SHAPE_WEIGHT = 0.03
/** A decode that had to wait for something else counts as this many usual ones. */
const OUTLIER = 3

/** How long a decode of so many tokens takes: from calibration at first, then from each decode. */
export class BatchCost {
  /** At level 1; 0 where nothing is known. */
  readonly #ms = new Float64Array(SIZE_MAX + 1)
  #level = 1

  learn(measured: readonly BatchTime[]): void {
    this.#level = 1
    for (const { tokens, ms } of measured) if (tokens <= SIZE_MAX) this.#ms[tokens] = ms
  }

  /** A batch that was computed in passes of so many tokens. */
  took(passes: readonly number[], ms: number): void {
    const [tokens = 0] = passes
    if (tokens < 1 || tokens > SIZE_MAX || ms <= 0) return
    const before = passes.reduce((sum, pass) => sum + this.ms(pass), 0)
    const drift = before > 0 ? Math.min(ms / before, OUTLIER) - 1 : 0
    this.#level *= 1 + LEVEL_WEIGHT * drift
    if (passes.length > 1) return
    const shape = this.#ms[tokens] ?? 0
    this.#ms[tokens] = shape > 0 ? shape * (1 + SHAPE_WEIGHT * drift) : ms / this.#level
  }

  /**
   * Between two sizes that are known, on the line between them. Beyond, as if each token more took
   * as long as a decode of its own: what nobody measured promises nothing. 0: nothing is known.
   */
  ms(tokens: number): number {
    return this.#level * this.#shape(tokens)
  }

  #shape(tokens: number): number {
    let below = Math.min(tokens, SIZE_MAX)
    while (below > 0 && this.#ms[below] === 0) below--
    const low = this.#ms[below] ?? 0
    if (below === tokens) return low
    let above = tokens
    while (above <= SIZE_MAX && this.#ms[above] === 0) above++
    const high = this.#ms[above] ?? 0
    if (high > 0) return low + ((high - low) * (tokens - below)) / (above - below)
    const one = (this.#ms[1] ?? 0) || low / Math.max(below, 1)
    return low + (tokens - below) * one
  }
}
