/** A cancelled run frees its slot within 200 ms: a decode takes less, with something to spare. */
export const DECODE_MS_MAX = 190
/** A decode that took less of that than this leaves room to try a larger one. */
const ROOM_BELOW = 0.65
/** llama.cpp multiplies the tokens of a batch in groups of four; one left over costs as much as four. */
const GROUP = 4
/** With fewer a prompt would crawl: most of a decode would go into reading the weights. */
const CHUNK_MIN = 8
/** What to try before anything was measured. */
const CHUNK_FIRST = 64

/** How many prompt tokens to read in one decode, learned from how long the last ones took. */
export class PrefillPace {
  readonly #batchSize: number
  #chunk: number

  constructor(batchSize: number) {
    this.#batchSize = batchSize
    this.#chunk = this.#fitting(CHUNK_FIRST)
  }

  get chunk(): number {
    return this.#chunk
  }

  /** A decode that held `tokens` of prompts and took `ms`. */
  took(tokens: number, ms: number): void {
    const fitting = (tokens * DECODE_MS_MAX) / Math.max(ms, 1)
    if (ms > DECODE_MS_MAX) {
      this.#chunk = this.#fitting(fitting)
    } else if (tokens >= this.#chunk && ms < DECODE_MS_MAX * ROOM_BELOW) {
      // A part of each decode costs the same however many tokens it holds, so one more group is
      // worth a try even where the measured pace alone would not allow it.
      const larger = Math.max(this.#chunk + GROUP, Math.min(fitting, this.#chunk * 2))
      this.#chunk = this.#fitting(larger)
    }
  }

  #fitting(tokens: number): number {
    const groups = Math.floor(tokens / GROUP)
    return Math.min(Math.max(groups * GROUP, CHUNK_MIN), this.#batchSize)
  }
}
