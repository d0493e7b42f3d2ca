import { limits } from '../../wire/job.ts'
import {
  anyOf,
  array,
  boolean,
  closed,
  type Infer,
  integer,
  literal,
  nullable,
  number,
  object,
  onlyNull,
  optional,
  optionalOrNull,
  record,
  string,
} from '../schema.ts'
import {
  bodyHeadersField,
  finishField,
  informing,
  modelField,
  networkFields,
  nodeField,
  onlyWhere,
  receiptField,
  samplingFields,
  streamFields,
  textInput,
  usageSchema,
} from './fields.ts'

export const completionRequest = closed({
  model: modelField,
  prompt: textInput({
    texts: limits.promptsMax,
    description: 'Text to go on from, or cl100k token ids; one or several.',
  }),
  ...streamFields,
  ...samplingFields,
  max_tokens: optionalOrNull(integer({ minimum: 1 }), { default: 16 }),
  logprobs: optionalOrNull(integer({ minimum: 0, maximum: 5 })),
  echo: optionalOrNull(boolean(), { default: false, description: 'Begin with the prompt.' }),
  best_of: optionalOrNull(integer({ minimum: 0, maximum: 20 }), {
    description: 'Not in this version: only the same as n.',
  }),
  suffix: onlyWhere(literal(''), 'Text after the gap; no served model fills gaps.'),
  ...informing,
  ...networkFields,
})

export type CompletionRequest = Infer<typeof completionRequest>

const logprobs = anyOf([
  object({
    tokens: array(string()),
    token_logprobs: array(number()),
    top_logprobs: array(record(number())),
    text_offset: array(integer(), { description: 'In characters.' }),
  }),
  onlyNull(),
])

/** The whole answer; a chunk of a stream is the same with parts of the text. */
export const completionResponse = object({
  id: string(),
  object: literal('text_completion'),
  created: integer(),
  model: string(),
  system_fingerprint: optional(string()),
  service_tier: optional(string()),
  request_id: string(),
  headers: bodyHeadersField,
  node: nodeField,
  receipt: receiptField,
  choices: array(
    object({
      text: string(),
      index: integer({ description: 'Prompt times n plus number of the answer.' }),
      logprobs,
      finish_reason: finishField,
    }),
  ),
  usage: optional(nullable(usageSchema)),
})

export type CompletionResponse = Infer<typeof completionResponse>
