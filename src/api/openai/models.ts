import type { Engine, ModelStatus } from '../../engines/engine.ts'
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
import { unknownModel } from './model-choice.ts'

const modelFields = {
  id: string(),
  object: literal('model'),
  created: integer({
    description: 'Seconds since the epoch, when this peer began to serve it.',
  }),
  owned_by: string(),
  state: oneOf(['waiting', 'loading', 'ready', 'restarting', 'failed'], {
    description: 'A request for a model that still loads waits for it.',
  }),
  demo: boolean({ description: 'Small enough to ship with the program; for trying out.' }),
  kind: optional(oneOf(['chat', 'embedding'])),
  context_length: optional(integer()),
  embedding_length: optional(integer()),
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

/** `GET /models` and `GET /models/{id}` */
export function modelRoutes({ engine }: { engine: Engine }): RouteModule {
  return (app) => {
    app.get(
      '/models',
      {
        schema: {
          summary: 'List the models that this peer serves',
          tags: ['OpenAI'],
          response: { 200: modelList },
        },
        config: { access: 'models:read' },
      },
      (request): Infer<typeof modelList> => ({
        object: 'list',
        data: engine.status().map((status) => toModel(status)),
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
          response: { 200: modelAnswer },
        },
        config: { access: 'models:read' },
      },
      (request): Infer<typeof modelAnswer> => {
        const name = request.params['*']
        const status = engine.resolve(name)
        if (status === undefined) throw unknownModel(name)
        return { ...toModel(status, name), request_id: request.id }
      },
    )
  }
}

function toModel(status: ModelStatus, name = status.name): Infer<typeof modelObject> {
  const { facts, progress, error } = status
  return {
    id: name,
    object: 'model',
    created: status.created,
    owned_by: 'pinaivu-peer',
    state: status.state,
    demo: status.demo,
    ...(facts === undefined ? {} : { kind: facts.kind, context_length: facts.contextLength }),
    ...(facts?.kind === 'embedding' ? { embedding_length: facts.embeddingLength } : {}),
    ...(progress === undefined ? {} : { progress }),
    ...(error === undefined ? {} : { error }),
  }
}
