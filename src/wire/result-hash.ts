import { sha256 as portable } from '@noble/hashes/sha2.js'
import { canonicalJson } from './canonical-json.ts'
import { joinBytes } from './octets.ts'
import { sha256 } from './sha256.ts'

const utf8 = new TextEncoder()

interface Choice {
  content: string
  reasoning: string
  tools: { name: string; arguments: string }[]
}

export interface ResultOptions {
  /** Of the whole answer; they are known before it begins. */
  choices: number
  /** 32 bytes that are hashed first: a salted receipt does not give a guessed answer away. */
  nonce?: Uint8Array
}

/**
 * The hash of an answer while it is made. One choice of plain text is the SHA-256 of its UTF-8,
 * taken token by token; anything else is that of the canonical JSON of all choices.
 */
export class ResultHasher {
  readonly #choices: Choice[]
  readonly #nonce: Uint8Array
  #isPlain: boolean
  /** What was not hashed yet. */
  #pending = ''
  /** Of what was, from the second time on that it was asked for: most answers are hashed once. */
  #running: ReturnType<typeof portable.create> | undefined
  #isAsked = false

  constructor({ choices, nonce = new Uint8Array() }: ResultOptions) {
    const none = (): Choice => ({ content: '', reasoning: '', tools: [] })
    this.#choices = Array.from({ length: choices }, none)
    this.#nonce = nonce
    this.#isPlain = choices === 1
  }

  text(choice: number, piece: string): void {
    this.#choice(choice).content += piece
    if (this.#isPlain) this.#pending += piece
  }

  reasoning(choice: number, piece: string): void {
    if (piece === '') return
    this.#isPlain = false
    this.#choice(choice).reasoning += piece
  }

  /** `name` comes whole, with the first piece of a call or with each; the arguments in pieces. */
  tool(choice: number, index: number, { name, piece }: { name: string; piece: string }): void {
    this.#isPlain = false
    const { tools } = this.#choice(choice)
    const call = tools[index] ?? { name: '', arguments: '' }
    if (index > tools.length) throw new RangeError(`tool call ${index} comes before its turn`)
    tools[index] = { name: name || call.name, arguments: call.arguments + piece }
  }

  /** Of all that came so far; more may come. */
  digest(): Uint8Array {
    if (this.#isPlain) return this.#plainDigest()
    const choices = this.#choices.map(({ content, reasoning, tools }) => ({
      content,
      reasoning_content: reasoning,
      tool_calls: tools,
    }))
    return this.#salted(canonicalJson(choices))
  }

  #plainDigest(): Uint8Array {
    if (!this.#isAsked) {
      this.#isAsked = true
      return this.#salted(this.#pending)
    }
    this.#running ??= portable.create().update(this.#nonce)
    // Half of a surrogate pair, whose other half is in the next piece.
    const splits = isHighSurrogate(this.#pending.charCodeAt(this.#pending.length - 1))
    this.#running.update(utf8.encode(splits ? this.#pending.slice(0, -1) : this.#pending))
    this.#pending = splits ? this.#pending.slice(-1) : ''
    return this.#running.clone().update(utf8.encode(this.#pending)).digest()
  }

  #salted(text: string): Uint8Array {
    return sha256(joinBytes(this.#nonce, utf8.encode(text)))
  }

  #choice(choice: number): Choice {
    const found = this.#choices[choice]
    if (found === undefined) throw new RangeError(`there is no choice ${choice}`)
    return found
  }
}

const isHighSurrogate = (code: number): boolean => code >= 0xd800 && code < 0xdc00

/** Of vectors in the order of their inputs: their float32, little-endian. */
export function vectorsHash(vectors: readonly Float32Array[], nonce = new Uint8Array()) {
  const hash = portable.create().update(nonce)
  // All platforms that a peer or a browser runs on are little-endian.
  for (const { buffer, byteOffset, byteLength } of vectors) {
    hash.update(new Uint8Array(buffer, byteOffset, byteLength))
  }
  return hash.digest()
}

const ID_BYTES = 4

/** Of guesses that came true: their ids, each 4 bytes, little-endian. */
export function guessesHash(
  ids: readonly number[],
  nonce: Uint8Array = new Uint8Array(),
): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(ids.length * ID_BYTES))
  for (const [at, id] of ids.entries()) bytes.setUint32(at * ID_BYTES, id, true)
  return sha256(joinBytes(nonce, new Uint8Array(bytes.buffer)))
}
