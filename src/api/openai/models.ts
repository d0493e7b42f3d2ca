import { type Static, Type } from 'typebox'
import type { Engine, ModelStatus } from '../../engines/engine.ts'
import type { RouteModule } from '../route.ts'
import { oneOf } from './fields.ts'
import { unknownModel } from './model-choice.ts'

const modelFields = {
  id: Type.String(),
  object: Type.Literal('model'),
  created: Type.Integer({
    description: 'Seconds since the epoch, when this peer began to serve it.',
  }),
  owned_by: Type.String(),
  state: oneOf(['waiting', 'loading', 'ready', 'restarting', 'failed'], {
    description: 'A request for a model that still loads waits for it.',
  }),
  demo: Type.Boolean({ description: 'Small enough to ship with the program; for trying out.' }),
  kind: Type.Optional(oneOf(['chat', 'embedding'])),
  context_length: Type.Optional(Type.Integer()),
  embedding_length: Type.Optional(Type.Integer()),
  progress: Type.Optional(Type.Number({ description: 'Of loading, 0 to 1.' })),
  error: Type.Optional(Type.Object({ code: Type.String(), message: Type.String() })),
}

const modelObject = Type.Object(modelFields)
const modelAnswer = Type.Object({ ...modelFields, request_id: Type.String() })
const modelList = Type.Object({
  object: Type.Literal('list'),
  data: Type.Array(modelObject),
  request_id: Type.String(),
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
      (request): Static<typeof modelList> => ({
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
      (request): Static<typeof modelAnswer> => {
        const name = request.params['*']
        const status = engine.resolve(name)
        if (status === undefined) throw unknownModel(name)
        return { ...toModel(status, name), request_id: request.id }
      },
    )
  }
}

function toModel(status: ModelStatus, name = status.name): Static<typeof modelObject> {
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
