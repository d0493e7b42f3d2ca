import { PeerError } from './base/errors.ts'
import type { Engine, ModelStatus } from './engines/engine.ts'
import type { Market, MarketModel } from './market/market.ts'
import type { Chunk } from './wire/chunk.ts'

/** The market of a peer that knows no other: every job is its own engine's. */
export function alone(engine: Engine, peerId: string, region: string | undefined): Market {
  const find = (name: string): MarketModel => {
    const model = engine.resolve(name)
    if (model !== undefined) return toMarketModel(model)
    const message = `The model '${name}' does not exist here. GET /v1/models lists those that do.`
    throw new PeerError('model_not_found', message, { param: 'model' })
  }
  return {
    models: () => engine.status().map(toMarketModel),
    resolve: (name) => {
      const model = engine.resolve(name)
      return model && toMarketModel(model)
    },
    find: async (name) => find(name),
    async *generate(job, options): AsyncGenerator<Chunk> {
      let inputTokens = 0
      let told = false
      for await (const chunk of engine.generate(job, options)) {
        if (chunk.type === 'accepted') inputTokens = chunk.inputTokens
        else if (chunk.type !== 'progress' && !told) {
          told = true
          const gpu = engine.hardware().gpus[0]?.name
          yield {
            type: 'routed',
            node: {
              id: peerId,
              ...(gpu === undefined ? {} : { gpu }),
              ...(region === undefined ? {} : { country: region }),
            },
            model: { name: job.model },
            inputTokens,
            route: {
              candidates: [{ node: peerId, score: 1, reasons: ['self'] }],
              excluded: {},
              attempts: [{ node: peerId, outcome: 'ok', ms: 0 }],
            },
          }
        }
        yield chunk
      }
    },
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
