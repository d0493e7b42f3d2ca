import { type ContentPart, imageLimits } from './images.ts'
import type { ChatWork, Message, Work } from './job.ts'

/** What a chat template or a tool's own system prompt puts around the messages at most. */
const TEMPLATE_TOKENS = 2_048
/** Role, separators and end of one message, or the ends of one prompt. */
const FRAME_TOKENS = 32

/** Templates write JSON anew: `é`, which has two bytes, as the six of `\u00e9`. */
const ESCAPED = 3

/** No token is shorter than a byte; a prompt beyond the context is refused. */
export function inputTokensMax(work: Work, contextLength: number): number {
  return promptBytes(work).reduce((sum, bytes) => sum + Math.min(bytes, contextLength), 0)
}

/** Of one choice. One token of the context at least is the prompt's. */
export function outputTokensMax(work: Work, contextLength: number): number {
  if (work.kind === 'embedding') return 0
  const room = Math.max(1, contextLength - 1)
  return Math.min(work.sampling.maxTokens ?? room, room)
}

/** Of each prompt: its bytes, and what is written around it. */
export function promptBytes(work: Work): number[] {
  switch (work.kind) {
    case 'chat': {
      const texts = [...work.messages.map(messageBytes), ...offeredBytes(work)]
      return [texts.reduce((sum, bytes) => sum + bytes, TEMPLATE_TOKENS)]
    }
    case 'completion':
      return work.prompts.map((prompt) => Buffer.byteLength(prompt) + FRAME_TOKENS)
    case 'embedding':
      return work.inputs.map((input) => Buffer.byteLength(input) + FRAME_TOKENS)
  }
}

function messageBytes({ role, content, parts = [], calls = [], callId = '' }: Message): number {
  const written = Buffer.byteLength(content) * (role === 'result' ? ESCAPED : 1)
  const said = parts.reduce((sum, part) => sum + partBytes(part), written)
  const called = calls.map(({ id, name, arguments: all }) => jsonBytes(id + name + all))
  return called.reduce((sum, bytes) => sum + bytes, said + jsonBytes(callId))
}

/** As many tokens as it can be: of an image no byte is one. */
const partBytes = (part: ContentPart): number =>
  FRAME_TOKENS + ('text' in part ? Buffer.byteLength(part.text) : imageLimits.tokensMax)

/** What is not said, and is in the prompt all the same. */
function offeredBytes({ functions = [], format }: ChatWork): number[] {
  const { name = '', description = '', schema = '' } = format ?? {}
  return [
    ...functions.map(({ name, description = '', parameters = '' }) => {
      return jsonBytes(name + description + parameters)
    }),
    ...(format === undefined ? [] : [jsonBytes(name + description + schema)]),
  ]
}

const jsonBytes = (text: string): number => Buffer.byteLength(text) * ESCAPED + FRAME_TOKENS

/** Of all that is asked, without what is written around it. */
export function contentBytes(work: Work): number {
  return contentsOf(work).reduce((sum, text) => sum + Buffer.byteLength(text), 0)
}

function contentsOf(work: Work): readonly string[] {
  switch (work.kind) {
    case 'chat':
      return [
        ...work.messages.flatMap(({ content, parts = [], calls = [] }) => [
          content,
          ...parts.flatMap((part) => ('text' in part ? part.text : [])),
          ...calls.map((call) => call.arguments),
        ]),
        ...(work.functions ?? []).map(({ parameters = '' }) => parameters),
      ]
    case 'completion':
      return work.prompts
    case 'embedding':
      return work.inputs
  }
}
