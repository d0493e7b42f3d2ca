import type { TokenLogprob, Tokens } from '../../wire/chunk.ts'

/** Token ids in one frame. */
export const FRAME_TOKENS_MAX = 16
/**
 * A frame costs a receiver about what 16 tokens cost, so the fastest streams are worth the wait. One
 * of up to 500 tokens a second never waits; the protocol allows 5.
 */
export const HOLD_MS = 2
/** By our estimate, which is never too low, and so that the text alone is within its bound. */
const BYTES_MAX = 31 * 1024
/** Characters of one frame's text, at up to 3 bytes of UTF-8 each. */
const CHARS_MAX = 8 * 1024
const ID_BYTES_MAX = 5
/** Tags and lengths of one log-probability, and its number. */
const LOGPROB_BYTES = 24

interface Choice {
  held: Tokens | undefined
  bytes: number
  sentAt: number
}

/**
 * Gathers tokens that are ready at about the same time into frames, each choice for itself: what
 * comes after a pause goes out at once, what follows within HOLD_MS of it goes out together.
 */
export class Coalescer {
  readonly #choices = new Map<number, Choice>()
  readonly #send: (tokens: Tokens) => void
  #holding = 0

  constructor(send: (tokens: Tokens) => void) {
    this.#send = send
  }

  /** Something is held, and must be flushed within HOLD_MS of when it came. */
  get holds(): boolean {
    return this.#holding > 0
  }

  add(tokens: Tokens, now: number): void {
    const choice = this.#choice(tokens.choice)
    // A frame is of what is said, or of one call.
    if (choice.held?.call?.index !== tokens.call?.index) this.#release(choice, now)
    for (const piece of piecesOf(tokens)) {
      const bytes = bytesOf(piece)
      const ids = (choice.held?.ids.length ?? 0) + piece.ids.length
      if (ids > FRAME_TOKENS_MAX || choice.bytes + bytes > BYTES_MAX) this.#release(choice, now)
      this.#holding += choice.held === undefined ? 1 : 0
      choice.held = choice.held === undefined ? piece : joined(choice.held, piece)
      choice.bytes += bytes
    }
    const full = (choice.held?.ids.length ?? 0) >= FRAME_TOKENS_MAX
    if (full || now - choice.sentAt >= HOLD_MS) this.#release(choice, now)
  }

  /** Sends all that is held. */
  flush(now: number): void {
    for (const choice of this.#choices.values()) this.#release(choice, now)
  }

  #choice(index: number): Choice {
    let choice = this.#choices.get(index)
    if (choice === undefined) {
      choice = { held: undefined, bytes: 0, sentAt: Number.NEGATIVE_INFINITY }
      this.#choices.set(index, choice)
    }
    return choice
  }

  #release(choice: Choice, now: number): void {
    const { held } = choice
    if (held === undefined) return
    choice.held = undefined
    choice.bytes = 0
    choice.sentAt = now
    this.#holding--
    this.#send(held)
  }
}

function joined(first: Tokens, next: Tokens): Tokens {
  const logprobs = first.logprobs && next.logprobs && [...first.logprobs, ...next.logprobs]
  return {
    ...first,
    ids: [...first.ids, ...next.ids],
    text: first.text + next.text,
    ...(logprobs && { logprobs }),
  }
}

function bytesOf({ ids, text, logprobs }: Tokens): number {
  let bytes = ids.length * ID_BYTES_MAX + text.length * 3
  for (const logprob of logprobs ?? []) bytes += logprobBytes(logprob)
  return bytes
}

function logprobBytes({ token, bytes, top }: TokenLogprob): number {
  let sum = LOGPROB_BYTES + token.length * 3 + bytes.length
  for (const other of top) sum += LOGPROB_BYTES + other.token.length * 3 + other.bytes.length
  return sum
}

/** The same tokens, in parts that each fit into a frame. */
function piecesOf(tokens: Tokens): Tokens[] {
  if (tokens.ids.length <= FRAME_TOKENS_MAX && bytesOf(tokens) <= BYTES_MAX) return [tokens]
  const texts = partsOf(tokens.text)
  // Spread over the text, as a frame without a token is one that readers do not expect.
  const spread = Math.max(1, Math.floor(tokens.ids.length / texts.length))
  const groups = groupsOf(tokens, Math.min(spread, FRAME_TOKENS_MAX))
  const count = Math.max(groups.length, texts.length)
  let index = tokens.index
  return Array.from({ length: count }, (_, at) => {
    const { ids, logprobs } = groups[at] ?? { ids: [], logprobs: [] }
    const piece: Tokens = {
      type: 'tokens',
      choice: tokens.choice,
      index,
      ids,
      // The text of a token must not come before the token.
      text: texts[at - (count - texts.length)] ?? '',
      ...(tokens.logprobs && { logprobs }),
      ...(tokens.call && { call: tokens.call }),
    }
    index += ids.length
    return piece
  })
}

interface Group {
  ids: number[]
  logprobs: TokenLogprob[]
}

function groupsOf({ ids, logprobs = [] }: Tokens, idsMax: number): Group[] {
  const groups: Group[] = []
  let group: Group | undefined
  let bytes = 0
  for (const [at, id] of ids.entries()) {
    const logprob = logprobs[at]
    const more = logprob === undefined ? 0 : logprobBytes(logprob)
    const full = group?.ids.length === idsMax || bytes + more > BYTES_MAX
    if (group === undefined || full) {
      group = { ids: [], logprobs: [] }
      groups.push(group)
      bytes = 0
    }
    group.ids.push(id)
    if (logprob !== undefined) group.logprobs.push(logprob)
    bytes += more
  }
  return groups
}

/**
 * Of one length, so that none of them comes before the tokens that hold it. Cut between characters: half of one is
 * none in UTF-8.
 */
function partsOf(text: string): string[] {
  const count = Math.ceil(text.length / CHARS_MAX)
  const cuts = Array.from({ length: count + 1 }, (_, at) => {
    const cut = Math.floor((text.length * at) / count)
    return at < count && isHighSurrogate(text.charCodeAt(cut - 1)) ? cut - 1 : cut
  })
  return cuts.slice(1).map((to, at) => text.slice(cuts[at], to))
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff
}
