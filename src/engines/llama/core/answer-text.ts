import type { TokenLogprob } from '../../../wire/chunk.ts'
import { StopStrings } from './stop-strings.ts'

/** Tokens whose text is settled, ready to be sent. */
export interface Settled {
  ids: number[]
  text: string
  logprobs: TokenLogprob[]
}

/** Tokens that may come next, and the text they would have with those that are held. */
export interface Preview {
  ids: number[]
  text: string
}

interface Held {
  id: number
  /** Where its bytes end among the held bytes. */
  end: number
  /** No character is open at its end. */
  whole: boolean
  logprob: TokenLogprob | undefined
}

/**
 * Turns one choice's tokens into text: whole characters only, nothing of a stop string or behind it,
 * and text that may be the start of one is held back until that is decided. Work per token depends
 * on that token's bytes alone.
 */
export class AnswerText {
  readonly #stops: StopStrings | undefined
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  #held: Held[] = []
  #bytes = new Uint8Array(256)
  #length = 0
  /** Of the held bytes, those before the first held token: their tokens were delivered before. */
  #carried = 0
  #node = StopStrings.start
  /** Bytes that the open character still needs. */
  #missing = 0
  #stopped = false

  constructor(stops: StopStrings | undefined) {
    this.#stops = stops
  }

  /** A stop string was found: nothing more may be pushed. */
  get stopped(): boolean {
    return this.#stopped
  }

  /**
   * Takes up an answer that was begun elsewhere: its tokens so far have these bytes, and `text` of
   * them was delivered. False where that does not begin what they say. Before the first `push`.
   */
  resume(bytes: Uint8Array, text: string): boolean {
    const end = this.#end(bytes)
    const settled = this.#decoder.decode(bytes.subarray(0, end))
    if (settled.startsWith(text)) {
      const open = this.#stopped ? bytes.length : end
      this.#carry(Buffer.from(settled.slice(text.length)), bytes.subarray(open))
      return true
    }
    // There a cut character was shown as a replacement mark, or no stop string was looked for.
    const said = this.#decoder.decode(bytes)
    if (!said.startsWith(text)) return false
    if (!this.#stopped) this.#carry(Buffer.from(said.slice(text.length)))
    return true
  }

  push(id: number, bytes: Uint8Array, logprob?: TokenLogprob): Settled | undefined {
    this.#reserve(bytes.length)
    for (const byte of bytes) {
      this.#bytes[this.#length++] = byte
      const matched = this.#step(byte)
      if (matched > 0) return this.#stop(matched, id, logprob)
    }
    this.#held.push({ id, end: this.#length, whole: this.#missing === 0, logprob })
    return this.#release(this.#length - (this.#stops?.held(this.#node) ?? 0))
  }

  /**
   * Everything still held: what looked like a stop string was none, a cut character stays cut. It has
   * no tokens where they were delivered before.
   */
  flush(): Settled | undefined {
    return this.#take(this.#held.length, this.#length)
  }

  /** What these tokens would say, in parts that end with a character, until a stop string is whole. */
  preview(ids: readonly number[], bytesOf: (id: number) => Uint8Array): Preview[] {
    const parts: Preview[] = []
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
    let part = this.#held.map(({ id }) => id)
    let text = decoder.decode(this.#bytes.subarray(0, this.#length), { stream: true })
    let node = this.#node
    let missing = this.#missing
    for (const id of ids) {
      const bytes = bytesOf(id)
      for (const byte of bytes) {
        missing = missingAfter(missing, byte)
        node = this.#stops?.step(node, byte) ?? node
        if ((this.#stops?.matched(node) ?? 0) > 0) return parts
      }
      part.push(id)
      text += decoder.decode(bytes, { stream: true })
      if (missing > 0) continue
      parts.push({ ids: part, text })
      part = []
      text = ''
    }
    return parts
  }

  /** Length of the stop string that this byte completes, or 0. */
  #step(byte: number): number {
    this.#missing = missingAfter(this.#missing, byte)
    if (this.#stops === undefined) return 0
    this.#node = this.#stops.step(this.#node, byte)
    return this.#stops.matched(this.#node)
  }

  /** Where what is settled ends: before the stop string, or before the character that is open. */
  #end(bytes: Uint8Array): number {
    for (let at = 0; at < bytes.length; at++) {
      const matched = this.#step(bytes[at] ?? 0)
      if (matched === 0) continue
      this.#stopped = true
      return at + 1 - matched
    }
    if (this.#missing === 0) return bytes.length
    return bytes.findLastIndex((byte) => (byte & 0xc0) !== 0x80)
  }

  #carry(...parts: Uint8Array[]): void {
    for (const part of parts) {
      this.#reserve(part.length)
      this.#bytes.set(part, this.#length)
      this.#length += part.length
    }
    this.#carried = this.#length
  }

  /** The token that holds the start of the stop string comes with the text before it. */
  #stop(matched: number, id: number, logprob: TokenLogprob | undefined): Settled | undefined {
    this.#stopped = true
    this.#held.push({ id, end: this.#length, whole: true, logprob })
    // A stop string may have begun in text that was delivered elsewhere.
    const cut = Math.max(0, this.#length - matched)
    let count = 0
    for (let start = this.#carried; start < cut; count++) start = this.#held[count]?.end ?? cut
    const settled = this.#take(count, cut)
    this.#held = []
    this.#length = 0
    return settled
  }

  #release(settled: number): Settled | undefined {
    let count = this.#held.length
    for (; count > 0; count--) {
      const last = this.#held[count - 1]
      if (last?.whole && last.end <= settled) break
    }
    return this.#take(count, this.#held[count - 1]?.end ?? 0)
  }

  #take(count: number, end: number): Settled | undefined {
    if (count === 0 && end === 0) return undefined
    const taken = this.#held.splice(0, count)
    const text = this.#decoder.decode(this.#bytes.subarray(0, end))
    this.#bytes.copyWithin(0, end, this.#length)
    this.#length -= end
    this.#carried = 0
    for (const held of this.#held) held.end -= end
    const logprobs = taken.flatMap(({ logprob }) => (logprob === undefined ? [] : [logprob]))
    return { ids: taken.map(({ id }) => id), text, logprobs }
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return
    const larger = new Uint8Array((this.#length + more) * 2)
    larger.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = larger
  }
}

function missingAfter(missing: number, byte: number): number {
  if (missing > 0 && (byte & 0xc0) === 0x80) return missing - 1
  if (byte >= 0xc2 && byte <= 0xdf) return 1
  if (byte >= 0xe0 && byte <= 0xef) return 2
  if (byte >= 0xf0 && byte <= 0xf4) return 3
  return 0
}
