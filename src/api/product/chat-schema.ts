import { TITLE_CHARS_MAX } from '../../accounts/sessions/title.ts'
import {
  bodyHeadersField,
  modelField,
  networkFields,
  nodeField,
  onlyWhere,
  receiptField,
  samplingFields,
} from '../openai/fields.ts'
import {
  array,
  boolean,
  closed,
  type Infer,
  integer,
  literal,
  nullable,
  object,
  oneOf,
  optional,
  optionalOrNull,
  string,
  unavailable,
} from '../schema.ts'

/** More than the context of any model; the model's own limit is in tokens. */
const MESSAGE_CHARS_MAX = 1_000_000
/** A page of a list has those of a hundred sessions. */
const INSTRUCTIONS_CHARS_MAX = 65_536
const ATTACHMENTS_MAX = 16

const { n: _one, logit_bias: _none, ...sampling } = samplingFields

export const turnRequest = closed({
  model: modelField,
  message: string({ minLength: 1, maxLength: MESSAGE_CHARS_MAX, examples: ['Hello!'] }),
  session_id: optionalOrNull(string({ maxLength: 64 }), {
    description: 'Of a session with this model that is to go on. Absent: a new one.',
  }),
  instructions: optionalOrNull(string({ maxLength: INSTRUCTIONS_CHARS_MAX }), {
    description: 'What the model is told before the conversation; kept with the session.',
  }),
  client_request_id: optionalOrNull(string({ maxLength: 128 })),
  attachments: optionalOrNull(array(closed({ file_id: string() }), { maxItems: ATTACHMENTS_MAX }), {
    description: 'Files of the account; a turn takes none yet. With `messages`, images are shown.',
  }),
  stream: optionalOrNull(boolean(), { default: false }),
  ...sampling,
  max_tokens: optionalOrNull(integer({ minimum: 1 }), {
    description: 'Absent: as many as the context has room for.',
  }),
  web_search: unavailable('Web search.'),
  thinking: unavailable('A mode in which the model thinks before it answers.'),
  reasoning_effort: onlyWhere(oneOf(['none']), 'No served model reasons.'),
  ...networkFields,
})
export type TurnRequest = Infer<typeof turnRequest>

const usage = object({
  input_tokens: integer(),
  output_tokens: integer(),
  total_tokens: integer(),
})

const credits = object({
  reserved: integer({
    description: 'Micro-credits set aside before the model was asked; 0 if free.',
  }),
  final: integer({ description: 'What was charged in the end.' }),
})
export type CreditsJson = Infer<typeof credits>

const replyMessage = object({ id: string(), role: literal('assistant'), content: string() })

export const turnResponse = object({
  id: string({ description: 'chatcmpl_…' }),
  object: literal('chat.completion'),
  session_id: string(),
  model: string(),
  created_at: string(),
  message: replyMessage,
  usage,
  credits,
  client_request_id: nullable(string()),
  request_id: string(),
  headers: bodyHeadersField,
  receipt: receiptField,
})
export type TurnJson = Infer<typeof turnResponse>

export const turnEvents = [
  object({ id: string(), session_id: string(), model: string(), node: nodeField }),
  object({ delta: string() }),
  object({ message: replyMessage }),
  turnResponse,
] as const

const sessionFields = {
  id: string(),
  object: literal('chat.session'),
  title: string(),
  model: string(),
  instructions: nullable(string()),
  message_count: integer(),
  created_at: string(),
  updated_at: string(),
}
export const sessionSchema = object(sessionFields)

export const messageSchema = object({
  id: string(),
  index: integer({ description: 'Its place in the session, from 0.' }),
  role: oneOf(['user', 'assistant']),
  content: string(),
  status: oneOf(['completed', 'cancelled'], {
    description: 'cancelled: the client left while it was being said; this much came.',
  }),
  attachments: array(object({ file_id: string() })),
  usage: nullable(usage),
  client_request_id: nullable(string()),
  created_at: string(),
})

export const sessionWithMessages = object({
  ...sessionFields,
  messages: array(messageSchema, { description: 'The newest of them, the oldest of those first.' }),
  messages_has_more: boolean({ description: 'There are earlier ones: `messages_before`.' }),
})

export const sessionPatch = closed({
  title: string({ minLength: 1, maxLength: TITLE_CHARS_MAX * 2 }),
})

export const sessionQuery = closed({
  messages_before: optional(
    string({ maxLength: 8, description: 'The messages before the one with this index.' }),
  ),
})

export const deletedSession = object({
  id: string(),
  object: literal('chat.session'),
  deleted: boolean(),
})
