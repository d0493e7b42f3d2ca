import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import { GuessHash } from '../../receipts/guess-hash.ts'
import type { LiveReceipts } from '../../receipts/live.ts'
import type { Done, Node } from '../../wire/chunk.ts'
import type { FromProvider } from '../../wire/generate.ts'
import type { Price } from '../../wire/job.ts'
import type { Verify } from '../../wire/signed.ts'
import type { Books } from '../books.ts'
import type { Asked } from '../failover/account.ts'
import { misbehaved } from '../remote/answer-check.ts'
import { openReceiptIn } from '../remote/answer-proof.ts'
import { AnswerTimes } from '../remote/answer-times.ts'
import { type Commissioned, judge, type Verdict } from '../remote/verdict.ts'
import { RouteReport } from '../route-report.ts'

type FrameOf<T extends FromProvider['type']> = Extract<FromProvider, { type: T }>

export interface DraftAccountComponents {
  verify: Verify
  books: Pick<Books, 'write'>
  live: LiveReceipts
  clock: Clock
  logger: Logger
}

export interface DraftOrdered {
  asked: Omit<Asked, 'beganAt' | 'report' | 'payment'>
  /** Who drafts, and with which model. */
  node: Node
  model: { name: string; id: string }
  /** Of which its receipt must be. */
  commissioned: Commissioned
  maxPrice: Price
}

/** What the drafter is told when it has said what it wants. */
export interface DraftAck {
  entry: Uint8Array
  dispute: string
  /** What it signed is not so. */
  isLie: boolean
}

const none = new Uint8Array()

/** One drafter's guesses for one answer: what they were worth, and what is owed for that. */
export class DraftAccount {
  readonly hash: GuessHash
  readonly #components: DraftAccountComponents
  readonly #ordered: DraftOrdered
  readonly #beganAt: number
  readonly #times: AnswerTimes
  #price: Price | undefined

  constructor(components: DraftAccountComponents, ordered: DraftOrdered) {
    this.hash = new GuessHash(ordered.commissioned.salt)
    this.#components = components
    this.#ordered = ordered
    this.#beganAt = components.clock.elapsed()
    this.#times = new AnswerTimes(this.#beganAt)
  }

  /** Throws where it asks for what the job does not allow. */
  accepted(frame: FrameOf<'accept'>): void {
    const { verify, live } = this.#components
    const { maxPrice, commissioned } = this.#ordered
    const { price } = frame
    if (this.#price !== undefined) throw misbehaved('it accepted twice')
    if (price.input > maxPrice.input || price.output > maxPrice.output) {
      throw misbehaved('it asks for more than the job allows')
    }
    this.#price = price
    const open = openReceiptIn(frame, commissioned, verify)
    if (open !== undefined) live.opened(open, commissioned)
  }

  guessed(first: number, ids: readonly number[]): void {
    this.#times.received(ids.length, this.#components.clock.elapsed())
    this.hash.guessed(first, ids)
  }

  /**
   * `taken`: guesses that are in the answer. Undefined where nothing is owed; otherwise it is in the
   * own log, or not as it must be.
   */
  async settle(frame: FrameOf<'done'>, taken: number): Promise<DraftAck | undefined> {
    const { usage, receipt } = frame
    if (taken === 0 || (this.#price?.output ?? 0) === 0) return undefined
    // By its own count nothing came true in time.
    if (usage.outputTokens === 0 && receipt === undefined) return undefined
    const verdict = this.#judged(frame, taken)
    const { dispute, isLie } = verdict
    if (dispute !== undefined) return { entry: none, dispute, isLie }
    const { entry } = await this.#book(verdict, { type: 'done', finish: ['cancelled'], usage })
    return { entry, dispute: '', isLie }
  }

  /** It may have counted fewer: what is on its way when a token is drawn is late only here. */
  #judged(frame: FrameOf<'done'>, taken: number): Verdict {
    const { inputTokens, cachedTokens, outputTokens: claimed } = frame.usage
    if (inputTokens > 0 || cachedTokens > 0) return { dispute: 'count', isLie: true }
    const outputTokens = Math.min(claimed, taken)
    const delivered = { outputTokens, resultHash: this.hash.digestOf(outputTokens) }
    const { commissioned } = this.#ordered
    return judge(frame, { commissioned, delivered }, this.#components.verify)
  }

  async #book({ receipt, execution }: Verdict, done: Done): Promise<{ entry: Uint8Array }> {
    const { books, clock, logger } = this.#components
    const { asked, node, model, commissioned } = this.#ordered
    const { jobId, nodePk, isPublic } = commissioned
    const report = new RouteReport()
    report.attempted(node.id, 'ok', this.#times.msSince(clock.elapsed()))
    const share = {
      ...{ jobId, nodePk, isPublic, receipt, execution },
      payee: node.id,
      region: node.country,
      usage: done.usage,
      unsignedTail: 0,
      price: this.#price ?? { input: 0, output: 0 },
      paid: done.usage,
    }
    try {
      return await books.write({
        // The target pays it, out of what it is paid for the answer.
        request: { ...asked, report, beganAt: this.#beganAt, payment: undefined },
        effort: { node, model, times: this.#times },
        shares: [share],
        isJoint: false,
        isInVain: false,
        done,
        dispute: undefined,
        resultHash: receipt?.resultHash ?? none,
      })
    } catch (error) {
      logger.warn('what is owed to a drafter did not come into the log', { job: jobId, error })
      throw error
    }
  }
}
