import { limits } from '../../wire/job.ts'
import {
  anyOf,
  array,
  boolean,
  closed,
  integer,
  nullable,
  number,
  object,
  oneOf,
  onlyNull,
  optional,
  optionalOrNull,
  record,
  type Schema,
  string,
  unavailable,
} from '../schema.ts'
import { draftersField, wishFields } from './wishes.ts'

/** A known field of which only `schema` (and null) works in this version. */
export const onlyWhere = <T>(schema: Schema<T>, description: string) =>
  optionalOrNull(schema, { description, 'x-unavailable': true })

const penalty = (description: string) =>
  optionalOrNull(number({ minimum: -2, maximum: 2 }), { description, default: 0 })

export const modelField = string({
  minLength: 1,
  maxLength: 256,
  description: 'A name from GET /v1/models.',
  examples: ['pinaivu-demo'],
})

/** Fields that only inform the service; nothing here depends on them. */
export const informing = {
  user: optionalOrNull(string()),
  metadata: optionalOrNull(record(string(), { maxProperties: 16 })),
  store: optionalOrNull(boolean()),
  service_tier: optionalOrNull(string({ maxLength: 32 })),
  safety_identifier: optionalOrNull(string({ maxLength: 256 })),
  prompt_cache_key: optionalOrNull(string()),
  prompt_cache_retention: optionalOrNull(string({ maxLength: 32 })),
}

/** What this network adds to OpenAI's requests. */
export const networkFields = {
  ...wishFields,
  drafters: draftersField,
  knowledge_base: unavailable('Answer with the help of this knowledge base.'),
  verification: unavailable('"cross-node": have a second provider check the work.'),
}

export const stopField = optionalOrNull(
  anyOf([
    string({ minLength: 1, maxLength: limits.stopBytesMax }),
    array(string({ minLength: 1, maxLength: limits.stopBytesMax }), {
      maxItems: limits.stopsMax,
    }),
  ]),
  { description: 'The answer ends before the first of these.' },
)

/** How tokens are drawn; the same for chat and plain completions. */
export const samplingFields = {
  temperature: optionalOrNull(number({ minimum: 0, maximum: 2 }), { default: 0.7 }),
  top_p: optionalOrNull(number({ minimum: 0, maximum: 1 }), { default: 1 }),
  seed: optionalOrNull(integer({ minimum: -(2 ** 63), maximum: 2 ** 63 }), {
    description: 'The same seed and request give the same answer. Absent: drawn at random.',
  }),
  n: optionalOrNull(integer({ minimum: 1, maximum: limits.choicesMax }), { default: 1 }),
  stop: stopField,
  presence_penalty: penalty('Lowers tokens that occurred.'),
  frequency_penalty: penalty('Lowers tokens by how often they occurred.'),
  logit_bias: optionalOrNull(
    record(number({ minimum: -100, maximum: 100 }), {
      maxProperties: limits.logitBiasMax,
      propertyNames: { pattern: '^[0-9]{1,7}$' },
    }),
    { description: "Ids of the model's own vocabulary; -100 bans a token, 100 forces it." },
  ),
}

export const streamFields = {
  stream: optionalOrNull(boolean(), { default: false }),
  stream_mode: optionalOrNull(oneOf(['v8']), {
    description:
      'Only together with stream. v8: events that show drafts of tokens too, and what becomes of ' +
      'them. For one answer of plain text.',
  }),
  stream_options: optionalOrNull(
    closed({
      include_usage: optionalOrNull(boolean(), {
        description: 'A last chunk without choices carries the usage.',
      }),
      include_obfuscation: optionalOrNull(boolean(), {
        description: 'Pad the chunks, so that their length does not tell the text.',
        default: false,
      }),
    }),
    { description: 'Only together with stream.' },
  ),
}

export const participantName = optionalOrNull(string({ minLength: 1, maxLength: 256 }), {
  description: 'Informs; models do not see it.',
})

/** In one request; OpenAI's own limit for embeddings. */
export const TOKEN_IDS_MAX = 300_000

/** One text or several, each as a string or as the cl100k ids that some clients send. */
export const textInput = (options: { texts: number; description: string }) => {
  const ids = array(integer({ minimum: 0 }), { minItems: 1, maxItems: TOKEN_IDS_MAX })
  const several = { minItems: 1, maxItems: options.texts }
  return anyOf([string(), array(string(), several), ids, array(ids, several)], {
    description: options.description,
    examples: ['Hello!'],
  })
}

export const finishField = anyOf([oneOf(['stop', 'length']), onlyNull()])

/** In a body sent as a whole: who did the work, for users of an SDK that hides HTTP's headers. */
export const bodyHeadersField = optional(record(string()))

/** In a body sent as a whole, and in the last event of a stream that has a choice. */
export const receiptField = optional(
  object({
    cid: string({ description: 'GET /v8/receipts/{cid} shows it to everybody.' }),
    multiformats_cid: string(),
    status: oneOf(['final', 'partial'], {
      description: 'partial: it does not cover a whole answer.',
    }),
    node_id: string(),
    prompt_nonce: string({
      description: 'For the caller alone: with it, the prompt can be held against the prompt root.',
    }),
    resumed: optional(
      integer({ description: 'So often another peer went on, the one before being lost.' }),
    ),
    nodes: optional(array(string(), { description: 'The peers that worked on it then, in turn.' })),
  }),
)

/** Who does the work, as that peer declares itself. */
export const nodeSchema = object({
  id: string(),
  gpu: nullable(string()),
  country: nullable(string()),
})

/** In the first event of a stream. */
export const nodeField = optional(nodeSchema)

export const usageSchema = object({
  prompt_tokens: integer(),
  completion_tokens: integer(),
  total_tokens: integer(),
  prompt_tokens_details: object({ cached_tokens: integer() }),
  completion_tokens_details: object({ reasoning_tokens: integer() }),
})

/** For the documentation: the answer as one JSON value, or as an event stream of these. */
export const eitherWay = (whole: Schema, ...events: Schema[]) => ({
  description:
    'The answer; with `"stream": true` as events, the last of them `[DONE]`. Those with a name ' +
    'are of `"stream_mode": "v8"`.',
  content: {
    'application/json': { schema: whole },
    'text/event-stream': { schema: anyOf(events) },
  },
})
