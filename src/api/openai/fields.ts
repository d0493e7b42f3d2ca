import { type TSchema, type TSchemaOptions, Type } from 'typebox'
import { limits } from '../../wire/job.ts'

/**
 * What the schemas say beyond JSON Schema. `true`: the field is known, but only the values of this
 * schema work here. A list: values that OpenAI knows and this version does not.
 */
export const UNAVAILABLE = 'x-unavailable'

/** OpenAI lets a client send null wherever it may send nothing. */
export const optional = <T extends TSchema>(schema: T, options: TSchemaOptions = {}) =>
  Type.Optional(Type.Union([schema, Type.Null()], options))

/** A known field of which only `schema` (and null) works in this version. */
export const onlyWhere = <T extends TSchema>(schema: T, description: string) =>
  optional(schema, { description, [UNAVAILABLE]: true })

/** A known field that does not work in this version at all. */
export const unavailable = (description: string) =>
  Type.Optional(Type.Null({ description, [UNAVAILABLE]: true }))

export const oneOf = <const T extends string>(values: T[], options: TSchemaOptions = {}) =>
  Type.Enum<T[]>(values, { type: 'string', ...options })

const penalty = (description: string) =>
  optional(Type.Number({ minimum: -2, maximum: 2 }), { description, default: 0 })

const name = Type.String({ minLength: 1, maxLength: 256 })

export const modelField = Type.String({
  minLength: 1,
  maxLength: 256,
  description: 'A name from GET /v1/models.',
})

/** Fields that only inform the service; nothing here depends on them. */
export const informing = {
  user: optional(Type.String()),
  metadata: optional(Type.Record(Type.String(), Type.String(), { maxProperties: 16 })),
  store: optional(Type.Boolean()),
  service_tier: optional(Type.String({ maxLength: 32 })),
  safety_identifier: optional(Type.String({ maxLength: 256 })),
  prompt_cache_key: optional(Type.String()),
  prompt_cache_retention: optional(Type.String({ maxLength: 32 })),
}

/** What this network adds to OpenAI's requests, and this version does not yet do. */
export const networkFields = {
  jurisdiction: unavailable('Only providers in this country may work on the request.'),
  knowledge_base: unavailable('Answer with the help of this knowledge base.'),
  stream_mode: unavailable('"v8": ghost tokens, roll-backs and receipts in the stream.'),
  max_price: unavailable('Refuse providers that ask for more.'),
  verification: unavailable('"cross-node": have a second provider check the work.'),
  receipt_privacy: unavailable('"salted": hash the prompt with a nonce.'),
  node: unavailable('Providers to use or to avoid.'),
}

export const stopField = optional(
  Type.Union([
    Type.String({ minLength: 1, maxLength: limits.stopBytesMax }),
    Type.Array(Type.String({ minLength: 1, maxLength: limits.stopBytesMax }), {
      maxItems: limits.stopsMax,
    }),
  ]),
  { description: 'The answer ends before the first of these.' },
)

/** How tokens are drawn; the same for chat and plain completions. */
export const samplingFields = {
  temperature: optional(Type.Number({ minimum: 0, maximum: 2 }), { default: 0.7 }),
  top_p: optional(Type.Number({ minimum: 0, maximum: 1 }), { default: 1 }),
  seed: optional(Type.Integer({ minimum: -(2 ** 63), maximum: 2 ** 63 }), {
    description: 'The same seed and request give the same answer. Absent: drawn at random.',
  }),
  n: optional(Type.Integer({ minimum: 1, maximum: limits.choicesMax }), { default: 1 }),
  stop: stopField,
  presence_penalty: penalty('Lowers tokens that occurred.'),
  frequency_penalty: penalty('Lowers tokens by how often they occurred.'),
  logit_bias: optional(
    Type.Record(
      Type.String({ pattern: '^[0-9]{1,7}$' }),
      Type.Number({ minimum: -100, maximum: 100 }),
      { maxProperties: limits.logitBiasMax, additionalProperties: false },
    ),
    { description: "Ids of the model's own vocabulary; -100 bans a token, 100 forces it." },
  ),
}

export const streamFields = {
  stream: optional(Type.Boolean(), { default: false }),
  stream_options: optional(
    Type.Object(
      {
        include_usage: optional(Type.Boolean(), {
          description: 'A last chunk without choices carries the usage.',
        }),
        include_obfuscation: optional(Type.Boolean(), {
          description: 'Pad the chunks, so that their length does not tell the text.',
          default: false,
        }),
      },
      { additionalProperties: false },
    ),
    { description: 'Only together with stream.' },
  ),
}

export const participantName = optional(name, { description: 'Informs; models do not see it.' })

/** In one request; OpenAI's own limit for embeddings. */
export const TOKEN_IDS_MAX = 300_000

/** One text or several, each as a string or as the cl100k ids that some clients send. */
export const textInput = (options: { texts: number; description: string }) => {
  const ids = Type.Array(Type.Integer({ minimum: 0 }), { minItems: 1, maxItems: TOKEN_IDS_MAX })
  const several = { minItems: 1, maxItems: options.texts }
  return Type.Union(
    [Type.String(), Type.Array(Type.String(), several), ids, Type.Array(ids, several)],
    { description: options.description },
  )
}

export const finishField = Type.Union([oneOf(['stop', 'length']), Type.Null()])

export const usageSchema = Type.Object({
  prompt_tokens: Type.Integer(),
  completion_tokens: Type.Integer(),
  total_tokens: Type.Integer(),
  prompt_tokens_details: Type.Object({ cached_tokens: Type.Integer() }),
  completion_tokens_details: Type.Object({ reasoning_tokens: Type.Integer() }),
})

/** For the documentation: the answer as one JSON value, or as an event stream of these. */
export const eitherWay = (whole: TSchema, event: TSchema) => ({
  description: 'The answer; with `"stream": true` as events, the last of them `[DONE]`.',
  content: {
    'application/json': { schema: whole },
    'text/event-stream': { schema: event },
  },
})
