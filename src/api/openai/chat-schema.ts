import { type Static, Type } from 'typebox'
import { limits } from '../../wire/job.ts'
import {
  finishField,
  informing,
  modelField,
  networkFields,
  oneOf,
  onlyWhere,
  optional,
  participantName,
  samplingFields,
  streamFields,
  UNAVAILABLE,
  unavailable,
  usageSchema,
} from './fields.ts'

const nothing = Type.Array(Type.Unknown(), { maxItems: 0 })

const textPart = Type.Object(
  {
    type: oneOf(['text'], { [UNAVAILABLE]: ['image_url', 'input_audio', 'file', 'refusal'] }),
    text: Type.String(),
    prompt_cache_breakpoint: Type.Optional(Type.Unknown()),
  },
  { additionalProperties: false },
)

const message = Type.Object(
  {
    role: oneOf(['system', 'developer', 'user', 'assistant'], {
      [UNAVAILABLE]: ['tool', 'function'],
      description: 'A developer message is a system message.',
    }),
    content: Type.Union([
      Type.String(),
      Type.Array(textPart, { minItems: 1, maxItems: limits.messagesMax }),
    ]),
    name: participantName,
    // An earlier answer, sent back as it came, has these.
    refusal: unavailable('A refusal in an earlier answer.'),
    annotations: onlyWhere(nothing, 'Citations in an earlier answer.'),
    audio: unavailable('Speech in an earlier answer.'),
    tool_calls: onlyWhere(nothing, 'Tool calls in an earlier answer.'),
    function_call: unavailable('A function call in an earlier answer.'),
  },
  { additionalProperties: false },
)

export const chatRequest = Type.Object(
  {
    model: modelField,
    messages: Type.Array(message, { minItems: 1, maxItems: limits.messagesMax }),
    ...streamFields,
    ...samplingFields,
    max_completion_tokens: optional(Type.Integer({ minimum: 1 }), {
      description: 'Absent: as many as the context has room for.',
    }),
    max_tokens: optional(Type.Integer({ minimum: 1 }), {
      description: 'The older name of max_completion_tokens.',
    }),
    logprobs: optional(Type.Boolean(), { default: false }),
    top_logprobs: optional(Type.Integer({ minimum: 0, maximum: limits.topLogprobsMax }), {
      description: 'Only together with logprobs.',
    }),
    response_format: onlyWhere(
      Type.Object({ type: Type.Literal('text') }, { additionalProperties: false }),
      'Plain text; JSON comes in a later version.',
    ),
    tools: onlyWhere(nothing, 'Tools come in a later version.'),
    tool_choice: onlyWhere(oneOf(['none', 'auto']), 'Without tools there is nothing to choose.'),
    parallel_tool_calls: optional(Type.Boolean(), { description: 'Without tools of no effect.' }),
    functions: onlyWhere(nothing, 'The older name of tools.'),
    function_call: onlyWhere(oneOf(['none', 'auto']), 'The older name of tool_choice.'),
    reasoning_effort: onlyWhere(oneOf(['none']), 'No served model reasons.'),
    modalities: onlyWhere(Type.Array(oneOf(['text']), { maxItems: 1 }), 'Text only.'),
    audio: unavailable('Spoken answers.'),
    prediction: unavailable('A predicted answer.'),
    web_search_options: unavailable('Web search.'),
    ...informing,
    verbosity: optional(Type.String({ maxLength: 32 })),
    prompt_cache_options: optional(Type.Record(Type.String(), Type.Unknown())),
    moderation: optional(Type.Record(Type.String(), Type.Unknown())),
    ...networkFields,
  },
  { additionalProperties: false },
)

export type ChatRequest = Static<typeof chatRequest>

const scored = {
  token: Type.String(),
  logprob: Type.Number(),
  bytes: Type.Array(Type.Integer()),
}

const logprobs = Type.Union([
  Type.Object({
    content: Type.Array(
      Type.Object({ ...scored, top_logprobs: Type.Array(Type.Object({ ...scored })) }),
    ),
    refusal: Type.Null(),
  }),
  Type.Null(),
])

const envelope = {
  id: Type.String(),
  created: Type.Integer({ description: 'Seconds since the epoch.' }),
  model: Type.String(),
  system_fingerprint: Type.Optional(Type.String()),
  service_tier: Type.Optional(Type.String()),
  request_id: Type.String(),
}

export const chatResponse = Type.Object({
  ...envelope,
  object: Type.Literal('chat.completion'),
  choices: Type.Array(
    Type.Object({
      index: Type.Integer(),
      message: Type.Object({
        role: Type.Literal('assistant'),
        content: Type.String(),
        refusal: Type.Null(),
      }),
      logprobs,
      finish_reason: finishField,
    }),
  ),
  usage: usageSchema,
})

/** One event of a stream. */
export const chatChunk = Type.Object({
  ...envelope,
  object: Type.Literal('chat.completion.chunk'),
  choices: Type.Array(
    Type.Object({
      index: Type.Integer(),
      delta: Type.Object({
        role: Type.Optional(Type.Literal('assistant')),
        content: Type.Optional(Type.String()),
        refusal: Type.Optional(Type.Null()),
      }),
      logprobs,
      finish_reason: finishField,
    }),
  ),
  usage: Type.Optional(Type.Union([usageSchema, Type.Null()])),
  obfuscation: Type.Optional(Type.String()),
})

export type ChatResponse = Static<typeof chatResponse>
export type ChatChunk = Static<typeof chatChunk>
