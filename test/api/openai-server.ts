import { scopes } from '../../src/accounts/principal.ts'
import type { HttpOptions } from '../../src/api/http-options.ts'
import { chatRoutes } from '../../src/api/openai/chat-completions.ts'
import { completionRoutes } from '../../src/api/openai/completions.ts'
import { embeddingRoutes } from '../../src/api/openai/embeddings.ts'
import {
  defaultGeneration,
  type GenerationComponents,
  type GenerationOptions,
} from '../../src/api/openai/generation.ts'
import { modelRoutes } from '../../src/api/openai/models.ts'
import { openApiRoutes } from '../../src/api/openapi.ts'
import { pageRoutes } from '../../src/api/page.ts'
import { mounted, type RouteModule } from '../../src/api/route.ts'
import { HttpServer } from '../../src/api/server.ts'
import { type Clock, systemClock } from '../../src/base/clock.ts'
import { PeerError } from '../../src/base/errors.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { noMetrics } from '../../src/base/metrics.ts'
import { seededRandom, systemRandom } from '../../src/base/random.ts'
import { ScriptedEngine } from './scripted-engine.ts'
import { ScriptedMarket } from './scripted-market.ts'

export interface TestApi {
  engine: ScriptedEngine
  market: ScriptedMarket
  /** `http://127.0.0.1:…` */
  origin: string
  /** What an OpenAI client is given. */
  baseURL: string
  apiKey: string
  chatModel: string
  embedModel: string
  post(path: string, body: unknown, signal?: AbortSignal): Promise<Response>
  get(path: string): Promise<Response>
  stop(): Promise<void>
}

export interface TestApiOptions extends Partial<GenerationOptions> {
  clock?: Clock
  tls?: HttpOptions['tls']
  images?: GenerationComponents['images']
}

const apiKey = 'sk-pnv-test'

/** The OpenAI endpoints on a real server, with a scripted engine behind them. */
export async function startTestApi(options: TestApiOptions = {}): Promise<TestApi> {
  const { clock = systemClock, tls, images, ...generation } = options
  const engine = new ScriptedEngine()
  const market = new ScriptedMarket(engine)
  const common = { market, clock, random: seededRandom(7), logger: silentLogger }
  const components = { ...common, ...(images && { images }) }
  const timing = { ...defaultGeneration, ...generation }
  const routes: RouteModule = (app) => {
    chatRoutes(components, timing)(app)
    completionRoutes(components, timing)(app)
    embeddingRoutes(components, timing)(app)
    modelRoutes(components)(app)
  }
  const server = new HttpServer(
    {
      keys: { verify: verifyTestKey },
      logger: silentLogger,
      metrics: noMetrics,
      clock: systemClock,
      random: systemRandom,
    },
    {
      port: 0,
      tls,
      routes: [mounted(routes, '/v1', ['/']), openApiRoutes({ version: '0.0.0' }), pageRoutes()],
    },
  )
  await server.start({ signal: AbortSignal.timeout(5000) })
  const origin = server.address()
  const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' }
  return {
    engine,
    market,
    origin,
    baseURL: `${origin}/v1`,
    apiKey,
    chatModel: 'test-chat',
    embedModel: 'test-embed',
    post: (path, body, signal = AbortSignal.timeout(10_000)) =>
      fetch(`${origin}${path}`, { method: 'POST', headers, body: JSON.stringify(body), signal }),
    get: (path) => fetch(`${origin}${path}`, { headers }),
    stop: () => server.stop(),
  }
}

function verifyTestKey(secret: string) {
  if (secret !== apiKey) throw new PeerError('invalid_api_key', 'Incorrect API key provided.')
  return { keyId: 'key_1', account: 'acct_1', scopes: new Set(scopes) }
}

/** The JSON events of a stream, and whether it ended with the mark of completeness. */
export async function readEvents(
  response: Response,
): Promise<{ events: Record<string, unknown>[]; done: boolean }> {
  const frames = (await response.text()).split('\n\n').filter((frame) => frame !== '')
  const data = frames.filter((frame) => !frame.startsWith(':')).map((frame) => frame.slice(6))
  const events = data.filter((text) => text !== '[DONE]').map((text) => JSON.parse(text))
  return { events, done: data.at(-1) === '[DONE]' }
}
