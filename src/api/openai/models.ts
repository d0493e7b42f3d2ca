import type { Market, MarketModel } from '../../market/market.ts'
import { clientSignal } from '../client-signal.ts'
import type { RouteModule } from '../route.ts'
import {
  array,
  boolean,
  type Infer,
  integer,
  literal,
  number,
  object,
  oneOf,
  optional,
  string,
} from '../schema.ts'

export const capabilitiesField = optional(
  array(string(), {
    description:
      'What it does, as far as that is known: `chat`, `completion`, `logprobs`, `tools`, `json`, `vision`, `embedding`.',
  }),
)

const modelFields = {
  id: string(),
  object: literal('model'),
  created: integer({
    description: 'Seconds since the epoch, when it was first served or heard of here.',
  }),
  owned_by: string(),
  network: boolean({ description: 'Other peers serve it, and this one does not.' }),
  nodes: integer({ description: 'Peers that serve it now, this one included.' }),
  state: optional(
    oneOf(['waiting', 'loading', 'ready', 'restarting', 'failed'], {
      description: 'Of a model of this peer: a request for one that still loads waits for it.',
    }),
  ),
  demo: boolean({ description: 'Small enough to ship with the program; for trying out.' }),
  content_id: optional(string({ description: 'Names the weights: the CID of their file.' })),
  kind: optional(oneOf(['chat', 'embedding'])),
  context_length: optional(integer()),
  embedding_length: optional(integer()),
  capabilities: capabilitiesField,
  price: optional(
    object({
      input: integer({ description: 'Micro-credits per 1,000 tokens, the lowest.' }),
      output: integer(),
    }),
  ),
  progress: optional(number({ description: 'Of loading, 0 to 1.' })),
  error: optional(object({ code: string(), message: string() })),
}

const modelObject = object(modelFields)
const modelAnswer = object({ ...modelFields, request_id: string() })
const modelList = object({
  object: literal('list'),
  data: array(modelObject),
  request_id: string(),
})

const modelParams = object({
  '*': string({ description: 'Its name, slashes and colons as they are.' }),
})

/** `GET /models` and `GET /models/{id}` */
export function modelRoutes({ market }: { market: Market }): RouteModule {
  return (app) => {
    app.get(
      '/models',
      {
        schema: {
          summary: 'List the models that can be asked here, of this peer and of others',
          tags: ['OpenAI'],
          response: { 200: modelList },
          sdk: 'const models = await client.models.list()',
        },
        config: { access: 'models:read' },
      },
      (request): Infer<typeof modelList> => ({
        object: 'list',
        data: market.models().map((model) => toModel(model)),
        request_id: request.id,
      }),
    )
    // A wildcard, because names have slashes that not every client encodes.
    app.get<{ Params: { '*': string } }>(
      '/models/*',
      {
        schema: {
          summary: 'One model, by its name or an alias',
          tags: ['OpenAI'],
          params: modelParams,
          response: { 200: modelAnswer },
          errors: ['model_not_found'],
          sdk: "const model = await client.models.retrieve('pinaivu-demo')",
        },
        config: { access: 'models:read' },
      },
      async (request, reply): Promise<Infer<typeof modelAnswer>> => {
        const name = request.params['*']
        const model = await market.find(name, { signal: clientSignal(reply) })
        return { ...toModel(model, name), request_id: request.id }
      },
    )
  }
}

function toModel(model: MarketModel, name = model.name): Infer<typeof modelObject> {
  const { id, kind, contextLength, embeddingLength, capabilities, price, local } = model
  return {
    id: name,
    object: 'model',
    created: model.created,
    owned_by: local === undefined ? 'pinaivu-network' : 'pinaivu-peer',
    network: local === undefined,
    nodes: model.nodes,
    ...(local === undefined ? {} : { state: local.state }),
    demo: local?.demo ?? false,
    ...(id === undefined ? {} : { content_id: id }),
    ...(kind === undefined ? {} : { kind }),
    ...(contextLength === undefined ? {} : { context_length: contextLength }),
    ...(kind === 'embedding' && embeddingLength !== undefined
      ? { embedding_length: embeddingLength }
      : {}),
    ...(capabilities === undefined ? {} : { capabilities: [...capabilities] }),
    ...(price === undefined ? {} : { price: { input: price.input, output: price.output } }),
    ...(local?.progress === undefined ? {} : { progress: local.progress }),
    ...(local?.error === undefined ? {} : { error: local.error }),
  }
}
