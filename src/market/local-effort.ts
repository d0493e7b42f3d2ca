import type { Clock } from '../base/clock.ts'
import { PeerError } from '../base/errors.ts'
import type { Engine, ModelStatus } from '../engines/engine.ts'
import type { Chunk, Node } from '../wire/chunk.ts'
import type { Effort } from './effort.ts'
import type { MarketMetrics } from './market-metrics.ts'
import { AnswerTimes } from './remote/answer-times.ts'
import type { Request } from './request.ts'

export interface LocalComponents {
  engine: Pick<Engine, 'generate'>
  clock: Clock
  metrics: MarketMetrics
}

export interface LocalWork {
  node: Node
  model: ModelStatus
  /** Others could do it if this machine can't. */
  replaceable: boolean
}

/** This machine at work on a request. */
export class LocalEffort implements Effort {
  readonly where = 'local'
  readonly node: Node
  readonly model: Effort['model']
  readonly times: AnswerTimes
  readonly #components: LocalComponents
  readonly #request: Request
  readonly #replaceable: boolean
  #ended = false

  constructor(components: LocalComponents, request: Request, work: LocalWork) {
    const { name, id } = work.model
    this.node = work.node
    this.model = { name, ...(id === undefined ? {} : { id }) }
    this.times = new AnswerTimes(components.clock.elapsed())
    this.#components = components
    this.#request = request
    this.#replaceable = work.replaceable
    request.report.own(work.node.id)
  }

  async chunks(options: { signal: AbortSignal }): Promise<AsyncIterable<Chunk>> {
    const job = { ...this.#request.job, model: this.model.name }
    return this.#components.engine.generate(job, options)
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
