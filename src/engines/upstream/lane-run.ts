import type { IncomingMessage } from 'node:http'
import type { Clock } from '../../base/clock.ts'
import type { Capability } from '../../wire/capability.ts'
import type { Finish, Tokens } from '../../wire/chunk.ts'
import { type AnswerEvent, type Counted, complaintIn, readAnswerEvent } from './answer-event.ts'
import type { CallReader } from './call-reader.ts'
import { parseFields } from './json.ts'
import type { JsonCheck } from './json-check.ts'
import { EventSplitter } from './sse.ts'
import type { Piece, Tally } from './tally.ts'
import {
  brokeOff,
  complained,
  garbled,
  tooSlow,
  unreachable,
  unsupported,
} from './upstream-errors.ts'
import { type Ask, type Exchange, retryAfterOf, type UpstreamHttp } from './upstream-http.ts'

export interface LanePatience {
  /** From the request to the first token: a long prompt on a small machine takes minutes. */
  firstTokenMs: number
  /** From one token to the next. Others wait in the same batch meanwhile, but not for so long. */
  silenceMs: number
  /** From its finish to what it tells of it. */
  trailingMs: number
}

export const defaultLanePatience: LanePatience = {
  firstTokenMs: 110_000,
  silenceMs: 60_000,
  trailingMs: 2_000,
}

/** What a server sends with an error; an HTML page of a proxy may be as long as it likes. */
const COMPLAINT_BYTES_MAX = 64 * 1024
/** Events that bring nothing: a role, a name, an empty piece. */
const EMPTY_EVENTS_MAX = 10_000

export type LaneFinish = Exclude<Finish, 'cancelled'>

export interface LaneHearer {
  /** Its first event came, and says so much. */
  onBegun(counted: Counted): void
  onTokens(tokens: Tokens): void
  onDone(finish: LaneFinish, counted: Counted): void
  onFailed(error: unknown): void
}

export interface LaneParts {
  http: UpstreamHttp
  clock: Clock
  tally: Tally
  /** Undefined of a completion. */
  calls: CallReader | undefined
  /** Whose answer is to be JSON. */
  json: JsonCheck | undefined
  /** What it asks for that not every server does. */
  needs: readonly Capability[]
  kind: 'chat' | 'completion'
  isScored: boolean
  patience: LanePatience
}

/** One answer on one connection, from the request to its last event. */
export class LaneRun {
  readonly #parts: LaneParts
  readonly #hearer: LaneHearer
  readonly #exchange: Exchange
  readonly #splitter = new EventSplitter((data) => this.#onEvent(data))
  readonly #counted: Counted = {}
  #complaint:
    | { status: number; retryAfterMs: number | undefined; parts: Buffer[]; bytes: number }
    | undefined
  #isTaken = false
  #isBegun = false
  #finish: 'stop' | 'length' | undefined
  #isOver = false
  #isPaused = false
  #emptyEvents = 0
  /** By `clock.elapsed()`: when the next token must have come. */
  #due: number
  #cancelDue: () => void

  constructor(parts: LaneParts, ask: Ask, hearer: LaneHearer) {
    this.#parts = parts
    this.#hearer = hearer
    this.#due = parts.clock.elapsed() + parts.patience.firstTokenMs
    this.#cancelDue = parts.clock.after(parts.patience.firstTokenMs, () => this.#onDue())
    this.#exchange = parts.http.ask(ask, {
      onHead: (head) => this.#guarded(() => this.#onHead(head)),
      onData: (bytes) => this.#guarded(() => this.#onData(bytes)),
      onEnd: () => this.#guarded(() => this.#onEnd()),
      onBroken: (error) => this.#fail(this.#isTaken ? brokeOff(error) : unreachable(error)),
    })
  }

  /** Nobody wants the rest: the server stops when its connection ends. */
  drop(): void {
    if (this.#isOver) return
    this.#over()
    this.#exchange.drop()
  }

  pause(): void {
    this.#isPaused = true
    this.#exchange.pause()
  }

  resume(): void {
    this.#isPaused = false
    // Nobody could have heard of a token meanwhile.
    this.#due = this.#parts.clock.elapsed() + this.#parts.patience.silenceMs
    this.#exchange.resume()
  }

  #onHead(head: IncomingMessage): void {
    const { statusCode: status = 0, headers } = head
    if (status !== 200) {
      this.#complaint = { status, retryAfterMs: retryAfterOf(head), parts: [], bytes: 0 }
      return
    }
    if (!/^text\/event-stream\b/i.test(headers['content-type'] ?? '')) throw garbled('no stream')
    this.#isTaken = true
  }

  #onData(bytes: Buffer): void {
    if (this.#isOver) return
    if (this.#complaint === undefined) {
      this.#splitter.push(bytes)
      return
    }
    this.#complaint.parts.push(bytes)
    this.#complaint.bytes += bytes.length
    if (this.#complaint.bytes > COMPLAINT_BYTES_MAX) this.#complain()
  }

  #onEnd(): void {
    // All is read: its connection may be used again.
    if (this.#isOver) this.#cancelDue()
    else if (this.#complaint === undefined) this.#splitter.end()
    else this.#complain()
    if (this.#isOver) return
    if (this.#finish === undefined) throw brokeOff(new Error('the stream ended without a finish'))
    this.#end(this.#finish)
  }

  #onEvent(data: string): void {
    if (this.#isOver) return
    if (data === '[DONE]') {
      this.#end(this.#finish ?? 'stop')
      return
    }
    const { kind, tally, isScored, patience, clock } = this.#parts
    const answered = readAnswerEvent(data, kind)
    const { text, isReasoning, logprobs, finish, counted } = answered
    const pieces = this.#piecesOf(answered)
    Object.assign(this.#counted, counted)
    // llama-server tells its role first, and counts with the first token.
    const brings = text !== '' || isReasoning || pieces.length > 1
    const says = brings || finish !== undefined
    if (says || counted.inputTokens !== undefined) this.#begin()
    if (text !== '' && isScored && logprobs === undefined && tally.sent === 0) {
      throw unsupported('logprobs')
    }
    this.#take(pieces, counted.outputTokens)
    if (finish !== undefined) {
      this.#finish = finish
      this.#wait(patience.trailingMs)
    } else if (brings) {
      this.#due = clock.elapsed() + patience.silenceMs
    } else if (++this.#emptyEvents > EMPTY_EVENTS_MAX) {
      throw garbled('events without an answer')
    }
    // It goes on behind what was asked for, and would for ever.
    if (tally.isOver) {
      this.#exchange.drop()
      this.#end('length')
    }
  }

  /** What is said, though it be nothing, and behind it what is called. */
  #piecesOf({ text, isReasoning, calls, logprobs }: AnswerEvent): Piece[] {
    const said = { text, isSilent: isReasoning, logprobs }
    this.#parts.json?.add(text)
    const called = calls.flatMap((delta) => this.#parts.calls?.read(delta) ?? [])
    return [said, ...called.map((piece) => ({ ...piece, isSilent: piece.call === undefined }))]
  }

  /** `total`: up to the last of them. */
  #take(pieces: readonly Piece[], total?: number): void {
    for (const [at, piece] of pieces.entries()) {
      const counted = at === pieces.length - 1 ? { ...piece, total } : piece
      for (const tokens of this.#parts.tally.add(counted)) this.#hearer.onTokens(tokens)
    }
  }

  #begin(): void {
    if (this.#isBegun) return
    this.#isBegun = true
    this.#hearer.onBegun(this.#counted)
  }

  #end(finish: 'stop' | 'length'): void {
    const { tally, calls, json } = this.#parts
    this.#begin()
    this.#take(calls?.end(finish) ?? [])
    const last = tally.end(this.#counted.outputTokens)
    const isCut = finish === 'length' || tally.isCut
    if (!isCut && !calls?.hasCalled) json?.end()
    for (const tokens of last) this.#hearer.onTokens(tokens)
    this.#over()
    // Its connection is of use again once the rest is read, which is next to nothing.
    this.#cancelDue = this.#parts.clock.after(this.#parts.patience.trailingMs, () => {
      this.#exchange.drop()
    })
    const ended = calls?.hasCalled ? 'tool_calls' : 'stop'
    this.#hearer.onDone(isCut ? 'length' : ended, this.#counted)
  }

  #complain(): void {
    const { status = 0, retryAfterMs, parts = [] } = this.#complaint ?? {}
    const text = Buffer.concat(parts).toString('utf8', 0, COMPLAINT_BYTES_MAX)
    let said = { status, text: '' }
    try {
      said = { ...complaintIn(parseFields(text), status), status }
    } catch {
      // A page of a proxy, say: its status says enough.
    }
    const complaint = { ...said, ...(retryAfterMs !== undefined && { retryAfterMs }) }
    throw complained(complaint, this.#parts.needs)
  }

  #wait(ms: number): void {
    this.#cancelDue()
    this.#due = this.#parts.clock.elapsed() + ms
    this.#cancelDue = this.#parts.clock.after(ms, () => this.#onDue())
  }

  /** One timer for all tokens: it looks whether one has come. */
  #onDue(): void {
    const { clock, patience, tally } = this.#parts
    const left = this.#due - clock.elapsed()
    if (left > 0 || this.#isPaused) {
      this.#cancelDue = clock.after(Math.max(1, left, this.#isPaused ? 1000 : 0), () =>
        this.#onDue(),
      )
      return
    }
    const finish = this.#finish
    if (finish !== undefined) {
      this.#exchange.drop()
      this.#guarded(() => this.#end(finish))
      return
    }
    this.#fail(
      tally.sent > 0
        ? tooSlow('token', patience.silenceMs)
        : tooSlow('first token', patience.firstTokenMs),
    )
  }

  #guarded(hear: () => void): void {
    try {
      hear()
    } catch (error) {
      this.#fail(error)
    }
  }

  #fail(error: unknown): void {
    if (this.#isOver) return
    this.drop()
    this.#hearer.onFailed(error)
  }

  #over(): void {
    this.#isOver = true
    this.#cancelDue()
  }
}
