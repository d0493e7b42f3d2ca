import type { ServerResponse } from 'node:http'
import { constants, type Http2ServerRequest } from 'node:http2'
import type { Duplex } from 'node:stream'
import type { FastifyReply, FastifyRequest, HookHandlerDoneFunction } from 'fastify'
import type { RateLimiter } from '../accounts/limits/rate-limiter.ts'
import type { Clock } from '../base/clock.ts'
import { PeerError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { Counter, Histogram, Metrics } from '../base/metrics.ts'
import { authenticate, type Keys } from './auth.ts'
import type { HttpOptions } from './http-options.ts'
import { tooSlow } from './node-server.ts'
import { exposedHeaders, OriginPolicy } from './origin.ts'
import { enterWithin } from './rate-limits.ts'
import { allowedMethods } from './route-list.ts'

export interface EntranceComponents {
  keys: Keys
  limiter: RateLimiter
  logger: Logger
  metrics: Metrics
  clock: Clock
}

/** Seconds. From an instant engine to a long streamed answer. */
const DURATIONS = [0.001, 0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300]
const PREFLIGHT_SECONDS = 600
const headerNames = /^[\w!#$%&'*+.^`|~-]+(\s*,\s*[\w!#$%&'*+.^`|~-]+)*$/

/** What happens to every request before its body is read, and after its answer. */
export class Entrance {
  readonly #keys: Keys
  readonly #limiter: RateLimiter
  readonly #logger: Logger
  readonly #clock: Clock
  readonly #requests: Counter
  readonly #seconds: Histogram
  readonly #policy: OriginPolicy
  readonly #options: HttpOptions
  readonly #underway = new WeakMap<Duplex, ServerResponse>()
  #running = 0
  #closing = false
  #onIdle: (() => void) | undefined

  constructor(components: EntranceComponents, options: HttpOptions) {
    const { keys, limiter, logger, metrics, clock } = components
    this.#keys = keys
    this.#limiter = limiter
    this.#logger = logger
    this.#clock = clock
    this.#options = options
    this.#policy = new OriginPolicy(options)
    const labels = ['method', 'route', 'status']
    this.#requests = metrics.counter('pinaivu_http_requests_total', 'HTTP requests.', labels)
    this.#seconds = metrics.histogram(
      'pinaivu_http_request_seconds',
      'Time from the head of a request to the end of its answer.',
      DURATIONS,
      ['route'],
    )
  }

  /** The answer that a connection is busy with. */
  underway(socket: Duplex): ServerResponse | undefined {
    return this.#underway.get(socket)
  }

  /** Refuses new requests from now on; `onIdle` is called each time no answer is running any more. */
  close(onIdle: () => void): void {
    this.#closing = true
    this.#onIdle = onIdle
    if (this.#running === 0) onIdle()
  }

  readonly onRequest = (
    request: FastifyRequest,
    reply: FastifyReply,
    done: HookHandlerDoneFunction,
  ): void => {
    this.#begin(request, reply)
    reply.header('x-request-id', request.id)
    if (this.#closing) {
      reply.header('connection', 'close')
      throw new PeerError('shutting_down', 'This peer is shutting down; ask another one.')
    }
    if (request.raw.rawHeaders.length > 2 * this.#options.headersMax) {
      throw new PeerError('headers_too_large', 'The request has too many headers.')
    }
    if (this.#checkOrigin(request, reply)) return
    if (request.is404) throw unknownUrl(request, reply)
    const access = request.routeOptions.config.access ?? 'key'
    if (access !== 'public') {
      request.principal = authenticate(request.headers, this.#keys, access)
      enterWithin(this.#limiter, request, reply)
    }
    done()
  }

  #begin(request: FastifyRequest, reply: FastifyReply): void {
    const { raw } = reply
    const startedAt = this.#clock.elapsed()
    this.#running++
    raw.once('close', () => this.#end(request, raw, startedAt))
    // Node counts from the last byte that went out, and tells more than once: while nothing is
    // there to go out, it is us who keep the client waiting.
    raw.setTimeout(this.#options.stallMs)
    raw.on('timeout', () => {
      if (raw.writableEnded || raw.writableLength > 0) raw.destroy()
    })
    if (request.raw.httpVersionMajor === 1) this.#underway.set(request.raw.socket, raw)
    else this.#limitBody(request, reply)
  }

  /** Node times the bodies of HTTP/1 alone, and leaves a stream open whose answer is out. */
  #limitBody({ raw }: FastifyRequest, reply: FastifyReply): void {
    if (raw.method === 'GET' || raw.method === 'HEAD') return
    const cancel = this.#clock.after(this.#options.requestTimeoutMs, () => {
      if (!reply.sent) reply.send(tooSlow())
    })
    raw.once('end', cancel)
    reply.raw.once('close', cancel)
    const { stream } = raw as unknown as Http2ServerRequest
    stream.once('finish', () => {
      if (!raw.complete) stream.close(constants.NGHTTP2_NO_ERROR)
    })
  }

  #end(request: FastifyRequest, raw: ServerResponse, startedAt: number): void {
    this.#running--
    const seconds = (this.#clock.elapsed() - startedAt) / 1000
    const status = raw.writableEnded ? raw.statusCode : 499
    // Over HTTP/2 a method can be any text: without a route, neither it nor the URL is a label.
    const { url: route = 'unknown' } = request.routeOptions
    const method = request.is404 ? 'unknown' : request.method
    const label = { method, route, status: String(status) }
    this.#requests.add(1, label)
    this.#seconds.observe(seconds, { route })
    this.#logger.debug('request', { requestId: request.id, ...label, seconds })
    if (!request.raw.complete) this.#linger(request)
    if (this.#running === 0) this.#onIdle?.()
  }

  /** A refusal sent while its sender still uploads: read on for a moment, then hang up. */
  #linger({ raw }: FastifyRequest): void {
    if (raw.httpVersionMajor !== 1 || raw.socket.destroyed) return
    const cancel = this.#clock.after(this.#options.lingerMs, () => {
      if (!raw.complete) raw.socket.destroy()
    })
    raw.once('close', cancel)
  }

  /** True when it was a preflight, which is answered here. */
  #checkOrigin(request: FastifyRequest, reply: FastifyReply): boolean {
    const { headers, method } = request
    const host = (headers[':authority'] as string | undefined) ?? headers.host
    if (host === undefined || !this.#policy.hostAllowed(host)) {
      throw new PeerError(
        'host_not_allowed',
        'This peer does not go by the name in the Host header. Reach it by its address.',
      )
    }
    const { origin } = headers
    if (origin === undefined) return false
    const asked = method === 'OPTIONS' ? headers['access-control-request-method'] : undefined
    const reads = (asked ?? method) === 'GET' || (asked ?? method) === 'HEAD'
    const anyone = reads && request.url.startsWith('/v8/')
    if (anyone || this.#policy.originAllowed(origin, host)) {
      reply.header('access-control-allow-origin', anyone ? '*' : origin)
      reply.header('access-control-expose-headers', exposedHeaders)
      if (!anyone) reply.header('vary', 'Origin')
    } else if (!reads || asked !== undefined) {
      throw new PeerError(
        'origin_not_allowed',
        'Pages of this origin may not call this peer. Allow it with --cors-origin.',
      )
    }
    if (asked !== undefined) answerPreflight(headers['access-control-request-headers'], reply)
    return asked !== undefined
  }
}

function answerPreflight(asked: string | undefined, reply: FastifyReply): void {
  reply.header('access-control-allow-methods', 'GET, HEAD, POST, PATCH, PUT, DELETE')
  // A `*` would not cover Authorization, so the page gets back what it asked for.
  if (asked !== undefined && headerNames.test(asked)) {
    reply.header('access-control-allow-headers', asked)
  }
  reply.header('access-control-max-age', String(PREFLIGHT_SECONDS))
  reply.code(204).send()
}

function unknownUrl(request: FastifyRequest, reply: FastifyReply): PeerError {
  const path = request.url.replace(/\?.*$/s, '')
  const methods = allowedMethods(request.server.routeEntries, path)
  if (methods.length === 0) {
    return new PeerError('unknown_url', `Invalid URL (${request.method} ${path})`)
  }
  const allow = methods.join(', ')
  reply.header('allow', allow)
  return new PeerError('method_not_allowed', `${path} takes ${allow}, not ${request.method}.`)
}
