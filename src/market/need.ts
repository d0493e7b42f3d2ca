import type { Need } from '../accounts/limits/meter.ts'
import type { Work } from '../wire/job.ts'
import { contentBytes } from '../wire/token-bounds.ts'
import { boundsOf } from './quote.ts'

/** Of most texts. Of others more is used than was sure: it is owed. */
const BYTES_PER_TOKEN = 4

/** What a job is sure to need of a token rate, as far as it says so, and what it can use at most. */
export function needOf(work: Work): Need {
  const { inputTokens, outputTokens } = boundsOf(work, Number.POSITIVE_INFINITY)
  const saysHowMuch = work.kind !== 'embedding' && work.sampling.maxTokens !== undefined
  const input = Math.ceil(contentBytes(work) / BYTES_PER_TOKEN)
  return { least: 1 + input + (saysHowMuch ? outputTokens : 0), most: inputTokens + outputTokens }
}
