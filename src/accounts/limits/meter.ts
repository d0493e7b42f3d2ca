import type { Clock } from '../../base/clock.ts'
import { LimitError, PeerError } from '../../base/errors.ts'
import type { Limits } from '../principal.ts'
import { TokenBucket } from './token-bucket.ts'

/** When a request may end that is in the way of another. */
const BUSY_RETRY_MS = 1_000

/** Tokens that a job is sure to be allowed, and that it can use at most. */
export interface Need {
  least: number
  most: number
}

/** How much of a key's limits is used up. */
export class Meter {
  readonly #clock: Pick<Clock, 'elapsed'>
  readonly requests: TokenBucket | undefined
  readonly tokens: TokenBucket | undefined
  readonly #concurrency: number
  #running = 0

  constructor(clock: Pick<Clock, 'elapsed'>, limits: Limits) {
    const { requestsPerMinute: rpm, tokensPerMinute: tpm, concurrency } = limits
    const now = clock.elapsed()
    this.#clock = clock
    this.requests = rpm === undefined ? undefined : new TokenBucket(rpm, now)
    this.tokens = tpm === undefined ? undefined : new TokenBucket(tpm, now)
    this.#concurrency = concurrency ?? Number.POSITIVE_INFINITY
  }

  get now(): number {
    return this.#clock.elapsed()
  }

  /** Counts a request that begins. Each that was let in must `leave`. */
  enter(): void {
    if (this.#running >= this.#concurrency) {
      const message = `${this.#concurrency} requests of this key are running, its limit.`
      throw limited(message, BUSY_RETRY_MS)
    }
    const { requests, now } = this
    if (requests !== undefined && !requests.take(1, now)) {
      const message = `This key may make ${requests.perMinute} requests a minute.`
      throw limited(message, requests.msUntil(1, now))
    }
    this.#running += 1
  }

  leave(): void {
    this.#running -= 1
  }

  /** Takes what a job can use, as far as that much is left, or throws. Returns what was taken. */
  reserve({ least, most }: Need): number {
    const { tokens, now } = this
    if (tokens === undefined) return 0
    const { perMinute } = tokens
    if (least > perMinute) {
      const message = `This key may use ${perMinute} tokens a minute, and this request ${least}.`
      throw new PeerError('rate_limit_too_low', `${message} Lower max_tokens or send less text.`)
    }
    const left = tokens.left(now)
    const amount = Math.max(least, Math.min(most, left))
    if (tokens.take(amount, now)) return amount
    const message =
      `This key may use ${perMinute} tokens a minute; ${left} are left, and this request needs ` +
      `${least}.`
    throw limited(message, tokens.msUntil(amount, now))
  }

  /** Of what was reserved, so much was used. */
  settle(reserved: number, used: number): void {
    this.tokens?.correct(used - reserved, this.now)
  }
}

function limited(message: string, ms: number): LimitError {
  const retryAfterMs = Math.max(1, ms)
  const when = `Ask again in ${Math.ceil(retryAfterMs / 1000)} s.`
  return new LimitError(`${message} ${when}`, retryAfterMs)
}
