import type { NativeModel } from './binding.ts'

/** llama.cpp's llama_token_attr. */
const attribute = { unknown: 1, control: 8, userDefined: 16, byte: 64 } as const

const noBytes = new Uint8Array(0)

/**
 * The true bytes of each token: a token may hold a part of a character, which the library's own
 * detokenizer turns into a replacement mark. Filled on demand, since vocabularies are large.
 */
export class TokenTable {
  readonly #model: NativeModel
  readonly #vocabulary: string
  readonly #bytes: (Uint8Array | undefined)[] = []
  readonly #end: (boolean | undefined)[] = []

  /** `vocabulary`: how its texts are written, in the library's words. */
  constructor(model: NativeModel, vocabulary: string) {
    this.#model = model
    this.#vocabulary = vocabulary
  }

  /** Whether an answer ends at this token. */
  isEnd(token: number): boolean {
    this.#end[token] ??= this.#model.isEogToken(token)
    return this.#end[token]
  }

  /** Empty for control tokens: they are never a part of an answer's text. */
  bytes(token: number): Uint8Array {
    this.#bytes[token] ??= this.#read(token)
    return this.#bytes[token]
  }

  /**
   * The text that always becomes this one token, whatever stands around it. Most tokens have none;
   * control tokens only where they are read as such.
   */
  atomicText(token: number, special: boolean): string | undefined {
    const atomic = special ? attribute.control | attribute.userDefined : attribute.userDefined
    if ((this.#model.getTokenAttributes(token) & atomic) === 0) return undefined
    return this.#model.getTokenString(token)
  }

  #read(token: number): Uint8Array {
    const attributes = this.#model.getTokenAttributes(token)
    if ((attributes & (attribute.unknown | attribute.control)) !== 0) return noBytes
    const text = this.#model.getTokenString(token) ?? ''
    if ((attributes & attribute.userDefined) !== 0) return Buffer.from(text)
    if (this.#vocabulary === 'bpe') return byteLevel(text)
    if (['spm', 'wpm', 'ugm'].includes(this.#vocabulary)) {
      if ((attributes & attribute.byte) !== 0) return Uint8Array.of(Number(text.slice(1, -1)))
      return Buffer.from(text.replaceAll('\u2581', ' '))
    }
    return Buffer.from(this.#model.detokenize(Uint32Array.of(token)))
  }
}

/** GPT-2's alphabet: printable Latin-1 stands for itself, every other byte for 256 and up, in order. */
const byteOfCharacter = new Map<string, number>()
for (let byte = 0, other = 256; byte < 256; byte++) {
  const printable =
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255)
  byteOfCharacter.set(String.fromCodePoint(printable ? byte : other++), byte)
}

function byteLevel(text: string): Uint8Array {
  const bytes: number[] = []
  for (const character of text) {
    const byte = byteOfCharacter.get(character)
    if (byte === undefined) bytes.push(...Buffer.from(character))
    else bytes.push(byte)
  }
  return Uint8Array.from(bytes)
}
