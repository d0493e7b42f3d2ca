import type { FastifyRequest } from 'fastify'
import { InvalidError, PeerError } from '../../base/errors.ts'
import type { MarketModel } from '../../market/market.ts'
import type { AnswerReceipt, Chunk, Done, Resumed, Routed, Usage } from '../../wire/chunk.ts'
import { type EmbeddingWork, limits } from '../../wire/job.ts'
import { clientSignal } from '../client-signal.ts'
import type { RouteModule } from '../route.ts'
import {
  anyOf,
  array,
  closed,
  type Infer,
  integer,
  literal,
  number,
  object,
  oneOf,
  optionalOrNull,
  string,
} from '../schema.ts'
import { attribute } from './answer.ts'
import { toTexts } from './cl100k.ts'
import { bodyHeadersField, modelField, receiptField, textInput } from './fields.ts'
import {
  defaultGeneration,
  type GenerationComponents,
  type GenerationOptions,
  toJob,
} from './generation.ts'
import { chooseModel } from './model-choice.ts'
import { patient } from './patience.ts'
import { wishFields } from './wishes.ts'

const embeddingRequest = closed({
  model: { ...modelField, examples: ['pinaivu-demo-embed'] },
  input: textInput({
    texts: limits.embeddingInputsMax,
    description: 'Text, or cl100k token ids; one or several.',
  }),
  encoding_format: optionalOrNull(oneOf(['float', 'base64']), {
    default: 'float',
    description: 'base64: little-endian 32-bit floats.',
  }),
  dimensions: optionalOrNull(integer({ minimum: 1 })),
  user: optionalOrNull(string()),
  ...wishFields,
})

type EmbeddingRequest = Infer<typeof embeddingRequest>

const embeddingResponse = object({
  object: literal('list'),
  data: array(
    object({
      object: literal('embedding'),
      index: integer(),
      embedding: anyOf([array(number()), string()]),
    }),
  ),
  model: string(),
  usage: object({ prompt_tokens: integer(), total_tokens: integer() }),
  request_id: string(),
  headers: bodyHeadersField,
  receipt: receiptField,
})

/** `POST /embeddings` */
export function embeddingRoutes(
  components: GenerationComponents,
  options: GenerationOptions = defaultGeneration,
): RouteModule {
  const { market } = components
  const generate = patient(market.generate, components, options)
  return (app) => {
    app.post<{ Body: EmbeddingRequest }>(
      '/embeddings',
      {
        schema: {
          summary: 'Turn texts into vectors',
          tags: ['OpenAI'],
          body: embeddingRequest,
          response: { 200: embeddingResponse },
          sdk:
            'const embedding = await client.embeddings.create({\n' +
            "  model: 'pinaivu-demo-embed',\n  input: 'Hello!',\n})",
        },
        config: { access: 'inference', idempotent: 'work' },
      },
      async (request, reply) => {
        const signal = clientSignal(reply)
        const model = await chooseModel(market, request.body.model, 'embedding', signal)
        const work = await toWork(request.body, model)
        const chunks = generate(toJob(request, model, work, components), { signal })
        const answer = await collect(chunks, work)
        return { ...toResponse(request, answer), ...attribute(reply, answer) }
      },
    )
  }
}

async function toWork(body: EmbeddingRequest, model: MarketModel): Promise<EmbeddingWork> {
  const inputs = await toTexts(body.input, 'input')
  const empty = inputs.indexOf('')
  if (empty >= 0) {
    const param = typeof body.input === 'string' ? 'input' : `input[${empty}]`
    throw new InvalidError(param, `Invalid '${param}': an empty text has no meaning to embed.`)
  }
  const { dimensions } = body
  if (dimensions == null) return { kind: 'embedding', inputs }
  const length = model.embeddingLength ?? dimensions
  if (dimensions > length) throw tooLong(dimensions, length)
  return { kind: 'embedding', inputs, dimensions }
}

const tooLong = (dimensions: number, length: number) =>
  new InvalidError(
    'dimensions',
    `Invalid 'dimensions': this model's vectors have ${length} numbers, asked were ${dimensions}.`,
  )

interface EmbeddingAnswer {
  vectors: Float32Array[]
  usage: Usage
  routed: Routed | undefined
  receipt: AnswerReceipt | undefined
  resumed: Resumed | undefined
}

async function collect(
  chunks: AsyncIterable<Chunk>,
  { inputs, dimensions }: EmbeddingWork,
): Promise<EmbeddingAnswer> {
  const vectors: Float32Array[] = []
  let done: Done | undefined
  let routed: Routed | undefined
  for await (const chunk of chunks) {
    if (chunk.type === 'done') done = chunk
    if (chunk.type === 'routed') routed = chunk
    if (chunk.type !== 'vectors') continue
    for (const [at, vector] of chunk.vectors.entries()) {
      if (dimensions !== undefined && vector.length < dimensions) {
        throw tooLong(dimensions, vector.length)
      }
      vectors[chunk.first + at] = vector
    }
  }
  if (done === undefined || Object.keys(vectors).length !== inputs.length) {
    throw new PeerError('engine_failed', 'The model did not embed every input. Ask again.')
  }
  return { vectors, usage: done.usage, routed, receipt: done.receipt, resumed: done.resumed }
}

function toResponse(
  { body, id }: FastifyRequest<{ Body: EmbeddingRequest }>,
  { vectors, usage }: EmbeddingAnswer,
): Infer<typeof embeddingResponse> {
  const encode = body.encoding_format === 'base64' ? toBase64 : toNumbers
  return {
    object: 'list',
    data: vectors.map((vector, index) => ({
      object: 'embedding',
      index,
      embedding: encode(vector),
    })),
    model: body.model,
    usage: { prompt_tokens: usage.inputTokens, total_tokens: usage.inputTokens },
    request_id: id,
  }
}

const toNumbers = (vector: Float32Array): number[] => Array.from(vector)

/** Every platform that Node and a GGUF engine run on is little-endian, as OpenAI's format is. */
const toBase64 = ({ buffer, byteOffset, byteLength }: Float32Array): string =>
  Buffer.from(buffer, byteOffset, byteLength).toString('base64')
