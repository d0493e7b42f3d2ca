import type { BatchTime } from '../../ipc.ts'

/** Weight of the newest decode of a size: a busy machine's curve is another one a second later. */
const SMOOTHING = 0.1
/** Larger batches are told from smaller ones. */
const SIZE_MAX = 64
/** One decode that had to wait for something else says little: it counts as this many usual ones. */
const OUTLIER = 3

/** How long a decode of so many tokens takes: from calibration at first, then from each decode. */
export class BatchCost {
  readonly #ms = new Float64Array(SIZE_MAX + 1)

  constructor(measured: readonly BatchTime[] = []) {
    this.learn(measured)
  }

  learn(measured: readonly BatchTime[]): void {
    for (const { tokens, ms } of measured) if (tokens <= SIZE_MAX) this.#ms[tokens] = ms
  }

  took(tokens: number, ms: number): void {
    if (tokens > SIZE_MAX || ms <= 0) return
    const before = this.#ms[tokens] ?? 0
    const after = before + SMOOTHING * (Math.min(ms, before * OUTLIER) - before)
    this.#ms[tokens] = before === 0 ? ms : after
  }

  /**
   * Between two sizes that are known, on the line between them. Beyond, as if each token more took
   * as long as a decode of its own: what nobody measured promises nothing. 0: nothing is known.
   */
  ms(tokens: number): number {
    let below = Math.min(tokens, SIZE_MAX)
    while (below > 0 && this.#ms[below] === 0) below--
    let above = tokens
    while (above <= SIZE_MAX && this.#ms[above] === 0) above++
    const low = this.#ms[below] ?? 0
    if (below === tokens) return low
    if (above > SIZE_MAX) return below === 0 ? 0 : low + (tokens - below) * this.#single(below)
    const high = this.#ms[above] ?? 0
    if (below === 0) return (high * tokens) / above
    return low + ((high - low) * (tokens - below)) / (above - below)
  }

  #single(below: number): number {
    const one = this.#ms[1] ?? 0
    return one > 0 ? one : (this.#ms[below] ?? 0) / below
  }
}
