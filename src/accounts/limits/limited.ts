import type { Chunk, Done, Generate } from '../../wire/chunk.ts'
import type { Work } from '../../wire/job.ts'
import type { Meter, Need } from './meter.ts'
import type { RateLimiter } from './rate-limiter.ts'

/**
 * The same Generate within the token rate of the key that asks: what a job can use is taken before it
 * begins, and what it did not use is given back when it ends.
 */
export function limited(
  generate: Generate,
  limiter: RateLimiter,
  needOf: (work: Work) => Need,
): Generate {
  return (job, options) => {
    const meter = limiter.known(job.origin?.keyId)
    if (meter?.tokens === undefined) return generate(job, options)
    return metered(meter, needOf(job.work), () => generate(job, options))
  }
}

async function* metered(
  meter: Meter,
  need: Need,
  begin: () => AsyncIterable<Chunk>,
): AsyncGenerator<Chunk> {
  const reserved = meter.reserve(need)
  let read = 0
  let written = 0
  let done: Done | undefined
  try {
    for await (const chunk of begin()) {
      if (chunk.type === 'accepted' || chunk.type === 'routed') read = chunk.inputTokens
      else if (chunk.type === 'tokens') written += chunk.ids.length
      else if (chunk.type === 'done') done = chunk
      yield chunk
    }
  } finally {
    const { inputTokens, outputTokens } = done?.usage ?? {}
    meter.settle(reserved, (inputTokens ?? read) + (outputTokens ?? written))
  }
}
