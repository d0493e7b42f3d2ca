import type { Clock } from '../base/clock.ts'
import type { Engine, ModelStatus } from '../engines/engine.ts'
import type { Directory } from '../network/discovery/directory.ts'
import type { Network } from '../network/network.ts'
import type { Store } from '../storage/store.ts'
import type { PromMetrics } from './metrics.ts'
import type { RouteModule } from './route.ts'
import {
  anyOf,
  array,
  boolean,
  type Infer,
  integer,
  literal,
  nullable,
  number,
  object,
  oneOf,
  onlyNull,
  string,
} from './schema.ts'

export interface HealthComponents {
  engine: Pick<Engine, 'status'>
  store: Pick<Store, 'failure'>
  network: Pick<Network, 'status'>
  directory: Pick<Directory, 'all'>
  metrics: Pick<PromMetrics, 'text' | 'contentType'>
  clock: Clock
}

export interface HealthOptions {
  version: string
  /** Only this machine can ask: metrics need no key, and a failed model's reason may name a path. */
  loopback: boolean
  /** Of the network, and how this peer was told to join it. */
  joins: { network: string; bootstrap: number; mdns: boolean }
}

const modelSchema = object({
  name: string(),
  id: nullable(string({ description: 'Null until its file was read once.' })),
  kind: nullable(string()),
  state: oneOf(['waiting', 'loading', 'ready', 'restarting', 'failed']),
  unloaded: boolean({
    description: 'It makes room for others; whoever asks for it has it loaded.',
  }),
  demo: boolean(),
  created: integer(),
  running: integer(),
  queued: integer(),
  slots: nullable(integer()),
  threads: nullable(integer()),
  tokens_per_second: nullable(number()),
  progress: nullable(number()),
  architecture: nullable(string()),
  parameters: nullable(number()),
  quant: nullable(string()),
  size_bytes: nullable(integer()),
  context_length: nullable(integer()),
  error: anyOf([object({ code: string(), message: nullable(string()) }), onlyNull()]),
})

const readySchema = object({
  ready: boolean(),
  version: string(),
  uptime_s: integer(),
  memory_bytes: integer(),
  storage: oneOf(['ok', 'failed'], {
    description: 'Failed: a write did not reach the disk. Make room and start the peer again.',
  }),
  network: object({
    name: string({ description: 'Peers of another network are never seen.' }),
    bootstrap: integer({ description: 'Peers that this one was told to join through.' }),
    mdns: boolean({ description: 'Whether it looks for others on the local network.' }),
    peer_id: string(),
    addrs: array(string()),
    connections: integer(),
    listening: boolean(),
    nat: object({
      verdict: oneOf(['public', 'private', 'unknown'], {
        description: 'Whether peers anywhere can dial this one. Unknown: none of them was met.',
      }),
      relays: array(string({ description: 'Peer id of one through which others reach this one.' })),
    }),
    directory: object({ peers: integer({ description: 'That this one could use.' }) }),
  }),
  models: array(modelSchema),
})

/** One that was unloaded is loaded by whoever asks for it. */
const isUsable = ({ state, unloaded }: ModelStatus): boolean =>
  state === 'ready' || unloaded === true

export function healthRoutes(components: HealthComponents, options: HealthOptions): RouteModule {
  const { engine, store, network, directory, metrics, clock } = components
  const startedAt = clock.elapsed()
  const readiness = (): Infer<typeof readySchema> => {
    const models = engine.status()
    const { peerId, addrs, connections, listening, nat } = network.status()
    const { network: name, bootstrap, mdns } = options.joins
    // Nothing is answered of which no receipt could be kept.
    const isStored = store.failure === undefined
    return {
      ready: isStored && (models.length === 0 || models.some(isUsable)),
      version: options.version,
      uptime_s: Math.floor((clock.elapsed() - startedAt) / 1000),
      memory_bytes: process.memoryUsage.rss(),
      storage: isStored ? 'ok' : 'failed',
      network: {
        ...{ name, bootstrap, mdns },
        peer_id: peerId,
        addrs,
        connections,
        listening,
        nat: nat ?? { verdict: 'unknown', relays: [] },
        directory: { peers: directory.all().length },
      },
      models: models.map((model) => modelJson(model, options.loopback)),
    }
  }
  return (app) => {
    const tags = ['Service']
    const alive = object({ status: literal('ok') })
    app.get(
      '/healthz',
      { schema: { summary: 'The process answers', tags, response: { 200: alive } }, ...open },
      () => ({ status: 'ok' }),
    )
    app.get(
      '/readyz',
      {
        schema: {
          summary:
            'The disk takes what is written and at least one model can answer; the state of all of them',
          tags,
          response: { 200: readySchema, 503: readySchema },
        },
        ...open,
      },
      (_request, reply) => {
        const state = readiness()
        if (!state.ready) reply.code(503).header('retry-after', '1')
        reply.header('cache-control', 'no-store')
        return state
      },
    )
    app.get(
      '/metrics',
      {
        schema: {
          ...{ summary: 'Figures of this process, as Prometheus reads them', tags },
          description: 'Public only where the peer listens to its own machine alone.',
          response: { 200: prometheus },
        },
        config: { access: options.loopback ? 'public' : 'key' },
      },
      async (_request, reply) => {
        reply.header('content-type', metrics.contentType)
        return metrics.text()
      },
    )
  }
}

const prometheus = {
  description: 'Its text format.',
  content: { 'text/plain': { schema: string() } },
}

const open = { config: { access: 'public' } } as const

function modelJson(model: ModelStatus, withReason: boolean): Infer<typeof modelSchema> {
  const { facts, error } = model
  return {
    name: model.name,
    id: model.id ?? null,
    kind: facts?.kind ?? null,
    state: model.state,
    unloaded: model.unloaded === true,
    demo: model.demo,
    created: model.created,
    running: model.running,
    queued: model.queued,
    slots: model.slots ?? null,
    threads: model.threads ?? null,
    tokens_per_second: model.tokensPerSecond ?? null,
    progress: model.progress ?? null,
    architecture: facts?.architecture ?? null,
    parameters: facts?.parameters ?? null,
    quant: facts?.quant ?? null,
    size_bytes: facts?.sizeBytes ?? null,
    context_length: facts?.contextLength ?? null,
    error:
      error === undefined ? null : { code: error.code, message: withReason ? error.message : null },
  }
}
