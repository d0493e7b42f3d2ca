import type { Clock } from '../../../base/clock.ts'
import { within } from '../../../base/deadline.ts'
import { DeadlineError, PeerError } from '../../../base/errors.ts'
import type { FrameStream } from '../../../network/network.ts'
import {
  decodeSyncRequest,
  encodeSyncAnswer,
  type SyncAnswer,
  type SyncRequest,
} from '../../../wire/sync.ts'
import type { Answers, Question } from './answers.ts'
import type { Follower, Followers } from './followers.ts'
import type { ServeLimits } from './limits.ts'
import type { Pace } from './pace.ts'
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
    for (;;) {
      const frame = await this.#nextQuestion()
      if (frame === undefined) return
      const question = decodeSyncRequest(frame)
      this.#charge(question)
      if (question?.type === 'follow') return await this.#follow(question)
      await this.#end(question === undefined ? '' : await this.#answer(question))
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
    const { answerBytesMax, answerMs, turnMs } = this.#limits
    const endsAt = clock.elapsed() + answerMs
    if (!(await this.#turn(this.#signal, turnMs))) return 'busy'
    if (question.type === 'equivocation') return await answers.hear(question)
    const answer = answers.to(question)
    try {
      for (let bytes = 0; ; ) {
        const { value, done } = await answer.next()
        if (done) return value
        const isTooMuch = bytes >= answerBytesMax || clock.elapsed() >= endsAt
        if (bytes > 0 && isTooMuch) return 'too_much'
        if (!(await this.#turn(this.#signal, turnMs))) return 'busy'
        bytes += await this.#write(value, this.#signal)
      }
    } finally {
      await answer.return('')
    }
  }

  async #follow({ ranges }: Follow): Promise<void> {
    const { followers, metrics } = this.#components
    const follower = followers.follow(ranges)
    if (follower === undefined) {
      await this.#end('busy')
      return
    }
    metrics.followed.set(followers.followed)
    const over = new AbortController()
    const signal = AbortSignal.any([this.#signal, over.signal])
    const listening = this.#listen(over, signal)
    try {
      await this.#end(await this.#push(follower, signal))
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
      await this.#turn(signal, Number.POSITIVE_INFINITY)
      await this.#write(value, signal)
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

  /** What was asked costs something, even if there is nothing to say. */
  #charge(question: SyncRequest | undefined): void {
    this.#components.metrics.questions.add(1, { question: question?.type ?? 'unknown' })
    for (const pace of this.#components.paces) {
      pace.take(partsOf(question) * this.#limits.questionBytes)
    }
  }

  /** Resolves when it may go on; to false where that would be too late. */
  async #turn(signal: AbortSignal, ms: number): Promise<boolean> {
    const { clock, paces } = this.#components
    const endsAt = clock.elapsed() + ms
    for (;;) {
      const waitMs = Math.max(...paces.map((pace) => pace.waitMs))
      if (waitMs === 0) return true
      if (clock.elapsed() + waitMs > endsAt) return false
      await clock.sleep(waitMs, signal)
    }
  }

  async #end(reason: string): Promise<void> {
    await this.#write({ type: 'end', reason }, this.#signal)
  }

  /** Resolves to its bytes, once more may be written. */
  async #write(answer: SyncAnswer, signal: AbortSignal): Promise<number> {
    const { clock, metrics, paces } = this.#components
    const frame = encodeSyncAnswer(answer)
    for (const pace of paces) pace.take(frame.length)
    metrics.sentBytes.add(frame.length)
    this.#stream.write(frame)
    const waiting = { ms: this.#limits.stallMs, what: 'Taking an answer about logs', signal }
    await within(clock, waiting, (ending) => this.#stream.writable({ signal: ending }))
    return frame.length
  }
}

/** Whoever followed has ended its part. */
const LEFT = new PeerError('left', 'The other side follows no more.')

const followed = () =>
  new PeerError('not_answered', 'Nothing is answered behind a follow, which has no end.')

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
