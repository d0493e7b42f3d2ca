import { PeerError } from '../../src/base/errors.ts'
import type { ModelStatus } from '../../src/engines/engine.ts'
import type { Market, MarketModel } from '../../src/market/market.ts'
import type { AnswerReceipt, Chunk, Resumed, Route, Routed } from '../../src/wire/chunk.ts'
import type { Job } from '../../src/wire/job.ts'
import type { ScriptedEngine } from './scripted-engine.ts'

export const NODE_ID = '12D3KooWQYzWbKBFmnJxMHyvqMRgMPDhPxDZdNRGnbvxbWvQyDDj'

const route: Route = {
  candidates: [{ node: NODE_ID, score: 1, reasons: ['self'] }],
  excluded: {},
  attempts: [{ node: NODE_ID, outcome: 'ok', ms: 1.5 }],
}

/** Everything is answered by one peer, whose words the scripted engine writes. */
export class ScriptedMarket implements Market {
  readonly #engine: ScriptedEngine
  /** What changes in the next `routed` chunks: a hostile peer's name, for one. */
  routed: Partial<Routed> = {}
  /** What comes with the end of the next answers. */
  receipt: AnswerReceipt | undefined
  /** Of answers that another peer went on with. */
  resumed: Resumed | undefined
  /** Models that only other peers have, beside the engine's. */
  readonly remote: MarketModel[] = []
  /** Names that were looked up, and not found. */
  readonly lookedUp: string[] = []

  constructor(engine: ScriptedEngine) {
    this.#engine = engine
  }

  models(): MarketModel[] {
    return [...this.#engine.status().map(toMarketModel), ...this.remote]
  }

  resolve(name: string): MarketModel | undefined {
    const local = this.#engine.resolve(name)
    if (local !== undefined) return toMarketModel(local)
    return this.remote.find((model) => model.name === name)
  }

  async find(name: string): Promise<MarketModel> {
    const known = this.resolve(name)
    if (known !== undefined) return known
    this.lookedUp.push(name)
    throw new PeerError('model_not_found', `The model '${name.slice(0, 200)}' does not exist.`, {
      param: 'model',
    })
  }

  readonly generate = (job: Job, { signal }: { signal: AbortSignal }) => this.#run(job, signal)

  async *#run(job: Job, signal: AbortSignal): AsyncGenerator<Chunk> {
    let inputTokens = 0
    let told = false
    for await (const chunk of this.#engine.generate(job, { signal })) {
      if (chunk.type === 'accepted') inputTokens = chunk.inputTokens
      else if (chunk.type !== 'progress' && !told) {
        told = true
        const node = { id: NODE_ID }
        yield {
          type: 'routed',
          node,
          model: { name: job.model },
          inputTokens,
          route,
          ...this.routed,
        }
      }
      const ends = chunk.type === 'done' && this.receipt !== undefined
      const resumed = this.resumed && { resumed: this.resumed }
      yield ends ? { ...chunk, receipt: this.receipt as AnswerReceipt, ...resumed } : chunk
    }
  }
}

function toMarketModel(local: ModelStatus): MarketModel {
  const { name, id, created, facts } = local
  return {
    name,
    id,
    kind: facts?.kind,
    contextLength: facts?.contextLength,
    embeddingLength: facts?.embeddingLength,
    created,
    local,
    nodes: 1,
    price: undefined,
  }
}
