import type { CallPlace, TokenLogprob, Tokens } from '../../wire/chunk.ts'

/** Of a piece whose server does not count: as many UTF-16 units as a token is believed to have at most. */
const TEXT_PER_TOKEN = 256
/** No token has more, and no peer takes more for one: behind the last that was asked for, the answer is over. */
const TEXT_PER_TOKEN_MAX = 1_024
/** Some cut a token into characters. */
const HELD_PIECES_MAX = 512
/** Of tokens without a text of their own, in one chunk. */
const SILENT_MAX = 16
/** OpenAI's word for a token whose log-probability is not known. */
const LOGPROB_UNKNOWN = -9999

export interface Piece {
  text: string
  /** It stands for a token, though it has no text to show. */
  isSilent?: boolean
  /** Tokens of the answer up to here, as the server counts them. */
  total?: number | undefined
  logprobs?: TokenLogprob[] | undefined
  /** The text is a part of its arguments. */
  call?: CallPlace | undefined
}

export interface TallyOptions {
  choice: number
  /** Tokens that may be written. */
  tokensMax: number
  /** Each token must come with its log-probability. */
  isScored: boolean
}

/** What waits for tokens that it may come with: of what is said, or of one call. */
interface Held {
  text: string
  call: CallPlace | undefined
}

/**
 * Counts the tokens of one answer whose server sends text and no token ids. A piece is at least one
 * token; what the server itself says of how many there are is believed as far as it fits: never less
 * than what was delivered already, never more than was asked for. The ids of its tokens are all 0:
 * they stand for something that nobody here has seen.
 */
export class Tally {
  readonly #options: TallyOptions
  #sent = 0
  #held: Held[] = []
  #heldUnits = 0
  /** Of a character that was cut in two, until the rest of it comes. */
  #half: Held = { text: '', call: undefined }
  #heldPieces = 0
  #heldLogprobs: TokenLogprob[] = []
  #total = 0
  #isCut = false

  constructor(options: TallyOptions) {
    this.#options = options
  }

  /** Tokens delivered. */
  get sent(): number {
    return this.#sent
  }

  /** More came than anybody asked for: the rest is not worth waiting for. */
  get isOver(): boolean {
    const isTooMuch = this.#heldUnits > TEXT_PER_TOKEN_MAX || this.#heldPieces > HELD_PIECES_MAX
    return this.#isCut || isTooMuch
  }

  /** Something of it did not go into the tokens that it may have. */
  get isCut(): boolean {
    return this.#isCut
  }

  /** None where what came waits for more. */
  add({ text: cut, isSilent = false, total, logprobs = [], call }: Piece): Tokens[] {
    // Each event says something beside what is called in it, though it be nothing.
    const saysNothing = cut === '' && call === undefined
    if (!saysNothing && this.#half.call?.index !== call?.index) this.#endHalf()
    const text = saysNothing ? '' : this.#whole(cut, call)
    if (total !== undefined) this.#total = Math.max(this.#total, total)
    const isNothing = text === '' && !isSilent && logprobs.length === 0
    if (isNothing && (call === undefined || this.#half.text !== '')) return []
    this.#hold(text, call)
    this.#heldLogprobs.push(...logprobs)
    const { tokensMax, isScored } = this.#options
    // The last one is kept for whatever still comes: text never goes without a token.
    const room = tokensMax - 1 - this.#sent
    const count = Math.min(room, isScored ? this.#heldLogprobs.length : this.#guess(text))
    return this.#deliver(count)
  }

  /** What is left, and the tokens that had no text, in so many chunks as that takes. */
  end(total?: number): Tokens[] {
    this.#endHalf()
    if (total !== undefined) this.#total = Math.max(this.#total, total)
    const { tokensMax, isScored } = this.#options
    const room = tokensMax - this.#sent
    if (isScored) {
      const scores = Math.min(room, this.#heldLogprobs.length)
      if (this.#heldUnits === 0 && scores === 0) return []
      if (scores === 0) this.#heldLogprobs = [unscored(this.#held[0]?.text ?? '')]
      return this.#deliver(Math.max(1, scores))
    }
    this.#isCut ||= this.#held.length > room
    let rest = Math.min(room, this.#total - this.#sent)
    const last: Tokens[] = []
    if (this.#heldPieces > 0) {
      const count = Math.min(room, Math.max(this.#held.length, Math.min(SILENT_MAX, rest)))
      rest -= count
      last.push(...this.#deliver(count))
    }
    for (; rest > 0; rest -= SILENT_MAX) {
      last.push(this.#tokens({ text: '', call: undefined }, Math.min(rest, SILENT_MAX)))
    }
    return last
  }

  #hold(text: string, call: CallPlace | undefined): void {
    const last = this.#held.at(-1)
    // A token without a text belongs to whatever was written.
    const isSilent = text === '' && call === undefined
    if (last !== undefined && (isSilent || last.call?.index === call?.index)) last.text += text
    else this.#held.push({ text, call })
    this.#heldUnits += text.length
    this.#heldPieces++
  }

  /** Some servers count in UTF-16, and cut a character; half of one goes to nobody else. */
  #whole(cut: string, call: CallPlace | undefined): string {
    const text = this.#half.text + cut
    const splits = /[\ud800-\udbff]$/.test(text)
    this.#half = { text: splits ? text.slice(-1) : '', call }
    return (splits ? text.slice(0, -1) : text).toWellFormed()
  }

  /** Its other half never came. */
  #endHalf(): void {
    const { text, call } = this.#half
    if (text === '') return
    this.#half = { text: '', call: undefined }
    this.#hold(text.toWellFormed(), call)
  }

  #guess(text: string): number {
    const least = Math.max(1, Math.ceil(text.length / TEXT_PER_TOKEN))
    return Math.max(least, this.#held.length, this.#total - this.#sent)
  }

  /** Each part with its share of so many tokens; those that get none wait on. */
  #deliver(count: number): Tokens[] {
    if (count <= 0) return []
    const parts = this.#held.splice(0, count)
    this.#heldPieces = this.#held.length
    let rest = count
    return parts.map((part, at) => {
      const behind = parts.length - at - 1
      const wanted = Math.max(1, Math.ceil(part.text.length / TEXT_PER_TOKEN))
      const own = behind === 0 ? rest : Math.min(wanted, rest - behind)
      rest -= own
      this.#heldUnits -= part.text.length
      return this.#tokens(part, own)
    })
  }

  #tokens({ text: whole, call }: Held, count: number): Tokens {
    const text = this.#fitting(whole, count)
    const { choice, isScored } = this.#options
    const index = this.#sent
    this.#sent += count
    const ids = new Array<number>(count).fill(0)
    const tokens: Tokens = { type: 'tokens', choice, index, ids, text, ...(call && { call }) }
    if (!isScored) return tokens
    return { ...tokens, logprobs: this.#heldLogprobs.splice(0, count) }
  }

  #fitting(text: string, count: number): string {
    const units = count * TEXT_PER_TOKEN_MAX
    if (text.length <= units) return text
    this.#isCut = true
    return cutAt(text, units)
  }
}

/** Never half a character. */
const cutAt = (text: string, units: number): string =>
  /[\ud800-\udbff]/.test(text[units - 1] ?? '') ? text.slice(0, units - 1) : text.slice(0, units)

const unscored = (text: string): TokenLogprob => {
  const token = text.slice(0, 128).toWellFormed()
  return { token, bytes: [...Buffer.from(token)], logprob: LOGPROB_UNKNOWN, top: [] }
}
