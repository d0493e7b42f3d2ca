/** A cancelled run frees its slot within 200 ms: a decode takes less, with something to spare. */
const DECODE_TARGET_MS = 150
/** Below this a prompt would crawl, and most of a decode is spent on reading the weights anyway. */
const CHUNK_MIN = 8
/** What to try before anything was measured. */
const CHUNK_FIRST = 64

/** How many prompt tokens to read in one decode, learned from how long the last ones took. */
export class PrefillPace {
  readonly #batchSize: number
  #chunk: number

  constructor(batchSize: number) {
    this.#batchSize = batchSize
    this.#chunk = Math.min(CHUNK_FIRST, batchSize)
  }

  get chunk(): number {
    return Math.floor(this.#chunk)
  }

  /** A decode that held `tokens` of prompts and took `ms`. */
  took(tokens: number, ms: number): void {
    // A short last chunk says little about a long one when it was fast.
    if (tokens < this.#chunk / 2 && ms < DECODE_TARGET_MS) return
    const fitting = (tokens * DECODE_TARGET_MS) / Math.max(ms, 1)
    const next = Math.min(fitting, this.#chunk * 2, this.#batchSize)
    this.#chunk = Math.max(next, Math.min(CHUNK_MIN, this.#batchSize))
  }
}
