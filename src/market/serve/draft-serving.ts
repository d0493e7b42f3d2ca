import type { Clock } from '../../base/clock.ts'
import { unlessAborted, within } from '../../base/deadline.ts'
import { DeadlineError, PeerError } from '../../base/errors.ts'
import { Following } from '../../engines/following.ts'
import { finishesOf } from '../../engines/lanes.ts'
import type { FrameStream } from '../../network/network.ts'
import type { DraftRecord } from '../../receipts/draft-record.ts'
import { inTime } from '../../receipts/in-time.ts'
import type { Done } from '../../wire/chunk.ts'
import type { WireJob } from '../../wire/generate.ts'
import type { Job, Price } from '../../wire/job.ts'
import { malformed } from '../../wire/malformed.ts'
import type { Settlement } from './allowance.ts'
import { AnswerWriter } from './answer-writer.ts'
import type { DraftClaims } from './draft-claims.ts'
import type { Incoming } from './incoming.ts'
import { faultOf } from './refusal.ts'
import { type Served, type ServingComponents, servingLimits } from './serving.ts'

/** Whoever writes the answer says what it has every few tokens, once it has read a long prompt. */
const QUIET_MS = 300_000

export interface DraftServingComponents extends ServingComponents {
  clock: Clock
  claims: DraftClaims
}

export interface DraftJob {
  stream: FrameStream
  incoming: Incoming
  wire: WireJob
  job: Job
  /** Of the model that guesses. */
  contextLength: number
  /** Signs what came true. */
  record: DraftRecord
  price: Price
  /** Jobs that the other side may have open. */
  allowance: number
}

/** Guesses what another peer's model says, until that one has said all. */
export class DraftServing {
  readonly #components: DraftServingComponents
  readonly #given: DraftJob
  readonly #writer: AnswerWriter
  readonly #following: Following
  readonly #ending = new AbortController()
  /** Position behind the last guess that was written. */
  #next = 0

  constructor(components: DraftServingComponents, given: DraftJob) {
    const { job, stream } = given
    const { work } = job
    if (work.kind === 'embedding' || finishesOf(work) !== 1) {
      throw malformed('Job.body', 'has not one choice, as what is drafted for has')
    }
    this.#components = components
    this.#given = given
    this.#writer = new AnswerWriter(stream, components.clock, { record: given.record })
    const { generate } = components
    const onEnd = (why: string) => {
      // What it has guessed until then is owed all the same, as far as it comes true.
      const isPaid = given.price.output > 0 && this.#next > 0
      if (!isPaid) this.#ending.abort(new PeerError('engine_failed', why))
    }
    const guess = (_choice: number, first: number, ids: readonly number[]) => this.#say(first, ids)
    this.#following = new Following({ generate, onEnd }, { ...job, work }, guess)
  }

  async run(): Promise<Served> {
    const { stream, price, allowance, wire } = this.#given
    const { clock, stopped } = this.#components
    const onEnded = () => this.#ending.abort(new Gone())
    const onStopped = () => this.#ending.abort(stopped.reason)
    stream.ended.addEventListener('abort', onEnded)
    stopped.addEventListener('abort', onStopped)
    if (stream.ended.aborted) onEnded()
    if (stopped.aborted) onStopped()
    const cut = clock.after(wire.totalMs, () => {
      this.#ending.abort(new DeadlineError('The answer', wire.totalMs))
    })
    try {
      this.#writer.accept(price, allowance)
      this.#following.start()
      return await this.#follow()
    } catch (thrown) {
      return this.#failed(this.#ending.signal.aborted ? this.#ending.signal.reason : thrown)
    } finally {
      cut()
      this.#following.end()
      this.#writer.stop()
      stream.ended.removeEventListener('abort', onEnded)
      stopped.removeEventListener('abort', onStopped)
    }
  }

  /** Until the other side has all that it wants. */
  async #follow(): Promise<Served> {
    const { incoming, wire, record, contextLength } = this.#given
    const { clock } = this.#components
    const { signal } = this.#ending
    let quiet = () => {}
    try {
      for (;;) {
        quiet()
        quiet = clock.after(QUIET_MS, () => {
          this.#ending.abort(new DeadlineError('What is committed', QUIET_MS))
        })
        const frame = await unlessAborted(incoming.next({ signal }), signal)
        if (frame === undefined) throw new Gone()
        if (frame.type === 'cancel') return await this.#end(frame.received[0] ?? 0)
        if (frame.type !== 'committed' || frame.choice !== 0) {
          throw malformed('ToProvider', 'is not what is to be said while a job is drafted for')
        }
        if (wire.maxOutputTokens > 0 && frame.first + frame.ids.length > wire.maxOutputTokens) {
          throw malformed('Committed.ids', 'are more than the answer may have')
        }
        // Behind what its memory holds there is nothing to guess, nor to remember.
        if (record.hash.length >= contextLength) continue
        record.hash.committed(frame.first, frame.ids)
        this.#following.committed(frame.choice, frame.first, frame.ids)
        if (this.#writer.needsRoom) await unlessAborted(this.#writer.room({ signal }), signal)
      }
    } finally {
      quiet()
    }
  }

  /** So many guesses are in the answer, as the other side says: no more is owed than came true. */
  async #end(taken: number): Promise<Served> {
    const { clock, append, claims } = this.#components
    const { record, price, stream } = this.#given
    this.#following.end()
    this.#writer.flush()
    const { right } = record.hash
    const outputTokens = Math.min(taken, right)
    const usage = { inputTokens: 0, cachedTokens: 0, outputTokens }
    const done: Done = { type: 'done', finish: ['cancelled'], usage }
    if (price.output > 0) claims.note(stream.peerId, right, taken)
    if (price.output === 0 || outputTokens === 0) {
      this.#writer.done(done, undefined)
      return { outcome: 'drafted', settlement: 'nothing-owed', outputTokens }
    }
    const issued = record.sealed(done)
    await inTime(clock, append([issued.execution]))
    this.#writer.done(done, issued)
    return { outcome: 'drafted', settlement: await this.#acknowledged(), outputTokens }
  }

  async #acknowledged(): Promise<Settlement> {
    const { incoming } = this.#given
    const wait = { ms: servingLimits.ackMs, what: 'The Ack', signal: this.#ending.signal }
    try {
      const frame = await within(this.#components.clock, wait, (signal) =>
        incoming.next({ signal }),
      )
      if (frame?.type !== 'ack') return 'unacknowledged'
      return frame.dispute === '' ? 'acknowledged' : 'disputed'
    } catch {
      return 'unacknowledged'
    }
  }

  /** Some of it came true, and is not for nothing. */
  get #isOwed(): boolean {
    const { price, record } = this.#given
    return price.output > 0 && record.hash.right > 0
  }

  #failed(error: unknown): Served {
    const settlement = this.#isOwed && isTheirs(error) ? 'unacknowledged' : 'nothing-owed'
    if (error instanceof Gone) return { outcome: 'gone', settlement, outputTokens: 0 }
    this.#writer.fail(faultOf(error))
    const outcome = error instanceof PeerError ? error.code : 'internal_error'
    return { outcome, settlement, outputTokens: 0, error }
  }

  /** What follows at once goes out together, unless it begins anew. */
  #say(first: number, ids: readonly number[]): void {
    if (first !== this.#next) this.#writer.flush()
    this.#next = first + ids.length
    this.#writer.tokens({ type: 'tokens', choice: 0, index: first, ids: [...ids], text: '' })
  }
}

/** Nobody is there to guess for. */
class Gone extends Error {}

/** It never said how much of it is to be paid. */
const isTheirs = (error: unknown): boolean =>
  error instanceof Gone ||
  error instanceof DeadlineError ||
  (error instanceof PeerError && error.action !== undefined)
