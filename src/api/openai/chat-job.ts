import { InvalidError } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import type { ChatWork, Message } from '../../wire/job.ts'
import type { ChatRequest } from './chat-schema.ts'
import { toSampling } from './sampling.ts'

/** What a checked request asks for, in our own words. */
export function toChatWork(body: ChatRequest, random: Random): ChatWork {
  const sampling = toSampling(body, random)
  const maxTokens = toMaxTokens(body)
  if (maxTokens !== undefined) sampling.maxTokens = maxTokens
  const logprobs = toLogprobs(body)
  if (logprobs !== undefined) sampling.logprobs = logprobs
  return { kind: 'chat', messages: body.messages.map(toMessage), sampling }
}

function toMessage({ role, content }: ChatRequest['messages'][number]): Message {
  return {
    role: role === 'developer' ? 'system' : role,
    // Servers of text models agree to put a line break between the parts of a message.
    content: typeof content === 'string' ? content : content.map((part) => part.text).join('\n'),
  }
}

function toMaxTokens(body: ChatRequest): number | undefined {
  const { max_tokens: older, max_completion_tokens: newer } = body
  if (older != null && newer != null && older !== newer) {
    const message = "'max_tokens' is the older name of 'max_completion_tokens': send only one."
    throw new InvalidError('max_tokens', message)
  }
  return newer ?? older ?? undefined
}

function toLogprobs(body: ChatRequest): number | undefined {
  if (body.logprobs === true) return body.top_logprobs ?? 0
  if (body.top_logprobs == null || body.top_logprobs === 0) return undefined
  const message = "'top_logprobs' is only allowed together with 'logprobs': true."
  throw new InvalidError('top_logprobs', message)
}
