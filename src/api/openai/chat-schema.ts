import { limits } from '../../wire/job.ts'
import {
  anyOf,
  anything,
  array,
  boolean,
  closed,
  type Infer,
  integer,
  literal,
  nullable,
  number,
  object,
  oneOf,
  onlyNull,
  optional,
  optionalOrNull,
  record,
  string,
  unavailable,
} from '../schema.ts'
import {
  bodyHeadersField,
  informing,
  modelField,
  networkFields,
  nodeField,
  onlyWhere,
  participantName,
  receiptField,
  samplingFields,
  streamFields,
  usageSchema,
} from './fields.ts'
import { askedCallId, askedCalls, toolCallDeltas, toolCalls, toolFields } from './tool-schema.ts'

const nothing = array(anything(), { maxItems: 0 })

const part = closed({
  type: oneOf(['text', 'image_url'], { 'x-unavailable': ['input_audio', 'file', 'refusal'] }),
  text: optionalOrNull(string(), { description: 'Of a text.' }),
  image_url: optionalOrNull(
    closed({
      url: string({
        minLength: 1,
        description:
          'data:image/…;base64,… or an https URL, which this peer fetches: a PNG, JPEG, WebP or GIF.',
      }),
      detail: optionalOrNull(oneOf(['auto', 'low', 'high'])),
    }),
    {
      description:
        'Of an image, in a user message. Only of models that have `vision` among their capabilities.',
    },
  ),
  prompt_cache_breakpoint: optional(anything()),
})

const message = closed({
  role: oneOf(['system', 'developer', 'user', 'assistant', 'tool'], {
    'x-unavailable': ['function'],
    description:
      'A developer message is a system message; a tool message says what came of a call.',
  }),
  content: optionalOrNull(
    anyOf([string(), array(part, { minItems: 1, maxItems: limits.messagesMax })]),
    { description: 'Only a message with tool calls may lack it.' },
  ),
  name: participantName,
  // An earlier answer, sent back as it came, has these.
  refusal: unavailable('A refusal in an earlier answer.'),
  annotations: onlyWhere(nothing, 'Citations in an earlier answer.'),
  audio: unavailable('Speech in an earlier answer.'),
  tool_calls: optionalOrNull(askedCalls, { description: 'Tool calls in an earlier answer.' }),
  tool_call_id: optionalOrNull(askedCallId, { description: 'Which call a tool message answers.' }),
  function_call: unavailable('A function call in an earlier answer.'),
})

export const chatRequest = closed({
  model: modelField,
  messages: array(message, {
    ...{ minItems: 1, maxItems: limits.messagesMax },
    examples: [[{ role: 'user', content: 'Hello!' }]],
  }),
  ...streamFields,
  ...samplingFields,
  max_completion_tokens: optionalOrNull(integer({ minimum: 1 }), {
    description: 'Absent: as many as the context has room for.',
  }),
  max_tokens: optionalOrNull(integer({ minimum: 1 }), {
    description: 'The older name of max_completion_tokens.',
  }),
  logprobs: optionalOrNull(boolean(), { default: false }),
  top_logprobs: optionalOrNull(integer({ minimum: 0, maximum: limits.topLogprobsMax }), {
    description: 'Only together with logprobs.',
  }),
  ...toolFields,
  functions: onlyWhere(nothing, 'The older name of tools.'),
  function_call: onlyWhere(oneOf(['none', 'auto']), 'The older name of tool_choice.'),
  reasoning_effort: onlyWhere(oneOf(['none']), 'No served model reasons.'),
  modalities: onlyWhere(array(oneOf(['text']), { maxItems: 1 }), 'Text only.'),
  audio: unavailable('Spoken answers.'),
  prediction: unavailable('A predicted answer.'),
  web_search_options: unavailable('Web search.'),
  ...informing,
  verbosity: optionalOrNull(string({ maxLength: 32 })),
  prompt_cache_options: optionalOrNull(record(anything())),
  moderation: optionalOrNull(record(anything())),
  ...networkFields,
})

export type ChatRequest = Infer<typeof chatRequest>

const scored = {
  token: string(),
  logprob: number(),
  bytes: array(integer()),
}

const logprobs = anyOf([
  object({
    content: array(object({ ...scored, top_logprobs: array(object({ ...scored })) })),
    refusal: onlyNull(),
  }),
  onlyNull(),
])

const finish = anyOf([oneOf(['stop', 'length', 'tool_calls']), onlyNull()])

const envelope = {
  id: string(),
  created: integer({ description: 'Seconds since the epoch.' }),
  model: string(),
  system_fingerprint: optional(string()),
  service_tier: optional(string()),
  request_id: string(),
}

export const chatResponse = object({
  ...envelope,
  object: literal('chat.completion'),
  headers: bodyHeadersField,
  receipt: receiptField,
  choices: array(
    object({
      index: integer(),
      message: object({
        role: literal('assistant'),
        content: nullable(string()),
        refusal: onlyNull(),
        tool_calls: optional(toolCalls),
      }),
      logprobs,
      finish_reason: finish,
    }),
  ),
  usage: usageSchema,
})

/** One event of a stream. */
export const chatChunk = object({
  ...envelope,
  object: literal('chat.completion.chunk'),
  node: nodeField,
  receipt: receiptField,
  choices: array(
    object({
      index: integer(),
      delta: object({
        role: optional(literal('assistant')),
        content: optional(nullable(string())),
        refusal: optional(onlyNull()),
        tool_calls: optional(toolCallDeltas),
      }),
      logprobs,
      finish_reason: finish,
    }),
  ),
  usage: optional(nullable(usageSchema)),
  obfuscation: optional(string()),
})

export type ChatResponse = Infer<typeof chatResponse>
export type ChatChunk = Infer<typeof chatChunk>
