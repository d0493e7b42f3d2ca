import { liesWithin } from '../../base/country.ts'
import type { ModelStatus } from '../../engines/engine.ts'
import type { WireJob } from '../../wire/generate.ts'
import type { Price } from '../../wire/job.ts'
import { Refusal } from './refusal.ts'

/** On what terms this peer works for others. */
export interface Terms {
  /** Micro-credits per 1,000 tokens. */
  price: Price
  /** The country that this peer says it is in; undefined: it does not say. */
  region: string | undefined
  /** `none`: neither side shows anybody what it did. */
  publish?: 'receipts' | 'none'
}

const kindsServed: ReadonlySet<string> = new Set(['chat', 'completion', 'draft', 'embedding'])

/** Throws why this peer will not do the job, as far as the job alone tells. */
export function checkTerms(job: WireJob, { price: asked, region, publish }: Terms): void {
  const price = priceOf(job, asked)
  if (!kindsServed.has(job.kind)) {
    throw new Refusal('unsupported_kind', 'This peer does no jobs of this kind.')
  }
  const unsupported = notDoneHere(job)
  if (unsupported !== undefined) {
    throw new Refusal('unsupported', `This peer does not do ${unsupported}.`)
  }
  if (job.jurisdiction !== '' && !liesWithin(region, job.jurisdiction)) {
    throw new Refusal('wrong_region', `This peer does not say that it is in ${job.jurisdiction}.`)
  }
  // The coordinator would publish its part, and can't know that it must not.
  if (publish === 'none' && job.publish === 'receipts') {
    throw new Refusal('publishes_none', 'Nothing of what this peer does is to be published.')
  }
  const { maxPrice } = job
  if (maxPrice && (price.input > maxPrice.input || price.output > maxPrice.output)) {
    const asked = `${price.input}/${price.output}`
    throw new Refusal('price_too_low', `This peer asks ${asked} micro-credits per 1,000 tokens.`)
  }
}

/** Of drafting, only the guesses that are in the answer are paid. */
export const priceOf = ({ kind }: Pick<WireJob, 'kind'>, price: Price): Price =>
  kind === 'draft' ? { input: 0, output: price.output } : price

/** What a coordinator relies on must be done, or refused. */
function notDoneHere(job: WireJob): string | undefined {
  if (job.verification !== 'none') return 'verify answers'
  if (job.sampler !== '') return 'draw in a way that is told'
  return undefined
}

/** What the engine knows of the model of this id. */
export function modelOf(models: readonly ModelStatus[], id: string): ModelStatus {
  const model = models.find((each) => each.id === id)
  if (model !== undefined) return model
  throw new Refusal('unknown_model', 'This peer does not serve a model of this id.')
}
