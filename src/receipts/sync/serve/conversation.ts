import type { Clock } from '../../../base/clock.ts'
import { within } from '../../../base/deadline.ts'
import { DeadlineError, PeerError } from '../../../base/errors.ts'
import type { FrameStream } from '../../../network/network.ts'
import { malformed } from '../../../wire/malformed.ts'
import { decodeSyncRequest, encodeSyncAnswer, type SyncRequest } from '../../../wire/sync.ts'
import type { Pace } from '../../pace.ts'
import type { Answers, Question } from './answers.ts'
import type { Follower, Followers } from './followers.ts'
import type { ServeLimits } from './limits.ts'
import type { SyncMetrics } from './sync-metrics.ts'

export interface ConversationComponents {
  answers: Answers
  followers: Followers
  clock: Clock
  metrics: SyncMetrics
  /** What goes to this peer, and to all. */
  paces: readonly Pace[]
}

type Claim = Extract<SyncRequest, { type: 'equivocation' }>
type Follow = Extract<SyncRequest, { type: 'follow' }>

/** One stream of `sync/1`: its questions in their order, each with all that is said to it. */
export class Conversation {
  readonly #stream: FrameStream
  readonly #components: ConversationComponents
  readonly #limits: ServeLimits
  readonly #signal: AbortSignal

  constructor(
    stream: FrameStream,
    components: ConversationComponents,
    { limits, signal }: { limits: ServeLimits; signal: AbortSignal },
  ) {
    this.#stream = stream
    this.#components = components
    this.#limits = limits
    this.#signal = signal
  }

  /** Until whoever asks ends its part, or asks nothing for long. Throws what it is at fault for. */
  async run(): Promise<void> {
    const { metrics } = this.#components
    const { questionBytes } = this.#limits
    for (;;) {
      const frame = await this.#nextQuestion()
      if (frame === undefined) return
      const question = decodeSyncRequest(frame)
      metrics.questions.add(1, { question: question?.type ?? 'unknown' })
      if (!(await this.#pay(partsOf(question) * questionBytes, this.#signal))) this.#end('busy')
      else if (question === undefined) this.#end('')
      else if (question.type === 'follow') return await this.#follow(question)
      else this.#end(await this.#answer(question))
      await this.#writable(this.#signal)
    }
  }

  async #nextQuestion(): Promise<Uint8Array | undefined> {
    const { clock } = this.#components
    const waiting = { ms: this.#limits.idleMs, what: 'A question about logs', signal: this.#signal }
    try {
      return await within(clock, waiting, (signal) => this.#stream.read({ signal }))
    } catch (error) {
      if (error instanceof DeadlineError) return undefined
      throw error
    }
  }

  /** Resolves to the word for its end. */
  async #answer(question: Question | Claim): Promise<string> {
    const { answers, clock } = this.#components
    const { answerBytesMax, answerMs, readBytes } = this.#limits
    const endsAt = clock.elapsed() + answerMs
    if (question.type === 'equivocation') return await answers.hear(question)
    const answer = answers.to(question)
    try {
      for (let bytes = 0; ; ) {
        const { value, done } = await answer.next()
        if (done) return value
        const isTooMuch = bytes >= answerBytesMax || clock.elapsed() >= endsAt
        if (bytes > 0 && isTooMuch) return 'too_much'
        const frame = encodeSyncAnswer(value)
        if (!(await this.#pay(readBytes + frame.length, this.#signal))) return 'busy'
        this.#write(frame)
        bytes += frame.length
        await this.#writable(this.#signal)
      }
    } finally {
      await answer.return('')
    }
  }

  async #follow({ ranges }: Follow): Promise<void> {
    const { followers, metrics } = this.#components
    const follower = followers.follow(ranges)
    if (follower === undefined) return this.#end('busy')
    metrics.followed.set(followers.followed)
    const over = new AbortController()
    const signal = AbortSignal.any([this.#signal, over.signal])
    const listening = this.#listen(over, signal)
    try {
      this.#end(await this.#push(follower, signal))
    } catch (error) {
      if (over.signal.reason !== LEFT) throw error
    } finally {
      followers.end(follower)
      metrics.followed.set(followers.followed)
      over.abort(LEFT)
      await listening
    }
  }

  /** Resolves to the word for its end, if it has one. */
  async #push(follower: Follower, signal: AbortSignal): Promise<string> {
    const answers = follower.answers(signal)
    for (;;) {
      const { value, done } = await answers.next()
      if (done) return value
      const frame = encodeSyncAnswer(value)
      while (!(await this.#pay(frame.length, signal)));
      this.#write(frame)
      await this.#writable(signal)
    }
  }

  /** While logs are followed: whoever follows ends it. */
  async #listen(over: AbortController, signal: AbortSignal): Promise<void> {
    try {
      const frame = await this.#stream.read({ signal })
      over.abort(frame === undefined ? LEFT : followed())
    } catch (error) {
      over.abort(error)
    }
  }

  /**
   * Resolves when it is this peer's turn to have so many bytes, or what costs as much; to false, in
   * the end, where there are too many before it.
   */
  async #pay(bytes: number, signal: AbortSignal): Promise<boolean> {
    const { clock, paces } = this.#components
    const { turnMs } = this.#limits
    const waitMs = Math.max(...paces.map((pace) => pace.waitMs))
    const isSoon = waitMs <= turnMs
    if (isSoon) for (const pace of paces) pace.take(bytes)
    if (waitMs > 0) await clock.sleep(Math.min(waitMs, turnMs), signal)
    return isSoon
  }

  #end(reason: string): void {
    this.#write(encodeSyncAnswer({ type: 'end', reason }))
  }

  #write(frame: Uint8Array): void {
    this.#components.metrics.sentBytes.add(frame.length)
    this.#stream.write(frame)
  }

  async #writable(signal: AbortSignal): Promise<void> {
    const { clock } = this.#components
    const waiting = { ms: this.#limits.stallMs, what: 'Taking an answer about logs', signal }
    await within(clock, waiting, (ending) => this.#stream.writable({ signal: ending }))
  }
}

/** Whoever followed has ended its part. */
const LEFT = new PeerError('left', 'The other side follows no more.')

const followed = () => malformed('SyncRequest', 'comes behind a follow, which is the last')

function partsOf(question: SyncRequest | undefined): number {
  switch (question?.type) {
    case 'ranges':
    case 'follow':
      return 1 + question.ranges.length
    case 'authors':
      return 1 + question.authors.length
    default:
      return 1
  }
}
