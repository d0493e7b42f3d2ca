import OpenAI from 'openai'
import { Idempotency, type IdempotencyOptions } from '../../src/accounts/idempotency/idempotency.ts'
import type { Limits } from '../../src/accounts/principal.ts'
import type { Keys } from '../../src/api/auth.ts'
import { servedOnce } from '../../src/api/idempotency.ts'
import { chatRoutes } from '../../src/api/openai/chat-completions.ts'
import { embeddingRoutes } from '../../src/api/openai/embeddings.ts'
import { defaultGeneration } from '../../src/api/openai/generation.ts'
import { mounted, type RouteModule } from '../../src/api/route.ts'
import { systemClock } from '../../src/base/clock.ts'
import { PeerError } from '../../src/base/errors.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { seededRandom, systemRandom } from '../../src/base/random.ts'
import { openStoreOn } from '../../src/storage/store.ts'
import { StubBackend } from '../storage/stub-backend.ts'
import { json, owner, startServer } from './harness.ts'
import { ScriptedEngine } from './scripted-engine.ts'
import { ScriptedMarket } from './scripted-market.ts'

const keysWith = (limits: Limits | undefined): Keys => ({
  verify: (secret) => ({
    ...owner,
    keyId: `key_${secret}`,
    account: secret.replace(/^sk-(\w+).*$/, '$1'),
    ...(limits && { limits }),
  }),
})

/** Endpoints that work, create and fail, on a real server that remembers what it answered. */
export async function idempotentServer(
  options: Partial<IdempotencyOptions> & { backend?: StubBackend; limits?: Limits } = {},
) {
  const { backend = new StubBackend(), limits: ofKey, ...limits } = options
  const engine = new ScriptedEngine()
  const market = new ScriptedMarket(engine)
  const parts = { market, clock: systemClock, random: seededRandom(7), logger: silentLogger }
  const made: unknown[] = []
  let failure: PeerError | undefined
  const making: RouteModule = (app) => {
    for (const [path, idempotent] of [
      ['/api/v1/things', 'creation'],
      ['/api/v1/secrets', 'secret'],
    ] as const) {
      app.post(path, { config: { access: 'key', idempotent } }, async ({ body }, reply) => {
        made.push(body)
        if (failure !== undefined) throw failure
        reply.code(201).header('location', `/things/${made.length}`)
        return { id: made.length }
      })
    }
    app.register(async (scope) => {
      scope.addContentTypeParser('text/plain', (_request, stream, done) => done(null, stream))
      const config = { access: 'key', idempotent: 'form' } as const
      scope.post('/api/v1/forms', { config }, async (request, reply) => {
        let said = ''
        for await (const piece of request.body as AsyncIterable<Buffer>) said += piece
        return servedOnce({ request, reply, deed: 'creation', said }, () => ({
          n: made.push(said),
        }))
      })
    })
    app.post('/api/v1/plain', { config: { access: 'key' } }, () => ({ n: made.push(0) }))
  }
  const store = await openStoreOn(backend, { logger: silentLogger })
  const wasSettled = async () => false
  const components = { store, clock: systemClock, random: systemRandom, logger: silentLogger }
  const idempotency = new Idempotency({ ...components, wasSettled }, limits)
  const patience = { ...defaultGeneration, stallMs: 300 }
  const { url } = await startServer(
    [
      mounted(chatRoutes(parts, patience), '/v1', ['']),
      mounted(embeddingRoutes(parts), '/v1'),
      making,
    ],
    { keys: keysWith(ofKey), idempotency },
  )
  const post = (path: string, body: unknown, headers: object = {}, signal?: AbortSignal) =>
    fetch(`${url}${path}`, {
      method: 'POST',
      headers: { authorization: 'Bearer sk-ada', ...json, ...headers },
      body: JSON.stringify(body),
      ...(signal && { signal }),
    })
  return {
    ...{ backend, engine, market, made, url, post },
    fail: (code?: string) => {
      failure = code === undefined ? undefined : new PeerError(code, 'as the test says')
    },
    client: (maxRetries = 0) => new OpenAI({ apiKey: 'sk-ada', baseURL: `${url}/v1`, maxRetries }),
  }
}
