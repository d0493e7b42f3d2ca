import { sha256 } from '@noble/hashes/sha2.js'
import { canonicalJson } from './canonical-json.ts'

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
  readonly #plain
  #isPlain: boolean
  /** Half of a surrogate pair, whose other half is in the next piece. */
  #half = ''

  constructor({ choices, nonce = new Uint8Array() }: ResultOptions) {
    const none = (): Choice => ({ content: '', reasoning: '', tools: [] })
    this.#choices = Array.from({ length: choices }, none)
    this.#nonce = nonce
    this.#plain = sha256.create().update(nonce)
    this.#isPlain = choices === 1
  }

  text(choice: number, piece: string): void {
    this.#choice(choice).content += piece
    if (!this.#isPlain || piece === '') return
    const whole = this.#half + piece
    const splits = isHighSurrogate(whole.charCodeAt(whole.length - 1))
    this.#half = splits ? whole.slice(-1) : ''
    this.#plain.update(utf8.encode(splits ? whole.slice(0, -1) : whole))
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
    if (this.#isPlain) return this.#plain.clone().update(utf8.encode(this.#half)).digest()
    const choices = this.#choices.map(({ content, reasoning, tools }) => ({
      content,
      reasoning_content: reasoning,
      tool_calls: tools,
    }))
    return sha256
      .create()
      .update(this.#nonce)
      .update(utf8.encode(canonicalJson(choices)))
      .digest()
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
  const hash = sha256.create().update(nonce)
  // All platforms that a peer or a browser runs on are little-endian.
  for (const { buffer, byteOffset, byteLength } of vectors) {
    hash.update(new Uint8Array(buffer, byteOffset, byteLength))
  }
  return hash.digest()
}
