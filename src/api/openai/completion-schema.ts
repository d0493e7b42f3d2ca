import { type Static, Type } from 'typebox'
import { limits } from '../../wire/job.ts'
import {
  finishField,
  informing,
  modelField,
  networkFields,
  onlyWhere,
  optional,
  samplingFields,
  streamFields,
  textInput,
  usageSchema,
} from './fields.ts'

export const completionRequest = Type.Object(
  {
    model: modelField,
    prompt: textInput({
      texts: limits.promptsMax,
      description: 'Text to go on from, or cl100k token ids; one or several.',
    }),
    ...streamFields,
    ...samplingFields,
    max_tokens: optional(Type.Integer({ minimum: 1 }), { default: 16 }),
    logprobs: optional(Type.Integer({ minimum: 0, maximum: 5 })),
    echo: optional(Type.Boolean(), { default: false, description: 'Begin with the prompt.' }),
    best_of: optional(Type.Integer({ minimum: 0, maximum: 20 }), {
      description: 'Not in this version: only the same as n.',
    }),
    suffix: onlyWhere(Type.Literal(''), 'Text after the gap; no served model fills gaps.'),
    ...informing,
    ...networkFields,
  },
  { additionalProperties: false },
)

export type CompletionRequest = Static<typeof completionRequest>

const logprobs = Type.Union([
  Type.Object({
    tokens: Type.Array(Type.String()),
    token_logprobs: Type.Array(Type.Number()),
    top_logprobs: Type.Array(Type.Record(Type.String(), Type.Number())),
    text_offset: Type.Array(Type.Integer(), { description: 'In characters.' }),
  }),
  Type.Null(),
])

/** The whole answer; a chunk of a stream is the same with parts of the text. */
export const completionResponse = Type.Object({
  id: Type.String(),
  object: Type.Literal('text_completion'),
  created: Type.Integer(),
  model: Type.String(),
  system_fingerprint: Type.Optional(Type.String()),
  service_tier: Type.Optional(Type.String()),
  request_id: Type.String(),
  choices: Type.Array(
    Type.Object({
      text: Type.String(),
      index: Type.Integer({ description: 'Prompt times n plus number of the answer.' }),
      logprobs,
      finish_reason: finishField,
    }),
  ),
  usage: Type.Optional(Type.Union([usageSchema, Type.Null()])),
})

export type CompletionResponse = Static<typeof completionResponse>
