import type { TokenLogprob, Tokens } from '../../wire/chunk.ts'

/** Of a piece whose server does not count: as many UTF-16 units as a token is believed to have at most. */
const TEXT_PER_TOKEN = 256
/** Behind the last token that was asked for: no honest server writes so much into one. */
const HELD_TEXT_MAX = 4096
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
}

export interface TallyOptions {
  choice: number
  /** Tokens that may be written. */
  tokensMax: number
  /** Each token must come with its log-probability. */
  isScored: boolean
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
  /** What waits for a token that it may come with. */
  #held = ''
  /** Of a character that was cut in two, until the rest of it comes. */
  #half = ''
  #heldPieces = 0
  #heldLogprobs: TokenLogprob[] = []
  #total = 0

  constructor(options: TallyOptions) {
    this.#options = options
  }

  /** Tokens delivered. */
  get sent(): number {
    return this.#sent
  }

  /** More came than anybody asked for: the rest is not worth waiting for. */
  get isOver(): boolean {
    return this.#held.length > HELD_TEXT_MAX || this.#heldPieces > HELD_PIECES_MAX
  }

  /** Undefined where what came waits for more. */
  add({ text: cut, isSilent = false, total, logprobs = [] }: Piece): Tokens | undefined {
    const text = this.#whole(cut)
    if (total !== undefined) this.#total = Math.max(this.#total, total)
    if (text === '' && !isSilent && logprobs.length === 0) return undefined
    this.#held += text
    this.#heldPieces++
    this.#heldLogprobs.push(...logprobs)
    const { tokensMax, isScored } = this.#options
    // The last one is kept for whatever still comes: text never goes without a token.
    const room = tokensMax - 1 - this.#sent
    const count = Math.min(room, isScored ? this.#heldLogprobs.length : this.#guess(text))
    return count > 0 ? this.#deliver(count) : undefined
  }

  /** What is left, and the tokens that had no text, in so many chunks as that takes. */
  end(total?: number): Tokens[] {
    if (this.#half !== '') {
      this.#held += this.#half.toWellFormed()
      this.#heldPieces++
      this.#half = ''
    }
    if (total !== undefined) this.#total = Math.max(this.#total, total)
    const { tokensMax, isScored } = this.#options
    const room = tokensMax - this.#sent
    const last: Tokens[] = []
    if (isScored) {
      const scores = Math.min(room, this.#heldLogprobs.length)
      if (this.#held === '' && scores === 0) return []
      if (scores === 0) this.#heldLogprobs = [unscored(this.#held)]
      return [this.#deliver(Math.max(1, scores))]
    }
    let rest = Math.min(room, this.#total - this.#sent)
    if (this.#heldPieces > 0) {
      const count = Math.min(SILENT_MAX, Math.max(1, rest))
      rest -= count
      last.push(this.#deliver(count))
    }
    for (; rest > 0; rest -= SILENT_MAX) last.push(this.#deliver(Math.min(rest, SILENT_MAX)))
    return last
  }

  /** Some servers count in UTF-16, and cut a character; half of one goes to nobody else. */
  #whole(cut: string): string {
    const text = this.#half + cut
    const splits = /[\ud800-\udbff]$/.test(text)
    this.#half = splits ? text.slice(-1) : ''
    return (splits ? text.slice(0, -1) : text).toWellFormed()
  }

  #guess(text: string): number {
    const least = Math.max(1, Math.ceil(text.length / TEXT_PER_TOKEN))
    return Math.max(least, this.#total - this.#sent)
  }

  #deliver(count: number): Tokens {
    const { choice, isScored } = this.#options
    const text = this.#held
    const index = this.#sent
    this.#held = ''
    this.#heldPieces = 0
    this.#sent += count
    const ids = new Array<number>(count).fill(0)
    const tokens: Tokens = { type: 'tokens', choice, index, ids, text }
    if (!isScored) return tokens
    return { ...tokens, logprobs: this.#heldLogprobs.splice(0, count) }
  }
}

const unscored = (text: string): TokenLogprob => {
  const token = text.slice(0, 128).toWellFormed()
  return { token, bytes: [...Buffer.from(token)], logprob: LOGPROB_UNKNOWN, top: [] }
}
