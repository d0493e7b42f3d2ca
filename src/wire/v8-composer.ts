import type { Tokens } from './chunk.ts'
import { utf8Length } from './utf8-length.ts'
import {
  type StreamError,
  type StreamOpen,
  type TokenCommit,
  type TokenFinalize,
  type V8Event,
  v8Limits,
} from './v8-event.ts'

/** Tokens that somebody drafted, as in a `Provisional` frame. */
export interface Drafts {
  /** Position of `ids[0]` in the answer. */
  index: number
  ids: readonly number[]
  text: string
  /** A peer id: where the frame has none, that of the provider. */
  drafter: string
}

interface Ghost {
  id: number
  bytes: number
}

/** UTF-16 units of one event's text, at up to three bytes each. */
const TEXT_CHARS_MAX = Math.floor(v8Limits.textBytes / 3)
/** What OpenAI writes for "as good as impossible"; JSON has no minus infinity. */
const LOGPROB_MIN = -9999

/**
 * Writes one answer down as a v8 stream. Its tokens decide: what was drafted otherwise is rolled back
 * before them, whether or not its engine says so. Drafts that do not fit are not shown.
 */
export class V8Composer {
  readonly #requestId: string
  #committed = 0
  #rolledBack = 0
  #ghosts: Ghost[] = []
  #ghostBytes = 0

  constructor(requestId: string) {
    this.#requestId = requestId
  }

  open(opened: Omit<StreamOpen, 'event' | 'request_id'>): V8Event[] {
    return [{ event: 'stream.open', request_id: this.#requestId, ...opened }]
  }

  drafts({ index, ids, text, drafter }: Drafts, tsMs: number): V8Event[] {
    const at = index - this.#committed
    if (at < 0 || at > this.#ghosts.length || ids.length === 0) return []
    const events = this.#withdraw(at, 'redrafted')
    const bytes = utf8Length(text)
    if (!this.#hasRoom(ids.length, bytes)) return events
    for (const [n, id] of ids.entries()) {
      // Who drafts several at once does not say whose text is whose.
      const isLast = n === ids.length - 1
      events.push({
        event: 'token.provisional',
        request_id: this.#requestId,
        id: index + n,
        text: isLast ? text : '',
        draft_node: drafter,
        ts_ms: tsMs,
      })
      this.#ghosts.push({ id, bytes: isLast ? bytes : 0 })
    }
    this.#ghostBytes += bytes
    return events
  }

  tokens({ index, ids, text, logprobs }: Pick<Tokens, 'index' | 'ids' | 'text' | 'logprobs'>) {
    if (index !== this.#committed) {
      throw new RangeError(`tokens from ${index} on, and not from ${this.#committed}`)
    }
    if (index + ids.length === 0 && text !== '') throw new RangeError('text before any token')
    const events: V8Event[] = []
    const [first = '', ...rest] = partsOf(text)
    for (const [n, id] of ids.entries()) {
      const [ghost] = this.#ghosts
      if (ghost !== undefined && ghost.id !== id)
        events.push(...this.#withdraw(0, 'token_mismatch'))
      this.#settle()
      // Their text is settled once the last of them is there.
      const settled = n === ids.length - 1 ? first : ''
      const logprob = Math.max(logprobs?.[n]?.logprob ?? Number.NaN, LOGPROB_MIN)
      events.push(this.#commit(settled, Number.isNaN(logprob) ? null : logprob))
    }
    const more = ids.length === 0 && first !== '' ? [first, ...rest] : rest
    for (const part of more) events.push({ ...this.#commit(part, null), rest: true })
    return events
  }

  /** Drafts from `from` on are gone; that a peer was lost is told even where there were none. */
  rollback({ from, reason }: { from: number; reason: string }): V8Event[] {
    const at = Math.max(0, from - this.#committed)
    const kept = Math.min(at, this.#ghosts.length)
    const events = this.#withdraw(kept, reason || 'token_mismatch')
    if (events.length > 0 || reason !== 'node_lost') return events
    const last = this.#committed + this.#ghosts.length
    return [{ event: 'token.rollback', request_id: this.#requestId, from_id: last, reason }]
  }

  /** `start`: where the part of the answer begins that it is a receipt of. */
  segment({ cid, start, end }: { cid: string; start: number; end: number }): V8Event[] {
    return [
      {
        event: 'receipt.bound',
        request_id: this.#requestId,
        cid,
        segment_start: start,
        segment_end: end - 1,
      },
    ]
  }

  finalize(final: Pick<TokenFinalize, 'finish_reason' | 'usage' | 'receipt'>): V8Event[] {
    const reason = final.finish_reason === 'stop' ? 'stop_sequence' : final.finish_reason
    return [
      ...this.#withdraw(0, reason),
      {
        event: 'token.finalize',
        request_id: this.#requestId,
        final_cid: final.receipt?.cid ?? null,
        tokens_committed: this.#committed,
        tokens_rolled_back: this.#rolledBack,
        ...final,
      },
    ]
  }

  fail(error: StreamError['error']): V8Event[] {
    return [{ event: 'error', request_id: this.#requestId, error }]
  }

  #commit(text: string, logprob: number | null): TokenCommit {
    const id = this.#committed - 1
    return { event: 'token.commit', request_id: this.#requestId, id, text, logprob }
  }

  #settle(): void {
    this.#committed++
    this.#ghostBytes -= this.#ghosts.shift()?.bytes ?? 0
  }

  /** All but the first `kept` drafts. */
  #withdraw(kept: number, reason: string): V8Event[] {
    const gone = this.#ghosts.splice(kept)
    if (gone.length === 0) return []
    this.#rolledBack += gone.length
    for (const { bytes } of gone) this.#ghostBytes -= bytes
    const from = this.#committed + kept
    return [{ event: 'token.rollback', request_id: this.#requestId, from_id: from, reason }]
  }

  /** Also for the rollback that may come of it. */
  #hasRoom(tokens: number, bytes: number): boolean {
    const standing = this.#ghosts.length + tokens
    const { rolledBackAtFirst, rolledBackPerToken } = v8Limits
    const mayGo = rolledBackAtFirst + rolledBackPerToken * this.#committed
    return (
      standing <= v8Limits.ghosts &&
      this.#ghostBytes + bytes <= v8Limits.ghostBytes &&
      this.#rolledBack + standing <= mayGo
    )
  }
}

/** Cut between characters. */
function partsOf(text: string): string[] {
  if (text.length <= TEXT_CHARS_MAX) return [text]
  const parts: string[] = []
  for (let from = 0; from < text.length; ) {
    let to = Math.min(from + TEXT_CHARS_MAX, text.length)
    if (to < text.length && isHighSurrogate(text.charCodeAt(to - 1))) to--
    parts.push(text.slice(from, to))
    from = to
  }
  return parts
}

const isHighSurrogate = (unit: number): boolean => unit >= 0xd800 && unit < 0xdc00
