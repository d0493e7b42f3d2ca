import type { Clock } from '../../base/clock.ts'
import type { FrameStream, Wait } from '../../network/network.ts'
import type {
  Done,
  Issued,
  Progress,
  Provisional,
  RolledBack,
  Tokens,
  Vectors,
} from '../../wire/chunk.ts'
import { addsUp, drafterOf, draftingOf } from '../../wire/drafting.ts'
import type { Fault, FromProvider } from '../../wire/generate.ts'
import { encodeFromProvider } from '../../wire/generate-codec.ts'
import { TOKENS_MAX } from '../../wire/generate-shape.ts'
import type { Price } from '../../wire/job.ts'
import type { OpenReceipt, Segment } from '../../wire/receipt.ts'
import { Coalescer, HOLD_MS } from './coalescer.ts'
import { vectorFrames } from './vector-frames.ts'

/** The protocol says 500; a busy machine's timers are late. */
const PROGRESS_MS = 400

/** Of the text of guesses, at up to 3 bytes each. */
const GHOST_CHARS_MAX = 8 * 1024

/** Hears of an answer as it goes out, and signs it. */
export interface AnswerRecord {
  open(inputTokens: number): OpenReceipt
  counted(inputTokens: number): void
  tokens(tokens: Tokens): Segment | undefined
  vectors(vectors: Vectors): void
}

/** Writes one answer as frames, and a sign of life whenever there is nothing else to write. */
export class AnswerWriter {
  readonly #stream: FrameStream
  readonly #clock: Clock
  readonly #record: AnswerRecord | undefined
  /** Of each choice: its tokens that others wrote. Empty where there are none. */
  readonly #resumedAt: number[]
  /** Peer id of whoever answers. */
  readonly #self: string
  readonly #coalescer = new Coalescer((tokens) => this.#sendTokens(tokens))
  readonly #sent: number[] = []
  #accepted = false
  #inputTokens = 0
  #progress: Progress = { type: 'progress', queued: 0, prefilled: 0, total: 0 }
  #wroteAt = 0
  #needsRoom = false
  #blocked = false
  #cancelBeat = () => {}
  #cancelFlush: (() => void) | undefined

  /** Without a record there is no answer, only a failure. */
  constructor(
    stream: FrameStream,
    clock: Clock,
    {
      record,
      resumedAt = [],
      self = '',
    }: { record?: AnswerRecord; resumedAt?: number[]; self?: string } = {},
  ) {
    this.#stream = stream
    this.#clock = clock
    this.#record = record
    this.#resumedAt = resumedAt
    this.#self = self
  }

  get accepted(): boolean {
    return this.#accepted
  }

  /** Of the prompt; 0 until they are counted. */
  get inputTokens(): number {
    return this.#inputTokens
  }

  /** Tokens that were written of this choice. */
  sent(choice: number): number {
    return this.#sent[choice] ?? 0
  }

  accept(price: Price, allowance: number): void {
    this.#accepted = true
    this.#send({
      type: 'accept',
      inputTokens: this.#inputTokens,
      price,
      allowance,
      openSignature: this.#record?.open(this.#inputTokens).signature ?? new Uint8Array(),
      resumedAt: this.#resumedAt,
    })
    this.#beat()
  }

  /** Said at once, or with `accept` where that has not been written. */
  counted(inputTokens: number): void {
    this.#inputTokens = inputTokens
    this.#record?.counted(inputTokens)
    if (this.#accepted) this.#sendProgress()
  }

  progress(progress: Progress): void {
    this.#progress = progress
    this.#sendProgress()
  }

  tokens(tokens: Tokens): void {
    this.#coalescer.add(tokens, this.#clock.elapsed())
    if (this.#coalescer.holds) this.#cancelFlush ??= this.#clock.after(HOLD_MS, () => this.flush())
  }

  /** Behind the tokens that it is behind. What does not fit into a frame is seen by nobody. */
  provisional(guesses: Provisional): void {
    const { choice, index: first, ids, text } = guesses
    if (ids.length > TOKENS_MAX || text.length > GHOST_CHARS_MAX) return
    this.flush()
    const drafter = drafterOf(guesses, this.#self)
    const named = drafter === this.#self ? '' : drafter
    this.#send({ type: 'provisional', choice, first, ids, text, drafter: named })
  }

  rollback({ choice, from, reason }: RolledBack): void {
    this.flush()
    this.#send({ type: 'rollback', choice, from, reason })
  }

  vectors(vectors: Vectors): void {
    this.#record?.vectors(vectors)
    for (const frame of vectorFrames(vectors)) this.#send(frame)
  }

  /** What is held goes out now. */
  flush(): void {
    this.#cancelFlush?.()
    this.#cancelFlush = undefined
    this.#coalescer.flush(this.#clock.elapsed())
  }

  /** Only once what was issued is in the log. */
  done({ finish, usage, drafting: all = [] }: Done, issued: Issued | undefined): void {
    this.stop()
    const entry = issued?.execution.bytes ?? new Uint8Array()
    const signed = issued && { receipt: issued.receipt }
    // As the entry has it: of a part of an answer nobody knows what of it was drafted.
    const isKnown = !finish.includes('cancelled') && addsUp(all, usage.outputTokens)
    const drafting = isKnown ? draftingOf(all, this.#self) : []
    this.#send({ type: 'done', finish, usage, ...signed, entry, drafting })
  }

  /** The end without an answer, or without the rest of it. */
  fail(fault: Fault): void {
    this.stop()
    this.#send({ type: this.#accepted ? 'failed' : 'refuse', ...fault })
  }

  /** Something was written since there was room for more. */
  get needsRoom(): boolean {
    return this.#needsRoom
  }

  /** Resolves when more may be written. */
  async room(options: Wait): Promise<void> {
    this.#needsRoom = false
    this.#blocked = true
    await this.#stream.writable(options)
    this.#blocked = false
  }

  /** What is held is wanted by nobody. */
  drop(): void {
    this.#cancelFlush?.()
    this.#cancelFlush = undefined
  }

  /** Nothing is written any more that is not asked for; what is held is dropped. */
  stop(): void {
    this.#cancelBeat()
    this.drop()
  }

  #beat(): void {
    const quietMs = this.#clock.elapsed() - this.#wroteAt
    if (quietMs >= PROGRESS_MS && !this.#blocked) this.#sendProgress()
    const waitMs = quietMs >= PROGRESS_MS ? PROGRESS_MS : PROGRESS_MS - quietMs
    this.#cancelBeat = this.#clock.after(waitMs, () => this.#beat())
  }

  #sendProgress(): void {
    const { queued, prefilled, total } = this.#progress
    this.#send({ type: 'progress', queued, prefilled, total, inputTokens: this.#inputTokens })
  }

  #sendTokens(tokens: Tokens): void {
    const { choice, index, ids, text, logprobs = [], call } = tokens
    this.#sent[choice] = index + ids.length - (this.#resumedAt[choice] ?? 0)
    this.#send({
      type: 'tokens',
      choice,
      first: index,
      ids,
      text,
      logprobs: logprobs.map((each) => ({ ...finite(each), top: each.top.map(finite) })),
      channel: call === undefined ? 'content' : 'tool',
      tool: { index: call?.index ?? 0, name: call?.name ?? '', callId: call?.id ?? '' },
    })
    const segment = this.#record?.tokens(tokens)
    if (segment !== undefined) this.#send({ type: 'segment', ...segment })
  }

  #send(frame: FromProvider): void {
    const bytes = encodeFromProvider(frame)
    // Whoever owns the stream is told of its end; here is nothing more to do.
    if (this.#stream.ended.aborted) return
    try {
      this.#stream.write(bytes)
    } catch (error) {
      this.#stream.reset(error instanceof Error ? error : new Error(String(error)))
    }
    this.#wroteAt = this.#clock.elapsed()
    this.#needsRoom = true
  }
}

/** Of what is as good as impossible: the frame has finite numbers only. */
const LOGPROB_MIN = -9999

const finite = <T extends { logprob: number }>(scored: T): T =>
  Number.isFinite(scored.logprob) ? scored : { ...scored, logprob: LOGPROB_MIN }
