import { hash } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { KeptAnswer } from '../accounts/idempotency/answer-rows.ts'
import { Claim, type Deed, type Idempotency } from '../accounts/idempotency/idempotency.ts'
import type { Recording } from '../accounts/idempotency/recording.ts'
import { PeerError } from '../base/errors.ts'
import { canonicalJson } from '../wire/canonical-json.ts'
import { secretOf } from './auth.ts'
import { carryOn, clientGone } from './client-signal.ts'
import { answerTo, errorBody, errorHeaders } from './error-answer.ts'
import type { Headers } from './work-headers.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Set where what is streamed is kept, to be given again. */
    recording: Recording | undefined
  }
  interface FastifyInstance {
    idempotency: Idempotency | undefined
  }
  interface FastifyContextConfig {
    /**
     * Such a request is served once for an `Idempotency-Key`. Its handler returns its answer or
     * throws, or streams it by an SseWriter; once it runs, it runs to its end. What it does:
     * `work` is settled by the market under the request's id, a `creation` is anything else, a
     * `secret` is a creation whose answer shows one. The handler of a `form`, whose body is no JSON,
     * calls `servedOnce` when it has read it.
     */
    idempotent?: Deed | 'form'
  }
}

/** Of an answer that is given again; its other headers belong to one exchange alone. */
const keptHeaders = /^(x-pinaivu-|x-ryvion-|x-request-id$|x-should-retry$|cache-control$|location$)/

/** What is cured by time or money is not held against a second try. */
const PASSING = [402, 408, 429]

/** Wraps the handlers of all routes that say `idempotent`. */
export function serveOnce(app: FastifyInstance, idempotency: Idempotency | undefined): void {
  app.decorateRequest('recording', undefined)
  app.decorate('idempotency', idempotency)
  if (idempotency === undefined) return
  app.addHook('onRoute', (route) => {
    const deed = route.config?.idempotent
    if (deed === undefined || deed === 'form') return
    const { handler } = route
    route.handler = function (request, reply) {
      if (request.headers['idempotency-key'] === undefined) {
        return handler.call(this, request, reply)
      }
      const run = () => handler.call(this, request, reply)
      return servedOnce({ request, reply, deed, said: request.body }, run)
    }
  })
}

/** What `run` answers, or did when the same was `said` with the same key. */
export function servedOnce(asked: Omit<Asked, 'key'>, run: () => unknown): unknown {
  const { request } = asked
  const given = request.headers['idempotency-key']
  const { idempotency } = request.server
  if (given === undefined || idempotency === undefined) return run()
  return once({ ...asked, key: checkedKey(given) }, run, idempotency)
}

export interface Asked {
  request: FastifyRequest
  reply: FastifyReply
  deed: Deed
  key: string
  /** All that makes this request another than one with the same key. */
  said: unknown
}

async function once(
  { request, reply, deed, key, said }: Asked,
  run: () => unknown,
  idempotency: Idempotency,
): Promise<unknown> {
  const claim = await idempotency.begin({
    account: request.principal.account,
    route: routeOf(request),
    key,
    fingerprint: hash('sha256', said === undefined ? '' : canonicalJson(said), 'hex'),
    requestId: request.id,
    deed,
    apiKey: secretOf(request.headers),
  })
  if (!(claim instanceof Claim)) return replay(claim, reply)
  const { promise, resolve: over } = Promise.withResolvers<void>()
  carryOn(reply, promise)
  const { recording } = claim
  request.recording = recording
  try {
    const value = await run()
    const isStream = recording.opened || value === undefined || value === reply
    await claim.keep(isStream ? recording.answer() : wholeAnswer(value, reply.statusCode, reply))
    return value
  } catch (error) {
    await endWith(error, claim, request, reply)
    throw error
  } finally {
    over()
  }
}

/** A refusal is an answer, too, unless it would pass. */
async function endWith(
  error: unknown,
  claim: Claim,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  if (claim.recording.opened) {
    await claim.keep(claim.recording.answer())
    return
  }
  const answer = answerTo(error)
  if (answer.status >= 500 || PASSING.includes(answer.status)) {
    await claim.drop()
    return
  }
  const body = errorBody(request.url, answer, request.id)
  await claim.keep(wholeAnswer(body, answer.status, reply, errorHeaders(answer)))
}

function wholeAnswer(
  value: unknown,
  status: number,
  reply: FastifyReply,
  more: Headers = {},
): KeptAnswer {
  const headers = { ...kept(reply.getHeaders()), ...kept(more) }
  const body = Buffer.from(JSON.stringify(value))
  return { status, headers, trailers: {}, isStream: false, body }
}

/** Those that a second answer has as well. */
export function kept(headers: object): Headers {
  const named = Object.entries(headers).filter(([name]) => keptHeaders.test(name))
  return Object.fromEntries(named.map(([name, value]) => [name, String(value)]))
}

function replay(answer: KeptAnswer, reply: FastifyReply): FastifyReply {
  const body = Buffer.from(answer.body)
  reply.headers(answer.headers).header('idempotency-replayed', 'true')
  if (!answer.isStream) {
    return reply
      .code(answer.status)
      .type('application/json; charset=utf-8')
      .serializer(asIs)
      .send(body)
  }
  const { raw } = reply
  if (clientGone(raw)) return reply
  reply.hijack()
  const names = Object.keys(answer.trailers)
  const trailing = names.length > 0 && reply.request.raw.httpVersion !== '1.0'
  const head = { ...(reply.getHeaders() as Headers), ...streamHeaders }
  raw.writeHead(answer.status, trailing ? { ...head, trailer: names.join(', ') } : head)
  raw.write(body)
  if (trailing) raw.addTrailers(answer.trailers)
  raw.end()
  return reply
}

const asIs = (payload: unknown): string => payload as string

/** Of every event stream. */
export const streamHeaders: Headers = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache, no-transform',
  // Tells nginx and its kin not to collect the stream before they pass it on.
  'x-accel-buffering': 'no',
}

const visible = /^[\x21-\x7e]{1,255}$/

/** A structured string (RFC 8941), or the same without its quotes, as most clients send it. */
function checkedKey(given: string | string[]): string {
  const text = String(given).trim()
  const quoted = /^"((?:[^"\\]|\\["\\])*)"$/.exec(text)?.[1]
  const key = quoted === undefined ? text : quoted.replace(/\\(["\\])/g, '$1')
  if (visible.test(key)) return key
  const message = 'An Idempotency-Key has 1 to 255 visible ASCII characters, such as a UUID.'
  throw new PeerError('invalid_idempotency_key', message)
}

/** The same under each path that an endpoint goes by. */
const routeOf = ({ method, url }: FastifyRequest): string =>
  `${method} ${url.replace(/\?.*$/s, '').replace(/^\/v1\//, '/')}`
