import { systemClock } from '../base/clock.ts'
import { unlessAborted, within } from '../base/deadline.ts'
import { PeerError } from '../base/errors.ts'
import { malformed } from '../wire/malformed.ts'
import { decodeV8Event } from '../wire/v8-codec.ts'
import { type StreamOpen, V8_DONE, type V8Event } from '../wire/v8-event.ts'
import { checkV8End, reduceV8, type V8State, v8Start } from '../wire/v8-stream.ts'
import { type AnswerBody, bodyOf, type ResponseLike } from './answer-body.ts'
import { EventStreamDecoder } from './event-stream.ts'

/** An answer as it is to be shown right now. */
export interface GhostView {
  /** What is the answer's for good; of the view after this one it is the beginning. */
  committed: string
  /** What is drafted behind it. All of it may be another text in the next view. */
  ghost: string
  /** What led here: with a commit's `text`, a page adds to what it shows instead of showing all anew. */
  event: V8Event
  /** Who makes the answer; undefined in the view of an error that came before anybody did. */
  opened: StreamOpen | undefined
  /** In the answer; of them drafted; and drafts that were taken back. */
  tokens: { committed: number; accepted: number; rolledBack: number }
  /** The answer is whole. */
  isDone: boolean
}

export interface GhostOptions {
  /** Ends the reading, and the answer with it. */
  signal?: AbortSignal
  /** So long nothing may come: a peer says every 10 s that it is there. */
  quietMs?: number
}

/** The answer to a request with `"stream": true, "stream_mode": "v8"`: whole, its body, or its events. */
export type GhostSource = ResponseLike | AnswerBody

/**
 * An answer while it is written, with the drafts that its peer has not confirmed yet.
 *
 * ```ts
 * const answer = await fetch(`${peer}/v1/chat/completions`, { method: 'POST', headers, body })
 * for await (const { committed, ghost: draft } of ghost(answer)) show(committed, draft)
 * ```
 *
 * Where the answer breaks off, it throws: what was shown until then is not the whole. That is the
 * peer's own error, a PeerError `cut_off`, or `malformed` for what is no such stream.
 */
export async function* ghost(
  source: GhostSource,
  { signal = new AbortController().signal, quietMs = 60_000 }: GhostOptions = {},
): AsyncGenerator<GhostView, void, undefined> {
  const wait = { ms: quietMs, what: 'Waiting for the next event', signal }
  const next = <T>(step: () => Promise<T>) =>
    within(systemClock, wait, (either) => unlessAborted(step(), either))
  const pieces = await bodyOf(source, next)
  const stream = new V8Reader()
  try {
    while (!stream.ended) {
      const { value, done } = await next(() => pieces.next())
      if (done) break
      yield* stream.views(value)
    }
    checkV8End(stream.state)
  } finally {
    // A body that hangs would hold up whoever leaves.
    pieces.return().catch(() => {})
  }
}

/** Takes what comes, in whatever pieces. */
class V8Reader {
  state: V8State = v8Start
  /** Nothing more is read. */
  ended = false
  readonly #bytes = new EventStreamDecoder()

  /** What one event leads to; undefined for one that says nothing here. */
  #view(data: string): GhostView | undefined {
    if (data === V8_DONE) {
      if (this.state.phase !== 'done') throw malformed(V8_DONE, 'comes before token.finalize')
      this.ended = true
      return undefined
    }
    const event = decodeV8Event(data)
    if (event === undefined) return undefined
    this.state = reduceV8(this.state, event)
    return viewOf(this.state, event)
  }

  *views(piece: unknown): Generator<GhostView> {
    const isBytes = piece instanceof Uint8Array
    if (isBytes) this.#bytes.push(piece)
    let data = isBytes ? this.#bytes.next() : textOf(piece)
    while (data !== undefined) {
      const view = this.#view(data)
      if (view !== undefined) yield view
      if (this.state.error !== undefined) throw faultOf(this.state.error)
      data = isBytes && !this.ended ? this.#bytes.next() : undefined
    }
  }
}

const viewOf = (state: V8State, event: V8Event): GhostView => ({
  committed: state.committed,
  ghost: state.ghosts.join(''),
  event,
  opened: state.opened,
  tokens: {
    committed: state.tokens,
    accepted: state.accepted,
    rolledBack: state.rolledBack,
  },
  isDone: state.phase === 'done',
})

function faultOf({ message, type, param, code }: NonNullable<V8State['error']>): PeerError {
  return new PeerError(code ?? type ?? 'error', message, param === null ? {} : { param })
}

/** Of an event that somebody parsed: what is checked is then plain data, whatever was given. */
function textOf(event: unknown): string {
  try {
    return JSON.stringify(event) ?? ''
  } catch {
    throw malformed('event', 'is not JSON')
  }
}
