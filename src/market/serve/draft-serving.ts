import type { Clock } from '../../base/clock.ts'
import { unlessAborted } from '../../base/deadline.ts'
import { DeadlineError, PeerError } from '../../base/errors.ts'
import { Following } from '../../engines/following.ts'
import { finishesOf } from '../../engines/lanes.ts'
import type { FrameStream } from '../../network/network.ts'
import type { Generate } from '../../wire/chunk.ts'
import type { WireJob } from '../../wire/generate.ts'
import type { Job } from '../../wire/job.ts'
import { malformed } from '../../wire/malformed.ts'
import { AnswerWriter } from './answer-writer.ts'
import type { Incoming } from './incoming.ts'
import { faultOf } from './refusal.ts'
import type { Served } from './serving.ts'

/** Whoever writes the answer says what it has every few tokens, once it has read a long prompt. */
const QUIET_MS = 300_000

/** Drafting asks nothing: it is the target's, whose answer is paid. */
const FREE = { input: 0, output: 0 }

export interface DraftServingComponents {
  generate: Generate
  clock: Clock
  /** This peer stops; the reason is what the other one is told. */
  stopped: AbortSignal
}

export interface DraftJob {
  stream: FrameStream
  incoming: Incoming
  wire: WireJob
  job: Job
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
    this.#writer = new AnswerWriter(stream, components.clock)
    const { generate } = components
    const onEnd = (why: string) => this.#ending.abort(new PeerError('engine_failed', why))
    const guess = (_choice: number, first: number, ids: readonly number[]) => this.#say(first, ids)
    this.#following = new Following({ generate, onEnd }, { ...job, work }, guess)
  }

  async run(): Promise<Served> {
    const { stream, allowance, wire } = this.#given
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
      this.#writer.accept(FREE, allowance)
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
    const { incoming, wire } = this.#given
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
        if (frame.type === 'cancel') return this.#end(frame.received[0] ?? 0)
        if (frame.type !== 'committed' || frame.choice !== 0) {
          throw malformed('ToProvider', 'is not what is to be said while a job is drafted for')
        }
        if (wire.maxOutputTokens > 0 && frame.first + frame.ids.length > wire.maxOutputTokens) {
          throw malformed('Committed.ids', 'are more than the answer may have')
        }
        this.#following.committed(frame.choice, frame.first, frame.ids)
        if (this.#writer.needsRoom) await unlessAborted(this.#writer.room({ signal }), signal)
      }
    } finally {
      quiet()
    }
  }

  /** So many guesses came true, as the other side says. */
  #end(outputTokens: number): Served {
    this.#following.end()
    const usage = { inputTokens: 0, cachedTokens: 0, outputTokens }
    this.#writer.done({ type: 'done', finish: ['cancelled'], usage }, undefined)
    return { outcome: 'drafted', settlement: 'nothing-owed', outputTokens: 0 }
  }

  #failed(error: unknown): Served {
    const settlement = 'nothing-owed'
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
