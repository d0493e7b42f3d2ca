import type { TokenLogprob } from '../../../wire/chunk.ts'
import { StopStrings } from './stop-strings.ts'

/** Tokens whose text is settled, ready to be sent. */
export interface Settled {
  ids: number[]
  text: string
  logprobs: TokenLogprob[]
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

  push(id: number, bytes: Uint8Array, logprob?: TokenLogprob): Settled | undefined {
    this.#reserve(bytes.length)
    for (const byte of bytes) {
      this.#bytes[this.#length++] = byte
      this.#missing = missingAfter(this.#missing, byte)
      if (this.#stops === undefined) continue
      this.#node = this.#stops.step(this.#node, byte)
      const matched = this.#stops.matched(this.#node)
      if (matched > 0) return this.#stop(matched, id, logprob)
    }
    this.#held.push({ id, end: this.#length, whole: this.#missing === 0, logprob })
    return this.#release(this.#length - (this.#stops?.held(this.#node) ?? 0))
  }

  /** Everything still held: what looked like a stop string was none, a cut character stays cut. */
  flush(): Settled | undefined {
    return this.#take(this.#held.length, this.#length)
  }

  /** The token that holds the start of the stop string comes with the text before it. */
  #stop(matched: number, id: number, logprob: TokenLogprob | undefined): Settled | undefined {
    this.#stopped = true
    this.#held.push({ id, end: this.#length, whole: true, logprob })
    const cut = this.#length - matched
    let count = 0
    for (let start = 0; start < cut; count++) start = this.#held[count]?.end ?? cut
    return this.#take(count, cut)
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
    if (count === 0) return undefined
    const taken = this.#held.splice(0, count)
    const text = this.#decoder.decode(this.#bytes.subarray(0, end))
    this.#bytes.copyWithin(0, end, this.#length)
    this.#length -= end
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
