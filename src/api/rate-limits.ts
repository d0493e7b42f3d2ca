import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Meter } from '../accounts/limits/meter.ts'
import type { RateLimiter } from '../accounts/limits/rate-limiter.ts'
import type { TokenBucket } from '../accounts/limits/token-bucket.ts'
import { carriedUntil } from './client-signal.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Set where the caller's key has limits. */
    meter: Meter | undefined
  }
}

export const rateLimitHeaderNames = ['requests', 'tokens'].flatMap((what) =>
  ['limit', 'remaining', 'reset'].map((word) => `x-ratelimit-${word}-${what}`),
)

/** What is left is told with every answer, a refusal too. */
export function tellLimits(app: FastifyInstance): void {
  app.decorateRequest('meter', undefined)
  app.addHook('onSend', (request, reply, payload, done) => {
    setLimitHeaders(request, reply)
    done(null, payload)
  })
}

/** Lets a request in that is within its key's limits, until its answer has ended. */
export function enterWithin(
  limiter: RateLimiter,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const meter = limiter.meterOf(request.principal)
  if (meter === undefined) return
  request.meter = meter
  meter.enter()
  reply.raw.once('close', () => {
    const over = carriedUntil(reply)
    if (over === undefined) meter.leave()
    else over.then(() => meter.leave())
  })
}

/** As they are when the head goes out. */
export function setLimitHeaders({ meter }: FastifyRequest, reply: FastifyReply): void {
  if (meter === undefined) return
  const { requests, tokens, now } = meter
  if (requests !== undefined) setHeaders(reply, 'requests', requests, now)
  if (tokens !== undefined) setHeaders(reply, 'tokens', tokens, now)
}

function setHeaders(reply: FastifyReply, what: string, bucket: TokenBucket, now: number): void {
  const { perMinute } = bucket
  reply.header(`x-ratelimit-limit-${what}`, String(perMinute))
  reply.header(`x-ratelimit-remaining-${what}`, String(bucket.left(now)))
  reply.header(`x-ratelimit-reset-${what}`, spanText(bucket.msUntil(perMinute, now)))
}

/** As OpenAI writes it: `12ms`, `1.5s`, `6m0s`. */
export function spanText(ms: number): string {
  if (ms < 1000) return `${ms}ms`
  const seconds = Math.ceil(ms / 100) / 10
  if (seconds < 60) return `${seconds}s`
  const whole = Math.ceil(seconds)
  return `${Math.floor(whole / 60)}m${whole % 60}s`
}
