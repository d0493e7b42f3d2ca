import type { AnswerFormat, Calling, OfferedFunction } from '../../wire/functions.ts'
import type { ContentPart } from '../../wire/images.ts'
import type { ChatWork, Message } from '../../wire/job.ts'
import type { ServerKind } from './server-kind.ts'
import { unsupported } from './upstream-errors.ts'

type Taken = Pick<ServerKind, 'takesCalling' | 'takesPlainJson'>

/** What is said, and what the answer may be, in OpenAI's words. Throws for what would be passed over. */
export function chatRequest(work: ChatWork, server: Taken): object {
  const { messages, functions, format, sampling } = work
  if (functions !== undefined && sampling.logprobs !== undefined) throw unsupported('logprobs')
  return {
    messages: messages.map(toMessage),
    ...(functions && offered(functions, work, server)),
    ...(format && { response_format: toFormat(format, server) }),
  }
}

function toMessage({ role, content, parts, calls, callId }: Message): object {
  if (parts !== undefined) return { role, content: parts.map(toPart) }
  if (role === 'result') return { role: 'tool', content, tool_call_id: callId }
  if (calls === undefined) return { role, content }
  return {
    role,
    content,
    tool_calls: calls.map(({ id, name, arguments: said }) => {
      return { id, type: 'function', function: { name, arguments: said } }
    }),
  }
}

function toPart(part: ContentPart): object {
  if ('text' in part) return { type: 'text', text: part.text }
  const { type, data, detail } = part.image
  return {
    type: 'image_url',
    image_url: { url: `data:${type};base64,${data}`, ...(detail && { detail }) },
  }
}

function offered(
  functions: readonly OfferedFunction[],
  { calling, oneCall }: Pick<ChatWork, 'calling' | 'oneCall'>,
  { takesCalling }: Taken,
): object {
  if (calling !== undefined && takesCalling === 'none') {
    // What it does not know of, it does not call.
    if (calling.mode === 'none') return {}
    throw unsupported('tool_choice')
  }
  const name = calling?.name
  const isAlone = name !== undefined && takesCalling === 'words'
  return {
    tools: functions.filter((each) => !isAlone || each.name === name).map(toTool),
    ...(calling && { tool_choice: toChoice(calling, isAlone) }),
    ...(oneCall && { parallel_tool_calls: false }),
  }
}

const toTool = ({ name, description, parameters, strict }: OfferedFunction): object => ({
  type: 'function',
  function: {
    ...{ name, description, strict },
    ...(parameters !== undefined && { parameters: JSON.parse(parameters) }),
  },
})

function toChoice({ mode, name }: Calling, isAlone: boolean): unknown {
  return name === undefined || isAlone ? mode : { type: 'function', function: { name } }
}

const SOME_OBJECT = { name: 'answer', schema: { type: 'object' } }

function toFormat({ type, schema, ...rest }: AnswerFormat, { takesPlainJson }: Taken): object {
  if (type === 'json') {
    return takesPlainJson
      ? { type: 'json_object' }
      : { type: 'json_schema', json_schema: SOME_OBJECT }
  }
  return { type: 'json_schema', json_schema: { ...rest, schema: JSON.parse(schema ?? '{}') } }
}
