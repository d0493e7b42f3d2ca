import { connect, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import { type Principal, scopes } from '../../src/accounts/principal.ts'
import type { Keys } from '../../src/api/auth.ts'
import type { HttpOptions } from '../../src/api/http-options.ts'
import { PromMetrics } from '../../src/api/metrics.ts'
import type { RouteModule } from '../../src/api/route.ts'
import { type HttpComponents, HttpServer } from '../../src/api/server.ts'
import { systemClock } from '../../src/base/clock.ts'
import { PeerError } from '../../src/base/errors.ts'
import type { LogData, Logger } from '../../src/base/logger.ts'
import { systemRandom } from '../../src/base/random.ts'

export interface LogLine {
  level: 'debug' | 'info' | 'warn' | 'error'
  message: string
  data: LogData | undefined
}

export function recordingLogger(lines: LogLine[]): Logger {
  const at = (level: LogLine['level']) => (message: string, data?: LogData) => {
    lines.push({ level, message, data })
  }
  const logger: Logger = {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: () => logger,
  }
  return logger
}

export const owner: Principal = { keyId: 'key_owner', account: 'owner', scopes: new Set(scopes) }

/** `sk-owner` may do everything, `sk-reader` only read models. */
export const stubKeys: Keys = {
  verify(secret) {
    if (secret === 'sk-owner') return owner
    if (secret === 'sk-reader') {
      return { keyId: 'key_reader', account: 'reader', scopes: new Set(['models:read']) }
    }
    if (secret === 'sk-revoked') throw new PeerError('api_key_revoked', 'This key was revoked.')
    if (secret === 'sk-expired') throw new PeerError('api_key_expired', 'This key has expired.')
    throw new PeerError('invalid_api_key', 'This key is not known here.')
  },
}

export interface TestServer {
  url: string
  port: number
  server: HttpServer
  metrics: PromMetrics
  log: LogLine[]
}

type TestComponents = Pick<HttpComponents, 'keys' | 'endWork' | 'limiter' | 'idempotency'>

/** A real server on a free loopback port, stopped when the test ends. */
export async function startServer(
  routes: RouteModule[],
  options: Partial<HttpOptions> & Partial<TestComponents> = {},
): Promise<TestServer> {
  const log: LogLine[] = []
  const metrics = new PromMetrics()
  const { keys = stubKeys, endWork, limiter, idempotency, ...rest } = options
  const server = new HttpServer(
    {
      ...{ keys, logger: recordingLogger(log), metrics, clock: systemClock, random: systemRandom },
      ...(endWork && { endWork }),
      ...(limiter && { limiter }),
      ...(idempotency && { idempotency }),
    },
    { port: 0, ...rest, routes },
  )
  onTestFinished(() => server.stop())
  await server.start({ signal: new AbortController().signal })
  const url = server.address()
  return { url, port: Number(new URL(url).port), server, metrics, log }
}

export const asOwner = { authorization: 'Bearer sk-owner' }
export const json = { 'content-type': 'application/json' }

export interface ErrorBody {
  error: { message: string; type: string; param: string | null; code: string }
  request_id: string
}

export const errorOf = async (answer: Response) => (await answer.json()) as ErrorBody

/** A bare connection, to say what no client library would. */
export async function rawSocket(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  onTestFinished(() => {
    socket.destroy()
  })
  await new Promise<void>((resolve) => socket.once('connect', () => resolve()))
  return socket
}

/** Everything that comes until the other side hangs up. */
export function readAll(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    socket.on('data', (data) => {
      text += data
    })
    socket.once('close', () => resolve(text))
  })
}
