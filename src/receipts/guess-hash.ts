import { guessesHash } from '../wire/result-hash.ts'

/**
 * What came true of guesses for another's answer, and the result hash of that. Who drafts and who is
 * drafted for go by the same frames, in whatever order these cross: a guess counts where it is the
 * last one for its place. Who drafts guesses nothing that it has heard of.
 */
export class GuessHash {
  readonly #nonce: Uint8Array
  /** The answer, as far as it is told. */
  readonly #ids: number[] = []
  /** By place. */
  readonly #guesses: number[] = []

  /** `nonce`: of a salted receipt. */
  constructor(nonce: Uint8Array = new Uint8Array()) {
    this.#nonce = nonce
  }

  /** Tokens of the answer. */
  get length(): number {
    return this.#ids.length
  }

  /** So many guesses came true. */
  get right(): number {
    return this.#right().length
  }

  guessed(first: number, ids: readonly number[]): void {
    for (const [at, id] of ids.entries()) this.#guesses[first + at] = id
  }

  /** What was not told before; returns how much of it was guessed by now. */
  committed(first: number, ids: readonly number[]): number {
    let right = 0
    if (first > this.#ids.length) return right
    for (const id of ids.slice(this.#ids.length - first)) {
      if (this.#guesses[this.#ids.length] === id) right++
      this.#ids.push(id)
    }
    return right
  }

  /** Tokens of the answer from this place on. */
  told(from: number, until: number): number[] {
    return this.#ids.slice(from, until)
  }

  /** Of the first so many that came true; undefined where there are fewer. */
  digestOf(count: number): Uint8Array | undefined {
    const right = this.#right()
    return right.length < count ? undefined : guessesHash(right.slice(0, count), this.#nonce)
  }

  #right(): number[] {
    return this.#ids.filter((id, at) => this.#guesses[at] === id)
  }
}
