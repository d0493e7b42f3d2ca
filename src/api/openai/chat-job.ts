import { InvalidError } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import type { ContentPart, Image } from '../../wire/images.ts'
import type { ChatWork, Message, Role } from '../../wire/job.ts'
import type { AskedImage } from '../images/shown-images.ts'
import type { ChatRequest } from './chat-schema.ts'
import { toSampling } from './sampling.ts'
import { toCallId, toCalls, toOffered } from './tool-job.ts'

type AskedMessage = ChatRequest['messages'][number]

/** What a checked request asks for, in our own words. */
export function toChatWork(
  body: ChatRequest,
  random: Random,
  images: readonly Image[] = [],
): ChatWork {
  const sampling = toSampling(body, random)
  const maxTokens = toMaxTokens(body)
  if (maxTokens !== undefined) sampling.maxTokens = maxTokens
  const logprobs = toLogprobs(body)
  if (logprobs !== undefined) sampling.logprobs = logprobs
  return { kind: 'chat', messages: toMessages(body.messages, images), ...toOffered(body), sampling }
}

/** The images that a request shows, in order; throws for one where none can be. */
export function askedImages({ messages }: ChatRequest): AskedImage[] {
  return messages.flatMap(({ role, content }, at) => {
    if (typeof content === 'string' || content == null) return []
    return content.flatMap(({ type, text, image_url: image }, of) => {
      const where = `messages[${at}].content[${of}]`
      const param = `${where}.image_url`
      if (type === 'text') {
        if (image == null) return []
        throw new InvalidError(param, `Invalid '${param}': a text has none.`)
      }
      if (image == null) throw missing(param)
      if (text != null) {
        throw new InvalidError(`${where}.text`, `Invalid '${where}.text': an image has none.`)
      }
      if (role !== 'user') {
        throw new InvalidError(param, `Invalid '${param}': only messages of the user show images.`)
      }
      return { ...image, param: `${param}.url` }
    })
  })
}

const missing = (param: string) =>
  new InvalidError(param, `Missing required parameter: '${param}'.`, 'missing_required_parameter')

/** `images`: those that the request shows, as files, in order. */
function toMessages(messages: readonly AskedMessage[], images: readonly Image[]): Message[] {
  const asked = new Set<string>()
  const files = images.values()
  return messages.map((message, at) => {
    const where = `messages[${at}]`
    const callId = toCallId(message, where, asked)
    const calls = toCalls(message, where)
    for (const { id } of calls ?? []) asked.add(id)
    const content = toContent(message, where, calls !== undefined, files)
    return {
      role: roles[message.role],
      ...content,
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

type AskedPart = Exclude<AskedMessage['content'], string | null | undefined>[number]

/** Who calls something need not say anything. */
function toContent(
  { content }: AskedMessage,
  where: string,
  mayLack: boolean,
  files: Iterator<Image>,
): Pick<Message, 'content' | 'parts'> {
  if (typeof content === 'string') return { content }
  const param = `${where}.content`
  if (content != null) {
    const parts = content.map((part, at) => toPart(part, `${param}[${at}]`, files))
    const texts = parts.flatMap((part) => ('text' in part ? part.text : []))
    // Servers of text models agree to put a line break between the parts of a message.
    if (texts.length === parts.length) return { content: texts.join('\n') }
    return { content: '', parts }
  }
  if (mayLack) return { content: '' }
  if (content === undefined) throw missing(param)
  const message = `Invalid type for '${param}': expected a string or an array, got null.`
  throw new InvalidError(param, message, 'invalid_type')
}

function toPart({ type, text }: AskedPart, where: string, files: Iterator<Image>): ContentPart {
  if (type === 'image_url') return { image: files.next().value as Image }
  if (text == null) throw missing(`${where}.text`)
  return { text }
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
