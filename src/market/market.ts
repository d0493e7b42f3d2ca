import { metered, type PaidGenerate, type TillComponents } from '../accounts/payment.ts'
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
  /** What it does, in the words of an advert, at one peer or another; undefined while that is not known. */
  capabilities?: readonly string[] | undefined
  created: number
  /** Set for a model of this machine: it is answered here. */
  local: ModelStatus | undefined
  /** Peers, this one included, that serve it now. 0: known, but nobody is there. */
  nodes: number
  /** The lowest. */
  price: Price | undefined
}

/** The same market behind a wrapper of its generate. */
export const marketBehind = <G>(
  market: Omit<Market, 'generate'> & { generate: G },
  wrap: (generate: G) => Generate,
): Market => ({
  models: () => market.models(),
  resolve: (name) => market.resolve(name),
  find: (name, options) => market.find(name, options),
  generate: wrap(market.generate),
})

/** The same market, in which accounts pay for their jobs, and what they use is counted. */
export const paidMarket = (
  market: Omit<Market, 'generate'> & { generate: PaidGenerate },
  till: TillComponents,
): Market => marketBehind(market, (generate) => metered(generate, till))
