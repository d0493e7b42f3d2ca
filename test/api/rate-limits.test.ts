import OpenAI from 'openai'
import { describe, expect, it, onTestFinished } from 'vitest'
import { limited } from '../../src/accounts/limits/limited.ts'
import { RateLimiter } from '../../src/accounts/limits/rate-limiter.ts'
import type { Limits } from '../../src/accounts/principal.ts'
import { chatRoutes } from '../../src/api/openai/chat-completions.ts'
import { spanText } from '../../src/api/rate-limits.ts'
import { mounted, type RouteModule } from '../../src/api/route.ts'
import { systemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { seededRandom } from '../../src/base/random.ts'
import { marketBehind } from '../../src/market/market.ts'
import { needOf } from '../../src/market/need.ts'
import { FakeClock } from '../base/fake-clock.ts'
import { errorOf, owner, startServer } from './harness.ts'
import { type Script, ScriptedEngine, talk } from './scripted-engine.ts'
import { ScriptedMarket } from './scripted-market.ts'

/** A key with these limits, under a clock that stands still. */
async function start(limits: Limits, script: Script = talk, jurisdiction?: string) {
  const clock = new FakeClock()
  const limiter = new RateLimiter({ clock })
  const engine = new ScriptedEngine()
  engine.script = script
  const market = marketBehind(new ScriptedMarket(engine), (g) => limited(g, limiter, needOf))
  const parts = { market, clock: systemClock, random: seededRandom(7), logger: silentLogger }
  const plain: RouteModule = (app) => {
    app.get('/api/v1/thing', { config: { access: 'inference' } }, () => ({ ok: true }))
    app.get('/open', { config: { access: 'public' } }, () => ({ ok: true }))
  }
  const keys = {
    verify: (secret: string) => ({
      ...owner,
      keyId: secret,
      limits,
      ...(jurisdiction && { jurisdiction }),
    }),
  }
  const server = await startServer([mounted(chatRoutes(parts), '/v1'), plain], { keys, limiter })
  const ask = (path: string, key = 'sk-a') =>
    fetch(`${server.url}${path}`, { headers: { 'x-api-key': key } })
  const post = () =>
    fetch(`${server.url}/v1/chat/completions`, { method: 'POST', headers: { 'x-api-key': 'sk-a' } })
  const client = (maxRetries = 0) =>
    new OpenAI({ apiKey: 'sk-a', baseURL: `${server.url}/v1`, maxRetries })
  return { clock, limiter, engine, ask, post, client, url: server.url }
}

const chat = { model: 'test-chat', messages: [{ role: 'user' as const, content: 'Hi' }] }

const limitsOf = ({ headers }: Response) =>
  Object.fromEntries([...headers].filter(([name]) => name.startsWith('x-ratelimit-')))

describe('requests a minute', () => {
  it('are told with each answer; one too many is a 429 that says when', async () => {
    const { ask, post, clock } = await start({ requestsPerMinute: 2 })
    const left = (remaining: string, reset: string) => ({
      'x-ratelimit-limit-requests': '2',
      'x-ratelimit-remaining-requests': remaining,
      'x-ratelimit-reset-requests': reset,
    })
    expect(limitsOf(await ask('/api/v1/thing'))).toEqual(left('1', '30s'))
    expect(limitsOf(await ask('/api/v1/thing'))).toEqual(left('0', '1m0s'))
    const refused = await ask('/api/v1/thing')
    expect(refused.status).toBe(429)
    expect(limitsOf(refused)).toEqual(left('0', '1m0s'))
    expect(refused.headers.get('retry-after')).toBe('30')
    expect(refused.headers.get('retry-after-ms')).toBe('30000')
    expect(refused.headers.get('x-should-retry')).toBe('true')
    expect(await refused.json()).toMatchObject({ error: { code: 'rate_limited' } })
    const openAi = await errorOf(await post())
    expect(openAi.error).toMatchObject({ type: 'rate_limit_error', code: 'rate_limit_exceeded' })
    expect((await ask('/api/v1/thing', 'sk-b')).status).toBe(200)
    expect((await ask('/open')).status).toBe(200)
    await clock.advance(30_000)
    expect((await ask('/api/v1/thing')).status).toBe(200)
  })

  it('are waited for by OpenAI’s client, as long as it is told', async () => {
    const { limiter, clock, url, engine } = await start({ requestsPerMinute: 3000 })
    limiter.meterOf({ ...owner, keyId: 'sk-a', limits: { requestsPerMinute: 3000 } })?.enter()
    limiter.known('sk-a')?.requests?.take(2999, clock.elapsed())
    const waits: (string | null)[] = []
    const client = new OpenAI({
      ...{ apiKey: 'sk-a', baseURL: `${url}/v1`, maxRetries: 2 },
      async fetch(...asked) {
        const answer = await fetch(...asked)
        if (answer.status === 429) {
          waits.push(answer.headers.get('retry-after-ms'))
          await clock.advance(20)
        }
        return answer
      },
    })
    await client.chat.completions.create(chat)
    expect(waits).toEqual(['20'])
    expect(engine.jobs).toHaveLength(1)
  })
})

describe('tokens a minute', () => {
  it('are reserved by what may be used and corrected by what was', async () => {
    const { client } = await start({ tokensPerMinute: 10_000 })
    const { data, response } = await client()
      .chat.completions.create({ ...chat, max_tokens: 4 })
      .withResponse()
    const used = data.usage?.total_tokens ?? 0
    expect(used).toBe(9)
    expect(limitsOf(response)).toMatchObject({
      'x-ratelimit-limit-tokens': '10000',
      'x-ratelimit-remaining-tokens': String(10_000 - used),
      'x-ratelimit-reset-tokens': '54ms',
    })
  })

  it('show at the head of a stream what is held for it', async () => {
    const { client } = await start({ tokensPerMinute: 10_000 })
    const { data, response } = await client()
      .chat.completions.create({ ...chat, max_tokens: 4, stream: true })
      .withResponse()
    const held = 2048 + 32 + 'Hi'.length + 4
    expect(limitsOf(response)['x-ratelimit-remaining-tokens']).toBe(String(10_000 - held))
    for await (const _chunk of data);
    const { response: next } = await client().chat.completions.create(chat).withResponse()
    expect(Number(next.headers.get('x-ratelimit-remaining-tokens'))).toBeGreaterThan(9_970)
  })

  it('that a request asks for and never gets are a 429 that no client repeats', async () => {
    const { client, engine } = await start({ tokensPerMinute: 100 })
    const asked = client(2).chat.completions.create({ ...chat, max_tokens: 200 })
    await expect(asked).rejects.toMatchObject({ status: 429, code: 'rate_limit_exceeded' })
    await expect(asked).rejects.toThrow(/max_tokens/)
    expect(engine.jobs).toEqual([])
  })

  it('that others hold are a 429 before any work', async () => {
    const { client, engine } = await start({ tokensPerMinute: 100 }, async function* (job, signal) {
      yield { type: 'accepted', inputTokens: 1 }
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
      yield* talk(job, signal)
    })
    const leave = new AbortController()
    const first = client().chat.completions.create(chat, { signal: leave.signal })
    const settledFirst = first.catch(() => {})
    await expect.poll(() => engine.jobs.length).toBe(1)
    const second = client().chat.completions.create(chat)
    await expect(second).rejects.toMatchObject({ status: 429 })
    expect(engine.jobs).toHaveLength(1)
    leave.abort()
    await settledFirst
    await expect.poll(() => engine.running).toBe(0)
  })
})

describe('requests at a time', () => {
  it('end with their answers, also when their client leaves', async () => {
    const { client, engine, ask } = await start({ concurrency: 1 }, async function* (_job, signal) {
      yield { type: 'tokens', choice: 0, index: 0, ids: [0], text: 'x' }
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
      yield {
        ...{ type: 'done', finish: ['cancelled'] },
        usage: { inputTokens: 1, cachedTokens: 0, outputTokens: 1 },
      }
    })
    const stream = await client().chat.completions.create({ ...chat, stream: true })
    onTestFinished(() => stream.controller.abort())
    const refused = await ask('/api/v1/thing')
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '1'])
    stream.controller.abort()
    await expect.poll(() => engine.running).toBe(0)
    await expect.poll(async () => (await ask('/api/v1/thing')).status).toBe(200)
    for (let n = 0; n < 3; n++) expect((await ask('/api/v1/thing')).status).toBe(200)
  })
})

describe('the jurisdiction of a key', () => {
  it('binds requests that name none', async () => {
    const { client, engine } = await start({}, talk, 'EU')
    await client().chat.completions.create(chat)
    await client().chat.completions.create({ ...chat, jurisdiction: 'ca' } as typeof chat)
    expect(engine.jobs.map(({ wishes }) => wishes)).toEqual([
      { jurisdiction: 'EU' },
      { jurisdiction: 'CA' },
    ])
  })
})

describe('a span of time', () => {
  it.each([
    [0, '0ms'],
    [12, '12ms'],
    [999, '999ms'],
    [1000, '1s'],
    [1501, '1.6s'],
    [59_950, '1m0s'],
    [60_000, '1m0s'],
    [360_000, '6m0s'],
    [61_001, '1m2s'],
  ])('of %i ms reads %s', (ms, text) => {
    expect(spanText(ms)).toBe(text)
  })
})
