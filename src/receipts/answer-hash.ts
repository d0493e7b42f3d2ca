import { sha256 as portable } from '@noble/hashes/sha2.js'
import { finishesOf } from '../engines/lanes.ts'
import type { CallPlace, Tokens, Vectors } from '../wire/chunk.ts'
import type { Resume } from '../wire/generate.ts'
import { RESUME_BYTES_MAX } from '../wire/generate-shape.ts'
import type { Work } from '../wire/job.ts'
import { ResultHasher } from '../wire/result-hash.ts'
import { sha256 } from '../wire/sha256.ts'

/** What was handed over at once. */
export type Piece = Pick<Tokens, 'choice' | 'ids' | 'text' | 'call'>

/** What came of one choice, and where in it it may be cut. */
class Lane {
  text = ''
  tokens = 0
  readonly ids: number[] = []
  readonly #calls: { call: CallPlace; piece: string; tokens: number }[] = []
  /** Tokens and UTF-16 units after each piece, in turn. */
  readonly #marks: number[] = [0, 0]

  get hasCalls(): boolean {
    return this.#calls.length > 0
  }

  add({ ids, text, call }: Piece): void {
    this.tokens += ids.length
    if (call === undefined) this.text += text
    else this.#calls.push({ call, piece: text, tokens: this.tokens })
    // Of more than a resume holds, none is of use.
    if (this.tokens <= RESUME_BYTES_MAX) for (const id of ids) this.ids.push(id)
    this.#marks.push(this.tokens, this.text.length)
  }

  /** The calls of so many tokens, piece by piece. */
  callsUpTo(tokens: number) {
    return this.#calls.filter((each) => each.tokens <= tokens)
  }

  /** The text of so many tokens, without any that came behind them; undefined where no piece ends. */
  textUpTo(tokens: number): string | undefined {
    let end: number | undefined
    // Who cuts an answer has nearly all of it.
    for (let at = this.#marks.length - 2; at >= 0; at -= 2) {
      if ((this.#marks[at] as number) < tokens) break
      if (this.#marks[at] === tokens) end = this.#marks[at + 1]
    }
    return end === undefined ? undefined : this.text.slice(0, end)
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

  tokens(piece: Piece): void {
    const { choice, text, call } = piece
    if (call === undefined) this.#texts.text(choice, text)
    else this.#texts.tool(choice, call.index, { name: call.name, piece: text })
    this.#lanes[choice]?.add(piece)
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

  /** Whether the vector of this input came. */
  has(input: number): boolean {
    return input < this.#nextVector || this.#early.has(input)
  }

  /** What came of each choice that has begun. Undefined for more than anybody is sent, and for calls. */
  resumes(): Resume[] | undefined {
    if (this.#lanes.some(({ hasCalls }) => hasCalls)) return undefined
    const begun = [...this.#lanes.entries()].filter(([, { tokens }]) => tokens > 0)
    // A token and a UTF-16 unit have a byte at least.
    const size = begun.reduce((sum, [, { tokens, text }]) => sum + tokens + text.length, 0)
    if (size > RESUME_BYTES_MAX) return undefined
    return begun.map(([choice, { text, ids }]) => ({ choice, text, ids: [...ids] }))
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
      const tokens = received[choice] ?? 0
      const text = lane.textUpTo(tokens)
      if (text === undefined) return undefined
      cut.text(choice, text)
      for (const { call, piece } of lane.callsUpTo(tokens)) {
        cut.tool(choice, call.index, { name: call.name, piece })
      }
    }
    return this.#vectors === undefined ? cut.digest() : sha256(this.#nonce)
  }
}
