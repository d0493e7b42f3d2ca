import type { Clock } from '../../base/clock.ts'
import { unlessAborted, within } from '../../base/deadline.ts'
import { DeadlineError, PeerError } from '../../base/errors.ts'
import { cancelledDone } from '../../engines/lanes.ts'
import type { FrameStream } from '../../network/network.ts'
import { inTime } from '../../receipts/in-time.ts'
import type { WorkRecord } from '../../receipts/issue.ts'
import type { Chunk, Done, Generate } from '../../wire/chunk.ts'
import type { SealedEntry } from '../../wire/entry.ts'
import type { WireJob } from '../../wire/generate.ts'
import type { Job, Price } from '../../wire/job.ts'
import { malformed } from '../../wire/malformed.ts'
import type { Settlement } from './allowance.ts'
import { AnswerWriter } from './answer-writer.ts'
import type { Incoming } from './incoming.ts'
import { resumedAt } from './job-content.ts'
import { faultOf, Refusal } from './refusal.ts'
import { SEEN_MS_MIN } from './seen-jobs.ts'

export const servingLimits = {
  /** What an engine refuses at once, it refuses by then; longer, and this peer would seem slow. */
  admissionMs: 20,
  /** As long as its id is remembered: it could be sent again, and both could begin. */
  expiresMsMax: SEEN_MS_MIN,
  /** A reader that took nothing for so long is gone, or wants us to hold what it does not read. */
  stalledMs: 30_000,
  /** From the last frame to the Ack: a coordinator writes its own records first. */
  ackMs: 10_000,
} as const

export interface ServingComponents {
  generate: Generate
  /** Resolves once the entries are on the disk, in this peer's log. */
  append(entries: readonly SealedEntry[]): Promise<unknown>
  clock: Clock
  /** This peer stops; the reason is what a coordinator is told. */
  stopped: AbortSignal
}

export interface AdmittedJob {
  stream: FrameStream
  incoming: Incoming
  wire: WireJob
  job: Job
  /** Signs what is done of it. */
  record: WorkRecord
  /** `clock.elapsed()` then. */
  arrivedAt: number
  price: Price
  /** Jobs that the coordinator may have open. */
  allowance: number
}

export interface Served {
  /** `done`, `cancelled`, `gone`, or the code of what went wrong. */
  outcome: string
  settlement: Settlement
  /** The coordinator said that it has it, and that it is right. */
  isAcknowledged?: boolean
  /** Those that count. */
  outputTokens: number
  error?: unknown
}

/** The coordinator wants no more; it has so many tokens of each choice. */
class Cancelled extends Error {
  readonly received: readonly number[]

  constructor(received: readonly number[]) {
    super('cancelled by the coordinator')
    this.received = received
  }
}

/** Nobody is there to write to. */
class Gone extends Error {}

/** One job at work, from the engine's first chunk to the coordinator's Ack. */
export class Serving {
  readonly #components: ServingComponents
  readonly #given: AdmittedJob
  readonly #writer: AnswerWriter
  /** Aborted with the reason why the answer ends before it is whole. */
  readonly #cut = new AbortController()
  /** Aborted when there is nothing to wait for on the stream either. */
  readonly #left = new AbortController()
  readonly #acknowledged = Promise.withResolvers<Settlement>()
  readonly #timers = new Map<string, () => void>()
  /** Once the engine works on it, there is something to acknowledge. */
  #begun = false
  #finished = false

  constructor(components: ServingComponents, given: AdmittedJob) {
    this.#components = components
    this.#given = given
    const { stream, record, job, wire } = given
    const answer = { record, resumedAt: resumedAt(job), self: wire.provider }
    this.#writer = new AnswerWriter(stream, components.clock, answer)
  }

  async run(): Promise<Served> {
    const { stream } = this.#given
    const { stopped } = this.#components
    const onEnded = () => this.#leave(new Gone())
    const onStopped = () => this.#leave(stopped.reason)
    stream.ended.addEventListener('abort', onEnded)
    stopped.addEventListener('abort', onStopped)
    if (stream.ended.aborted) onEnded()
    this.#setDeadlines()
    const reading = new AbortController()
    void this.#listen(reading.signal)
    try {
      return await this.#serve()
    } finally {
      stream.ended.removeEventListener('abort', onEnded)
      stopped.removeEventListener('abort', onStopped)
      reading.abort()
      this.#end()
    }
  }

  async #serve(): Promise<Served> {
    try {
      const outputTokens = await this.#answer()
      return await this.#settled('done', outputTokens)
    } catch (thrown) {
      // What ends the stream may also make a write fail, before or after.
      const error = this.#cut.signal.aborted ? this.#cut.signal.reason : thrown
      if (!(error instanceof Cancelled)) return this.#failed(error)
      return await this.#cancelled(error.received).catch((error) => this.#failed(error))
    }
  }

  #failed(error: unknown): Served {
    const settlement = this.#begun && isTheirs(error) ? 'unacknowledged' : 'nothing-owed'
    if (error instanceof Gone) return { outcome: 'gone', settlement, outputTokens: 0 }
    this.#end()
    this.#writer.fail(faultOf(error))
    const outcome = error instanceof PeerError ? error.code : 'internal_error'
    return { outcome, settlement, outputTokens: 0, error }
  }

  /** Writes the answer; returns how many tokens it has. */
  async #answer(): Promise<number> {
    const { clock, generate } = this.#components
    const { signal } = this.#cut
    signal.throwIfAborted()
    const chunks = generate(this.#given.job, { signal })[Symbol.asyncIterator]()
    try {
      let next = chunks.next()
      const early = await unlessAborted(soon(next, clock), signal)
      if (early?.value?.type === 'accepted') {
        this.#pass(early.value)
        next = chunks.next()
      }
      this.#accept()
      for (;;) {
        const { value, done } = await unlessAborted(next, signal)
        if (done) throw new Error('the engine ended without a last chunk')
        if (value.type === 'done') {
          this.#writer.flush()
          await this.#finish(value)
          return value.usage.outputTokens
        }
        this.#pass(value)
        if (this.#writer.needsRoom) await this.#room()
        next = chunks.next()
      }
    } finally {
      // Not awaited: what kept us waiting may keep this waiting too.
      chunks.return?.().catch(() => {})
    }
  }

  #accept(): void {
    this.#writer.accept(this.#given.price, this.#given.allowance)
  }

  #pass(chunk: Chunk): void {
    switch (chunk.type) {
      case 'accepted':
        this.#begun = true
        this.#clear('expires')
        this.#writer.counted(chunk.inputTokens)
        return
      case 'progress':
        this.#writer.progress(chunk)
        return
      case 'tokens':
        this.#clear('first token')
        this.#writer.tokens(chunk)
        return
      case 'vectors':
        this.#clear('first token')
        this.#writer.vectors(chunk)
        return
      // To who asked for them alone: anybody else takes them for a fault.
      case 'provisional':
        if (this.#given.job.watched) this.#writer.provisional(chunk)
        return
      case 'rollback':
        if (this.#given.job.watched) this.#writer.rollback(chunk)
    }
  }

  /** No receipt leaves before it is in the log; meanwhile there are signs of life. */
  async #finish(done: Done, received?: readonly number[]): Promise<void> {
    this.#clearAll()
    const { append, clock } = this.#components
    const issued = this.#given.record.sealed(done, received)
    if (issued !== undefined) await inTime(clock, append([issued.execution]))
    this.#end()
    this.#writer.done(done, issued)
  }

  /** Waits for a reader that does not keep up, but not for ever. */
  async #room(): Promise<void> {
    const tooSlow = () =>
      new Refusal('reader_too_slow', 'Nothing of this answer was read for 30 s.', {
        action: 'ignore',
      })
    this.#at('stalled', servingLimits.stalledMs, tooSlow)
    const { signal } = this.#cut
    await unlessAborted(this.#writer.room({ signal }), signal)
    this.#clear('stalled')
  }

  /** The engine has its signal already; what was delivered counts, whatever it wrote meanwhile. */
  async #cancelled(received: readonly number[]): Promise<Served> {
    this.#writer.drop()
    if (!this.#writer.accepted) this.#accept()
    const outputTokens = received.reduce((sum, tokens) => sum + tokens, 0)
    const { inputTokens } = this.#writer
    await this.#finish(cancelledDone(this.#given.job, inputTokens, outputTokens), received)
    return await this.#settled('cancelled', outputTokens)
  }

  /** Waits for the Ack. */
  async #settled(outcome: string, outputTokens: number): Promise<Served> {
    const wait = { ms: servingLimits.ackMs, what: 'The Ack', signal: this.#left.signal }
    try {
      const settlement = await within(this.#components.clock, wait, (signal) =>
        unlessAborted(this.#acknowledged.promise, signal),
      )
      // An allowance grows with work that was done: what was cancelled may have been a single token.
      const grows = outcome === 'done' || settlement !== 'acknowledged'
      const owed = this.#begun && grows
      const isAcknowledged = settlement === 'acknowledged'
      return {
        outcome,
        settlement: owed ? settlement : 'nothing-owed',
        isAcknowledged,
        outputTokens,
      }
    } catch (error) {
      const settlement = this.#begun ? 'unacknowledged' : 'nothing-owed'
      return { outcome, settlement, outputTokens, error }
    }
  }

  async #listen(signal: AbortSignal): Promise<void> {
    try {
      for (;;) {
        const frame = await this.#given.incoming.next({ signal })
        if (frame === undefined) return this.#leave(new Gone())
        if (frame.type === 'ack' && this.#finished) {
          this.#acknowledged.resolve(frame.dispute === '' ? 'acknowledged' : 'disputed')
          return
        }
        if (frame.type !== 'cancel') {
          throw malformed('ToProvider', 'is not what is to be said while a job is at work')
        }
        this.#cancel(frame.received)
      }
    } catch (error) {
      this.#leave(isTheirs(error) ? error : new Gone())
    }
  }

  #cancel(received: readonly number[]): void {
    if (received.some((tokens, choice) => tokens > this.#writer.sent(choice))) {
      throw malformed('Cancel.received', 'is more than was sent')
    }
    if (!this.#given.record.endsAt(received)) {
      throw malformed('Cancel.received', 'is not where a frame ended')
    }
    // Where its Cancel and our Done have crossed, there is nothing left to cut.
    this.#cut.abort(new Cancelled(received))
  }

  #leave(reason: unknown): void {
    this.#cut.abort(reason)
    this.#left.abort(reason)
  }

  #setDeadlines(): void {
    const { wire, arrivedAt } = this.#given
    const { firstTokenMs, totalMs } = wire
    const late = this.#components.clock.elapsed() - arrivedAt
    const expired = () => new Refusal('expired', 'The job had not begun when it expired.')
    this.#at('expires', Math.min(wire.expiresInMs, servingLimits.expiresMsMax) - late, expired)
    const noToken = () => new DeadlineError('The first token', firstTokenMs)
    this.#at('first token', firstTokenMs - late, noToken)
    this.#at('total', totalMs - late, () => new DeadlineError('The answer', totalMs))
  }

  #at(name: string, ms: number, reason: () => Error): void {
    if (ms <= 0) this.#cut.abort(reason())
    else
      this.#timers.set(
        name,
        this.#components.clock.after(ms, () => this.#cut.abort(reason())),
      )
  }

  #clear(name: string): void {
    this.#timers.get(name)?.()
    this.#timers.delete(name)
  }

  /** No deadline of the answer counts any more, and an Ack is welcome. */
  #end(): void {
    this.#finished = true
    this.#clearAll()
    this.#writer.stop()
  }

  #clearAll(): void {
    for (const cancel of this.#timers.values()) cancel()
    this.#timers.clear()
  }
}

/** What it was for the engine, unless it takes long. */
async function soon<T>(wait: Promise<T>, clock: Clock): Promise<T | undefined> {
  const enough = Promise.withResolvers<undefined>()
  const cancel = clock.after(servingLimits.admissionMs, () => enough.resolve(undefined))
  try {
    return await Promise.race([wait, enough.promise])
  } finally {
    cancel()
  }
}

/** The coordinator made it so; what was done for it is not paid. */
function isTheirs(error: unknown): boolean {
  if (error instanceof Gone) return true
  return error instanceof PeerError && error.action !== undefined
}
