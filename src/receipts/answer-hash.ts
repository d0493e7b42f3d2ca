import { sha256 as portable } from '@noble/hashes/sha2.js'
import { finishesOf } from '../engines/lanes.ts'
import type { Tokens, Vectors } from '../wire/chunk.ts'
import type { Work } from '../wire/job.ts'
import { ResultHasher } from '../wire/result-hash.ts'
import { sha256 } from '../wire/sha256.ts'

/** What came of one choice, and where in it it may be cut. */
class Lane {
  text = ''
  tokens = 0
  /** Tokens and UTF-16 units after each piece, in turn. */
  readonly #marks: number[] = [0, 0]

  add(tokens: number, text: string): void {
    this.tokens += tokens
    this.text += text
    this.#marks.push(this.tokens, this.text.length)
  }

  /** The text of so many tokens; undefined where no piece ends. */
  upTo(tokens: number): string | undefined {
    // Who cuts an answer has nearly all of it.
    for (let at = this.#marks.length - 2; at >= 0; at -= 2) {
      if (this.#marks[at] === tokens) return this.text.slice(0, this.#marks[at + 1])
    }
    return undefined
  }
}

/** The result hash of an answer, in whatever pieces it comes. */
export class AnswerHash {
  readonly #nonce: Uint8Array
  readonly #texts: ResultHasher
  /** Of an embedding. */
  readonly #vectors: ReturnType<typeof portable.create> | undefined
  readonly #lanes: Lane[]
  /** Vectors that came before their turn. */
  readonly #early = new Map<number, Float32Array>()
  #nextVector = 0

  /** `nonce`: of a salted receipt. */
  constructor(work: Work, nonce: Uint8Array = new Uint8Array()) {
    const choices = finishesOf(work)
    this.#nonce = nonce
    this.#texts = new ResultHasher({ choices, nonce })
    this.#vectors = work.kind === 'embedding' ? portable.create().update(nonce) : undefined
    this.#lanes = Array.from({ length: choices }, () => new Lane())
  }

  /** Tokens of each choice. */
  get received(): number[] {
    return this.#lanes.map(({ tokens }) => tokens)
  }

  tokens({ choice, ids, text }: Pick<Tokens, 'choice' | 'ids' | 'text'>): void {
    this.#texts.text(choice, text)
    this.#lanes[choice]?.add(ids.length, text)
  }

  vectors({ first, vectors }: Pick<Vectors, 'first' | 'vectors'>): void {
    for (const [at, vector] of vectors.entries()) this.#early.set(first + at, vector)
    for (;;) {
      const vector = this.#early.get(this.#nextVector)
      if (vector === undefined) return
      this.#early.delete(this.#nextVector++)
      const { buffer, byteOffset, byteLength } = vector
      // All platforms that a peer runs on are little-endian.
      this.#vectors?.update(new Uint8Array(buffer, byteOffset, byteLength))
    }
  }

  /** Of all that came so far. */
  digest(): Uint8Array {
    return this.#vectors?.clone().digest() ?? this.#texts.digest()
  }

  /**
   * Of so many tokens of each choice; undefined where no piece ends there. Vectors that were not
   * wanted to the end are none.
   */
  digestOf(received: readonly number[]): Uint8Array | undefined {
    const cut = new ResultHasher({ choices: this.#lanes.length, nonce: this.#nonce })
    for (const [choice, lane] of this.#lanes.entries()) {
      const text = lane.upTo(received[choice] ?? 0)
      if (text === undefined) return undefined
      cut.text(choice, text)
    }
    return this.#vectors === undefined ? cut.digest() : sha256(this.#nonce)
  }
}
