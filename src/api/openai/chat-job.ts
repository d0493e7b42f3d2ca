import { InvalidError } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import type { ChatWork, Message, Role } from '../../wire/job.ts'
import type { ChatRequest } from './chat-schema.ts'
import { toSampling } from './sampling.ts'
import { toCallId, toCalls, toOffered } from './tool-job.ts'

type AskedMessage = ChatRequest['messages'][number]

/** What a checked request asks for, in our own words. */
export function toChatWork(body: ChatRequest, random: Random): ChatWork {
  const sampling = toSampling(body, random)
  const maxTokens = toMaxTokens(body)
  if (maxTokens !== undefined) sampling.maxTokens = maxTokens
  const logprobs = toLogprobs(body)
  if (logprobs !== undefined) sampling.logprobs = logprobs
  return { kind: 'chat', messages: toMessages(body.messages), ...toOffered(body), sampling }
}

function toMessages(messages: readonly AskedMessage[]): Message[] {
  const asked = new Set<string>()
  return messages.map((message, at) => {
    const where = `messages[${at}]`
    const callId = toCallId(message, where, asked)
    const calls = toCalls(message, where)
    for (const { id } of calls ?? []) asked.add(id)
    const content = toContent(message, where, calls !== undefined)
    return {
      role: roles[message.role],
      content,
      ...(calls && { calls }),
      ...(callId !== undefined && { callId }),
    }
  })
}

const roles: Readonly<Record<AskedMessage['role'], Role>> = {
  system: 'system',
  developer: 'system',
  user: 'user',
  assistant: 'assistant',
  tool: 'result',
}

/** Who calls something need not say anything. */
function toContent({ content }: AskedMessage, where: string, mayLack: boolean): string {
  if (typeof content === 'string') return content
  // Servers of text models agree to put a line break between the parts of a message.
  if (content != null) return content.map((part) => part.text).join('\n')
  if (mayLack) return ''
  const param = `${where}.content`
  throw content === undefined
    ? new InvalidError(
        param,
        `Missing required parameter: '${param}'.`,
        'missing_required_parameter',
      )
    : new InvalidError(
        param,
        `Invalid type for '${param}': expected a string or an array, got null.`,
        'invalid_type',
      )
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
