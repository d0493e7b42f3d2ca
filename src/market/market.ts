import type { ModelStatus } from '../engines/engine.ts'
import type { Generate } from '../wire/chunk.ts'
import type { Price } from '../wire/job.ts'

/** What a request is served through: this machine's models, and those of the peers. */
export interface Market {
  /** Every model that this peer can reach now, its own first. */
  models(): MarketModel[]
  /** One of them, or an alias of one; without a wait. */
  resolve(name: string): MarketModel | undefined
  /** The same; a name never heard of is looked up for a moment. Throws `model_not_found`. */
  find(name: string, options: { signal: AbortSignal }): Promise<MarketModel>
  /** Yields a `routed` chunk right before the first tokens, vectors or `done`. */
  generate: Generate
}

export interface MarketModel {
  name: string
  /** Undefined while it is not known, as for a model of this machine that was never loaded. */
  id: string | undefined
  kind: 'chat' | 'embedding' | undefined
  contextLength: number | undefined
  embeddingLength: number | undefined
  created: number
  /** Set for a model of this machine: it is answered here. */
  local: ModelStatus | undefined
  /** Peers, this one included, that serve it now. 0: known, but nobody is there. */
  nodes: number
  /** The lowest. */
  price: Price | undefined
}
