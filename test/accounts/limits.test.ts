import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { limited } from '../../src/accounts/limits/limited.ts'
import { Meter } from '../../src/accounts/limits/meter.ts'
import { RateLimiter } from '../../src/accounts/limits/rate-limiter.ts'
import { TokenBucket } from '../../src/accounts/limits/token-bucket.ts'
import type { Limits, Principal } from '../../src/accounts/principal.ts'
import { PeerError } from '../../src/base/errors.ts'
import { needOf } from '../../src/market/need.ts'
import type { Chunk, Generate } from '../../src/wire/chunk.ts'
import type { Job, Sampling } from '../../src/wire/job.ts'
import { FakeClock } from '../base/fake-clock.ts'
import { rounds } from '../campaign.ts'

const MINUTE = 60_000

describe('a token bucket', () => {
  it('never lets more through than rate × time + burst, and no less than it could', () => {
    const step = fc.record({
      ms: fc.oneof(fc.nat(10), fc.nat(3 * MINUTE)),
      amount: fc.oneof(fc.nat(5), fc.nat(2000)),
      /** Part of what was taken that was not used. */
      unused: fc.double({ min: 0, max: 1, noNaN: true }),
    })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1000 }), fc.array(step), (perMinute, steps) => {
        const bucket = new TokenBucket(perMinute, 0)
        let now = 0
        const uses: { at: number; amount: number }[] = []
        for (const { ms, amount, unused } of steps) {
          now += ms
          const wait = bucket.msUntil(amount, now)
          const left = bucket.left(now)
          const taken = bucket.take(amount, now)
          expect(taken).toBe(wait === 0)
          if (!taken) {
            expect(amount).toBeGreaterThan(left)
            continue
          }
          const back = Math.floor(unused * amount)
          bucket.correct(-back, now)
          uses.push({ at: now, amount: amount - back })
        }
        // Over every window, not only from the beginning.
        for (const [from, { at: began }] of uses.entries()) {
          let sum = 0
          for (const { at, amount } of uses.slice(from)) {
            sum += amount
            expect(sum).toBeLessThanOrEqual(perMinute * ((at - began) / MINUTE + 1) + 1e-6)
          }
        }
      }),
      { numRuns: rounds(100, 20_000) },
    )
  })

  it('has room again exactly when it says', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e6 }), fc.integer({ min: 1, max: 1e6 }), (rate, n) => {
        const bucket = new TokenBucket(rate, 0)
        bucket.take(rate, 0)
        const amount = Math.min(n, rate)
        const ms = bucket.msUntil(amount, 0)
        expect(bucket.take(amount, ms - 1)).toBe(false)
        expect(bucket.take(amount, ms + 1)).toBe(true)
      }),
    )
  })

  it('owes what was used beyond what was taken', () => {
    const bucket = new TokenBucket(60, 0)
    bucket.take(60, 0)
    bucket.correct(60, 0)
    expect(bucket.left(0)).toBe(0)
    expect(bucket.msUntil(1, 0)).toBe(61_000)
    expect(bucket.take(1, 60_000)).toBe(false)
    expect(bucket.take(1, 61_000)).toBe(true)
  })
})

const caught = (call: () => unknown): unknown => {
  try {
    call()
  } catch (error) {
    return error
  }
  return undefined
}

describe('a meter', () => {
  it('counts requests a minute, and says when to come again', async () => {
    const clock = new FakeClock()
    const meter = new Meter(clock, { requestsPerMinute: 2 })
    for (let n = 0; n < 2; n++) {
      meter.enter()
      meter.leave()
    }
    expect(caught(() => meter.enter())).toMatchObject({
      ...{ code: 'rate_limit_exceeded', retryAfterMs: 30_000 },
      message: 'This key may make 2 requests a minute. Ask again in 30 s.',
    })
    await clock.advance(30_000)
    meter.enter()
  })

  it('counts requests at a time; a refused one costs nothing', () => {
    const meter = new Meter(new FakeClock(), { concurrency: 1, requestsPerMinute: 2 })
    meter.enter()
    expect(caught(() => meter.enter())).toMatchObject({ retryAfterMs: 1000 })
    meter.leave()
    meter.enter()
  })

  it('takes of tokens what there is, but what is sure to be needed', () => {
    const meter = new Meter(new FakeClock(), { tokensPerMinute: 100 })
    expect(meter.reserve({ least: 10, most: 30 })).toBe(30)
    expect(meter.reserve({ least: 10, most: Number.POSITIVE_INFINITY })).toBe(70)
    expect(caught(() => meter.reserve({ least: 10, most: 30 }))).toMatchObject({
      ...{ code: 'rate_limit_exceeded', retryAfterMs: 6_000 },
    })
    meter.settle(70, 50)
    expect(meter.reserve({ least: 10, most: 30 })).toBe(20)
    expect(caught(() => meter.reserve({ least: 101, most: 200 }))).toMatchObject({
      code: 'rate_limit_too_low',
    })
  })
})

const principal = (keyId: string, limits?: Limits): Principal => ({
  ...{ keyId, account: 'ada', scopes: new Set() },
  ...(limits && { limits }),
})

describe('the meters of all keys', () => {
  it('hold a bounded number of them, however many are seen; of keys without limits none', () => {
    const limiter = new RateLimiter({ clock: new FakeClock() })
    const limits = { requestsPerMinute: 1 }
    const seen = rounds(70_000, 1_000_000)
    for (let n = 0; n < seen; n++) limiter.meterOf(principal(`key_${n}`, limits))
    expect(limiter.size).toBe(65_536)
    for (let n = 0; n < 1000; n++) limiter.meterOf(principal(`free_${n}`))
    expect(limiter.size).toBe(65_536)
    const known = limiter.meterOf(principal(`key_${seen - 1}`, limits))
    expect(limiter.known(`key_${seen - 1}`)).toBe(known)
    expect(limiter.known('key_0')).toBe(undefined)
  })
})

const sampling = { choices: 1 } as Sampling
const job = (content: string, maxTokens?: number): Job => ({
  id: 'job_1',
  model: 'm',
  cacheScope: 'ada',
  work: {
    kind: 'chat',
    messages: [{ role: 'user', content }],
    sampling: maxTokens === undefined ? sampling : { ...sampling, maxTokens },
  },
  origin: { requestId: 'req_1', account: 'ada', keyId: 'key_1', endpoint: '/v1/x' },
})

const answer = (read: number, written: number): Generate =>
  async function* () {
    yield { type: 'accepted', inputTokens: read } as Chunk
    for (let n = 0; n < written; n++) {
      yield { type: 'tokens', choice: 0, index: n, ids: [n], text: 'x' } as Chunk
    }
    const usage = { inputTokens: read, cachedTokens: 0, outputTokens: written }
    yield { type: 'done', finish: ['stop'], usage } as Chunk
  }

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}

function meteredBy(tokensPerMinute: number, generate: Generate) {
  const limiter = new RateLimiter({ clock: new FakeClock() })
  const meter = limiter.meterOf(principal('key_1', { tokensPerMinute })) as Meter
  const wrapped = limited(generate, limiter, needOf)
  const run = (one: Job) => wrapped(one, { signal: new AbortController().signal })
  return { meter, run, left: () => meter.tokens?.left(meter.now) }
}

describe('a Generate within a token rate', () => {
  it('reserves what may be used, and gives back what was not', async () => {
    const { run, left } = meteredBy(10_000, answer(7, 5))
    let during: number | undefined
    for await (const { type } of run(job('hello', 50))) {
      if (type === 'accepted') during = left()
    }
    // Five bytes and their frame, the template, and what may be written.
    expect(during).toBe(10_000 - (2048 + 32 + 5) - 50)
    expect(left()).toBe(10_000 - 12)
  })

  it('counts what was handed over of an answer that is left or breaks off', async () => {
    const { run, left } = meteredBy(10_000, answer(7, 100))
    for await (const chunk of run(job('hello'))) {
      if (chunk.type === 'tokens' && chunk.index === 9) break
    }
    expect(left()).toBe(10_000 - 17)
    const broken = meteredBy(10_000, async function* () {
      yield { type: 'accepted', inputTokens: 3 } as Chunk
      throw new PeerError('engine_failed', 'broken')
    })
    await expect(all(broken.run(job('hello')))).rejects.toThrow('broken')
    expect(broken.left()).toBe(10_000 - 3)
  })

  it('begins no work that is not within it', async () => {
    let begun = 0
    const { run } = meteredBy(100, (...asked) => {
      begun += 1
      return answer(1, 1)(...asked)
    })
    await expect(all(run(job('hello', 200)))).rejects.toMatchObject({
      code: 'rate_limit_too_low',
    })
    const first = run(job('hello'))[Symbol.asyncIterator]()
    await first.next()
    expect(begun).toBe(1)
  })

  it('leaves jobs of keys without one as they are', () => {
    const limiter = new RateLimiter({ clock: new FakeClock() })
    const chunks = answer(1, 1)(job('x'), { signal: new AbortController().signal })
    const wrapped = limited(() => chunks, limiter, needOf)
    const run = (one: Job) => wrapped(one, { signal: new AbortController().signal })
    expect(run(job('x'))).toBe(chunks)
    const { origin: _nobody, ...anonymous } = job('x')
    expect(run(anonymous)).toBe(chunks)
  })
})
