import type { Clock } from '../base/clock.ts'
import { PeerError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { Engine, ModelStatus } from '../engines/engine.ts'
import { cancelledDone } from '../engines/lanes.ts'
import { type IssueComponents, issued, WorkRecord } from '../receipts/issue.ts'
import type { AnswerReceipt, Chunk, Done, Issued, Node } from '../wire/chunk.ts'
import { drafterOf, draftingOf } from '../wire/drafting.ts'
import type { Price } from '../wire/job.ts'
import { declaredModelId } from '../wire/model-id.ts'
import type { Books } from './books.ts'
import type { Effort } from './effort.ts'
import { type Account, type Ending, lostAccount, wholeAccount } from './failover/account.ts'
import { continued } from './failover/continued.ts'
import { handOver } from './failover/failover.ts'
import type { MarketMetrics } from './market-metrics.ts'
import { AnswerTimes } from './remote/answer-times.ts'
import { attemptId } from './remote/job-writer.ts'
import type { Request } from './request.ts'

export interface LocalComponents {
  engine: Pick<Engine, 'generate'>
  /** Signs the work. */
  issue: IssueComponents
  books: Pick<Books, 'write'>
  publish: 'receipts' | 'none'
  /** Told of what goes on although its reader may be gone. */
  parting(parting: Promise<void>): void
  clock: Clock
  logger: Logger
  metrics: MarketMetrics
}

export interface LocalWork {
  node: Node
  model: ModelStatus
  /** Others could do it if this machine can't. */
  isReplaceable(): boolean
  /** For whoever pays for it, per 1,000 tokens. */
  price: Price
}

const nothing = (): void => {}

/** This machine at work on a request. */
export class LocalEffort implements Effort {
  readonly where = 'local'
  readonly node: Node
  readonly model: Effort['model']
  readonly times: AnswerTimes
  readonly #components: LocalComponents
  readonly #request: Request
  readonly #isReplaceable: () => boolean
  readonly #price: Price
  readonly #attempt: number
  #ended = false
  #record: WorkRecord | undefined
  /** What it did before it broke down. */
  #ending: Ending | undefined

  constructor(components: LocalComponents, request: Request, work: LocalWork) {
    const { name, id } = work.model
    this.node = work.node
    this.model = { name, ...(id === undefined ? {} : { id }) }
    this.#attempt = ++request.attempts
    request.isTriedHere = true
    this.times = new AnswerTimes(components.clock.elapsed())
    this.#components = components
    this.#request = request
    this.#isReplaceable = work.isReplaceable
    this.#price = work.price
    request.report.own(work.node.id)
  }

  async chunks(options: { signal: AbortSignal }): Promise<AsyncIterable<Chunk>> {
    const { engine, issue, publish } = this.#components
    const request = this.#request
    const { job, salt, handover } = request
    const resume = handover?.begun?.resumes
    const { name, id = declaredModelId(name, this.node.id) } = this.model
    const record = new WorkRecord(issue, {
      jobId: attemptId(job, this.#attempt),
      work: job.work,
      promptRoot: () => request.written.promptRoot,
      coordinator: issue.identity.publicKey,
      model: { id, name },
      price: this.#price,
      region: this.node.country,
      nonce: salt,
      isPublic: publish === 'receipts',
    })
    this.#record = record
    const here = { ...job, model: name, ...(resume && { resume }) }
    const chunks = engine.generate(here, options)
    return this.#booked(issued(resume ? continued(chunks, resume) : chunks, record), record)
  }

  /** Its end goes up once it is in the log. */
  async *#booked(chunks: AsyncIterable<Chunk>, record: WorkRecord): AsyncGenerator<Chunk> {
    let isEnded = false
    try {
      for await (const chunk of chunks) {
        isEnded = chunk.type === 'done'
        yield chunk.type === 'done' ? await this.#book(chunk) : this.#named(chunk)
      }
    } catch (error) {
      // Another may go on with what was handed over: it is told of where the answer ends.
      if (!isEnded) this.#ending = await this.#sealed(record)
      isEnded = true
      throw error
    } finally {
      if (!isEnded) {
        const rest = this.#bookRest(record)
        this.#components.parting(rest)
        await rest
      }
    }
  }

  /** Its reader is gone: what was handed over was done all the same. */
  async #bookRest(record: WorkRecord): Promise<void> {
    const ending = await this.#sealed(record)
    const request = this.#request
    const account =
      ending === undefined
        ? lostAccount(request, cancelledDone(request.job))
        : wholeAccount(request, ending)
    try {
      if (account !== undefined) await this.#write(account)
    } catch (error) {
      this.#warn(error)
    }
  }

  /** Undefined where nothing was handed over. */
  async #sealed(record: WorkRecord): Promise<Ending | undefined> {
    try {
      const { issued, ...done } = (await record.left()) ?? {}
      return issued && this.#endingOf(done as Done, issued)
    } catch (error) {
      this.#warn(error)
      return undefined
    }
  }

  async #book({ issued, ...done }: Done): Promise<Done> {
    if (issued === undefined) return done
    const receipt = await this.#write(wholeAccount(this.#request, this.#endingOf(done, issued)))
    const drafting = done.drafting && { drafting: draftingOf(done.drafting, this.node.id) }
    return { ...done, ...drafting, receipt }
  }

  #named(chunk: Exclude<Chunk, Done>): Chunk {
    if (chunk.type !== 'provisional') return chunk
    return { ...chunk, drafter: drafterOf(chunk, this.node.id) }
  }

  async #write(account: Account): Promise<AnswerReceipt> {
    const { books, parting } = this.#components
    const booking = books.write(account)
    parting(booking.then(nothing, nothing))
    return (await booking).receipt
  }

  #endingOf(done: Done, { receipt, execution }: Issued): Ending {
    const { jobId, nodePk, resultHash } = receipt
    const share = {
      ...{ jobId, nodePk, receipt, execution },
      payee: undefined,
      region: this.node.country,
      isPublic: this.#components.publish === 'receipts',
      usage: done.usage,
      unsignedTail: 0,
      ...{ price: this.#price, paid: done.usage },
    }
    return { effort: this, done, share, dispute: undefined, resultHash }
  }

  #warn(error: unknown): void {
    const { id: job } = this.#request.job
    this.#components.logger.warn('an answer did not come into the log', { job, error })
  }

  succeeded(): void {
    this.#end('ok')
  }

  left(): void {
    this.#end('cancelled')
  }

  failed(error: unknown): void {
    const code = error instanceof PeerError ? error.code : 'failed'
    if (!this.#end(code)) throw error
    const request = this.#request
    const now = this.#components.clock.elapsed()
    const ms = this.times.msSince(now)
    if (this.times.begun) {
      request.report.ended(this.node.id, code, ms)
      this.#handOver(error, now)
      return
    }
    // Not able at all, which a busy machine is not: what is served here is answered here.
    const mayOthers =
      request.handover !== undefined || (code === 'model_failed' && this.#isReplaceable())
    if (!mayOthers) throw error
    request.report.attempted(this.node.id, code, ms)
  }

  #handOver(told: unknown, now: number): void {
    const share = this.#ending?.share
    const hash = this.#record?.hash
    if (hash === undefined) throw told
    // The price of the prompt is for who finishes the answer.
    const paid = share && { ...share, paid: { ...share.paid, inputTokens: 0 } }
    handOver(this.#request, { effort: this, hash, share: paid, dispute: undefined, told }, now)
  }

  #end(outcome: string): boolean {
    if (this.#ended) return false
    this.#ended = true
    this.#components.metrics.attempts.add(1, { where: this.where, outcome })
    return true
  }
}
