import type { Clock } from '../base/clock.ts'
import { PeerError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { Engine, ModelStatus } from '../engines/engine.ts'
import { type IssueComponents, issued, WorkRecord } from '../receipts/issue.ts'
import type { Chunk, Done, Node } from '../wire/chunk.ts'
import { declaredModelId } from '../wire/model-id.ts'
import type { Books } from './books.ts'
import type { Effort } from './effort.ts'
import type { MarketMetrics } from './market-metrics.ts'
import { AnswerTimes } from './remote/answer-times.ts'
import { attemptId } from './remote/job-writer.ts'
import type { Request } from './request.ts'

export interface LocalComponents {
  engine: Pick<Engine, 'generate'>
  /** Signs the work. */
  issue: IssueComponents
  books: Pick<Books, 'local'>
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
  replaceable: boolean
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
  readonly #replaceable: boolean
  readonly #attempt: number
  #ended = false

  constructor(components: LocalComponents, request: Request, work: LocalWork) {
    const { name, id } = work.model
    this.node = work.node
    this.model = { name, ...(id === undefined ? {} : { id }) }
    this.#attempt = ++request.attempts
    this.times = new AnswerTimes(components.clock.elapsed())
    this.#components = components
    this.#request = request
    this.#replaceable = work.replaceable
    request.report.own(work.node.id)
  }

  async chunks(options: { signal: AbortSignal }): Promise<AsyncIterable<Chunk>> {
    const { engine, issue, publish } = this.#components
    const request = this.#request
    const { job, salt } = request
    const { name, id = declaredModelId(name, this.node.id) } = this.model
    const record = new WorkRecord(issue, {
      jobId: attemptId(job, this.#attempt),
      work: job.work,
      promptRoot: () => request.written.promptRoot,
      coordinator: issue.identity.publicKey,
      model: { id, name },
      price: { input: 0, output: 0 },
      region: this.node.country,
      nonce: salt,
      isPublic: publish === 'receipts',
    })
    const chunks = engine.generate({ ...job, model: name }, options)
    return this.#booked(issued(chunks, record), record)
  }

  /** Its end goes up once it is in the log. */
  async *#booked(chunks: AsyncIterable<Chunk>, record: WorkRecord): AsyncGenerator<Chunk> {
    let isEnded = false
    try {
      for await (const chunk of chunks) {
        isEnded = chunk.type === 'done'
        yield chunk.type === 'done' ? await this.#book(chunk) : chunk
      }
    } finally {
      if (!isEnded) {
        const rest = this.#bookRest(record)
        this.#components.parting(rest)
        await rest
      }
    }
  }

  /** Its reader is gone, or the engine broke down: what was handed over was done all the same. */
  async #bookRest(record: WorkRecord): Promise<void> {
    try {
      const done = await record.left()
      if (done !== undefined) await this.#book(done)
    } catch (error) {
      const { id: job } = this.#request.job
      this.#components.logger.warn('an answer did not come into the log', { job, error })
    }
  }

  async #book({ issued, ...done }: Done): Promise<Done> {
    if (issued === undefined) return done
    const work = { request: this.#request, effort: this, done }
    const booking = this.#components.books.local(work, issued)
    this.#components.parting(booking.then(nothing, nothing))
    return { ...done, receipt: await booking }
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
    // Not able at all, which a busy machine is not: what is served here is answered here.
    if (code !== 'model_failed' || this.times.begun || !this.#replaceable) throw error
    const ms = this.times.msSince(this.#components.clock.elapsed())
    this.#request.report.attempted(this.node.id, code, ms)
  }

  #end(outcome: string): boolean {
    if (this.#ended) return false
    this.#ended = true
    this.#components.metrics.attempts.add(1, { where: this.where, outcome })
    return true
  }
}
