import { InvalidError, PeerError } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import { type CompletionWork, limits } from '../../wire/job.ts'
import { toTexts } from './cl100k.ts'
import type { CompletionRequest } from './completion-schema.ts'
import { toSampling } from './sampling.ts'

const MAX_TOKENS_DEFAULT = 16

export async function toCompletionWork(
  body: CompletionRequest,
  random: Random,
): Promise<CompletionWork> {
  const sampling = toSampling(body, random)
  if (body.best_of != null && body.best_of !== sampling.choices) {
    throw unsupported('best_of', "'best_of' other than 'n' is not available in this version.")
  }
  if (body.echo === true && body.logprobs != null) {
    throw unsupported('logprobs', "'logprobs' together with 'echo' is not available.")
  }
  sampling.maxTokens = body.max_tokens ?? MAX_TOKENS_DEFAULT
  if (body.logprobs != null) sampling.logprobs = body.logprobs
  const prompts = await toTexts(body.prompt, 'prompt')
  if (prompts.length * sampling.choices > limits.choicesMax) {
    const message = `Prompts times 'n' may be at most ${limits.choicesMax}.`
    throw new InvalidError('n', message)
  }
  return { kind: 'completion', prompts, sampling }
}

const unsupported = (param: string, message: string) =>
  new PeerError('unsupported_parameter', message, { param })
