import { describe, expect, it, onTestFinished } from 'vitest'
import type { AccountEventType } from '../../src/accounts/events.ts'
import { KeyStore } from '../../src/accounts/keys.ts'
import type { PosterOptions } from '../../src/accounts/webhooks/post.ts'
import { Webhooks } from '../../src/accounts/webhooks/webhooks.ts'
import { webhookRoutes } from '../../src/api/product/webhooks.ts'
import { mounted } from '../../src/api/route.ts'
import { systemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { noMetrics } from '../../src/base/metrics.ts'
import { systemRandom } from '../../src/base/random.ts'
import { openMemoryStore } from '../../src/storage/store.ts'
import { startReceiver, status } from '../accounts/webhooks/receiver.ts'
import { startServer } from './harness.ts'

type Json = Record<string, unknown>

async function start(poster: Partial<PosterOptions> = {}) {
  const store = await openMemoryStore({ logger: silentLogger })
  const base = { store, clock: systemClock, random: systemRandom, logger: silentLogger }
  const keys = await KeyStore.open(base)
  const resolve = async (name: string) => {
    const inside = name.startsWith('inside')
    return [{ address: inside ? '10.0.0.1' : '93.184.215.14', family: 4 as const }]
  }
  const webhooks = await Webhooks.open(
    { ...base, metrics: noMetrics, resolve },
    { userAgent: 'test/1', poster },
  )
  await webhooks.start()
  onTestFinished(() => webhooks.stop())
  const { url } = await startServer([mounted(webhookRoutes({ webhooks }), '/api/v1')], { keys })
  const keyOf = async (account: string, scopes = ['webhooks:manage']) =>
    (await keys.create({ name: account, account, scopes })).key
  const ada = await keyOf('ada')
  const call = async (method: string, path: string, body?: unknown, key = ada) => {
    const answer = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    return { status: answer.status, headers: answer.headers, body: (await answer.json()) as Json }
  }
  const create = async (fields: Json = {}, key = ada) =>
    (await call('POST', '/webhooks', { ...whole, ...fields }, key)).body as Json & { id: string }
  const emit = (n: number, type: AccountEventType = 'chat.completed', account = 'ada') =>
    webhooks.emit({ account, type, data: { object: { n } } })
  return { webhooks, call, create, keyOf, emit }
}

const whole = {
  name: 'mine',
  url: 'https://example.com/hook',
  event_types: ['generation.succeeded', 'chat.completed', 'key.*'],
}

describe('POST /api/v1/webhooks', () => {
  it('makes an endpoint, and shows its secret this once', async () => {
    const { call } = await start()
    const { status: code, headers, body } = await call('POST', '/webhooks', whole)
    expect([code, headers.get('cache-control')]).toEqual([201, 'no-store'])
    expect(body).toEqual({
      id: expect.stringMatching(/^whend_[0-9a-z]{26}$/),
      object: 'webhook_endpoint',
      ...whole,
      status: 'active',
      secret_preview: expect.stringMatching(/^whsec_..\.\.\......./),
      signing_secret: expect.stringMatching(/^whsec_[A-Za-z0-9+/]{43}=$/),
      ...{ last_success_at: null, last_failure_at: null, failure_count: 0 },
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      updated_at: body.created_at,
      ...{ disabled_at: null, revoked_at: null },
    })
    const { signing_secret: secret, ...rest } = body
    expect(`${secret}`.startsWith(`${body.secret_preview}`.slice(0, 8))).toBe(true)
    expect((await call('GET', `/webhooks/${body.id}`)).body).toEqual(rest)
    expect((await call('GET', '/webhooks')).body).toMatchObject({ data: [rest], has_more: false })
  })

  it.each([
    [{ url: 'http://example.com/' }, 'webhook_url_rejected', /https/],
    [{ url: 'https://127.0.0.1/' }, 'webhook_url_rejected', /public internet/],
    [{ url: 'https://localhost/' }, 'webhook_url_rejected', /private network/],
    [{ url: 'https://inside.example.com/' }, 'webhook_url_rejected', /public internet/],
    [{ url: 'https://example.com:444/' }, 'webhook_url_rejected', /443 or 8443/],
    [{ url: 'x' }, 'webhook_url_rejected', /URL/],
    [{ url: 7 }, 'invalid_type', /url/],
    [{ url: `https://example.com/${'x'.repeat(2048)}` }, 'invalid_value', /url/],
    [{ event_types: [] }, 'invalid_value', /event_types/],
    [{ event_types: ['*'] }, 'invalid_value', /event_types/],
    [{ event_types: ['webhook.test'] }, 'invalid_value', /event_types/],
    [{ event_types: undefined }, 'missing_required_parameter', /event_types/],
    [{ name: 'a\nb' }, 'invalid_value', /name/],
    [{ secret: 'mine' }, 'unknown_parameter', /secret/],
  ])('%j is a 400', async (fields, code, message) => {
    const { call } = await start()
    const answer = await call('POST', '/webhooks', { ...whole, ...fields })
    expect(answer.status).toBe(400)
    expect(answer.body).toEqual({
      error: { code, message: expect.stringMatching(message), requestId: expect.any(String) },
    })
    expect((await call('GET', '/webhooks')).body.data).toEqual([])
  })

  it('takes each type that there is, once, and needs no name', async () => {
    const { create } = await start()
    const types = ['credits.low', 'key.created', 'key.*', 'generation.failed', 'credits.low']
    expect(await create({ name: undefined, event_types: types })).toMatchObject({
      name: '',
      event_types: ['credits.low', 'key.created', 'key.*', 'generation.failed'],
    })
  })

  it('is refused as a conflict when the account has as many as it may', async () => {
    const { create } = await start()
    for (let n = 0; n < 16; n++) await create()
    expect(await create()).toMatchObject({ error: { code: 'too_many_webhooks' } })
  })
})

describe('a webhook', () => {
  it('is changed, switched off and on, and deleted', async () => {
    const { call, create } = await start()
    const { id, created_at } = await create()
    const changes = { name: 'new', url: 'https://example.org/', event_types: ['credits.low'] }
    const changed = await call('PATCH', `/webhooks/${id}`, { ...changes, status: 'disabled' })
    expect(changed.status).toBe(200)
    expect(changed.body).toMatchObject({ id, ...changes, status: 'disabled', created_at })
    expect(changed.body.disabled_at).toEqual(expect.any(String))
    expect(changed.body).not.toHaveProperty('signing_secret')
    expect((await call('PATCH', `/webhooks/${id}`, { status: 'active' })).body).toMatchObject({
      ...{ ...changes, status: 'active', disabled_at: null },
    })
    const bad = await call('PATCH', `/webhooks/${id}`, { url: 'https://inside.example.com/' })
    expect(bad.body).toMatchObject({ error: { code: 'webhook_url_rejected' } })
    expect((await call('DELETE', `/webhooks/${id}`)).body).toEqual({
      ...{ id, object: 'webhook_endpoint', deleted: true },
    })
    expect((await call('GET', `/webhooks/${id}`)).status).toBe(404)
  })

  it('gets a new secret, shown this once', async () => {
    const { call, create } = await start()
    const { id, signing_secret: first } = await create()
    const { status: code, headers, body } = await call('POST', `/webhooks/${id}/rotate-secret`)
    expect([code, headers.get('cache-control')]).toEqual([200, 'no-store'])
    expect(body.signing_secret).toMatch(/^whsec_/)
    expect(body.signing_secret).not.toBe(first)
    expect(Date.parse(`${body.previous_secret_expires_at}`)).toBeGreaterThan(Date.now())
  })

  it('is sent what happens, and its deliveries and events are listed, page by page', async () => {
    const { call, create, emit } = await start({ allowPrivate: true })
    const receiver = await startReceiver()
    const { id } = await create({ url: `http://127.0.0.1:${receiver.port}/` })
    for (let n = 0; n < 3; n++) emit(n)
    emit(3, 'credits.low')
    await expect.poll(() => receiver.got.length).toBe(3)
    const deliveries = async (query = '') =>
      (await call('GET', `/webhooks/${id}/deliveries${query}`)).body as Json & { data: Json[] }
    await expect
      .poll(async () => (await deliveries()).data.map((each) => each.status))
      .toEqual(Array(3).fill('succeeded'))
    const { data } = await deliveries('?limit=2')
    expect(data[0]).toEqual({
      id: expect.stringMatching(/^whdel_/),
      object: 'webhook_delivery',
      event_id: expect.stringMatching(/^evt_/),
      ...{ event_type: 'chat.completed', endpoint_id: id, attempt: 1, status: 'succeeded' },
      ...{ response_status: 200, response_ms: expect.any(Number), error: null },
      ...{ next_attempt_at: null, created_at: expect.any(String) },
    })
    const rest = await deliveries(`?limit=2&after=${data[1]?.id}`)
    expect([rest.data.length, rest.has_more]).toEqual([1, false])

    const events = await call('GET', '/webhook-events?limit=100')
    const listed = events.body.data as Json[]
    expect(listed).toHaveLength(4)
    const sent = receiver.got.map(({ body }) => JSON.parse(body))
    for (const each of sent) expect(listed).toContainEqual({ ...each, pending_webhooks: 0 })
    const low = (await call('GET', '/webhook-events?type=credits.low')).body
    expect(low).toMatchObject({ data: [{ type: 'credits.low', data: { object: { n: 3 } } }] })
    expect((await call('GET', '/webhook-events?type=x')).status).toBe(400)
    expect((await call('GET', `/webhooks/${id}`)).body.last_success_at).toEqual(expect.any(String))
  })

  it('is tested', async () => {
    const { call, create } = await start({ allowPrivate: true })
    const receiver = await startReceiver(status(500))
    const { id } = await create({ url: `http://127.0.0.1:${receiver.port}/` })
    const failed = await call('POST', `/webhooks/${id}/test`)
    expect([failed.status, failed.body]).toMatchObject([
      200,
      { status: 'failed', response_status: 500, error: { code: 'refused' }, attempt: 1 },
    ])
    receiver.answer = status(204)
    const passed = await call('POST', `/webhooks/${id}/test`, {})
    expect(passed.body).toMatchObject({ event_type: 'webhook.test', status: 'succeeded' })
    expect(receiver.got).toHaveLength(2)
  })
})

describe('another account', () => {
  it('is told of nothing, in the same words as of what never was', async () => {
    const { call, create, keyOf, emit } = await start()
    const { id } = await create()
    emit(1)
    const eve = await keyOf('eve')
    const never = `whend_${'0'.repeat(26)}`
    const calls: [string, string, unknown?][] = [
      ['GET', ''],
      ['PATCH', '', { name: 'x' }],
      ['DELETE', ''],
      ['POST', '/rotate-secret'],
      ['POST', '/test'],
      ['GET', '/deliveries'],
    ]
    for (const [method, path, body] of calls) {
      const [foreign, unknown] = [
        await call(method, `/webhooks/${id}${path}`, body, eve),
        await call(method, `/webhooks/${never}${path}`, body, eve),
      ]
      expect([foreign.status, unknown.status], method + path).toEqual([404, 404])
      const words = ({ body: { error } }: typeof foreign) => ({ ...(error as Json), requestId: '' })
      expect(words(foreign)).toEqual(words(unknown))
      expect(words(foreign)).toMatchObject({ code: 'not_found' })
    }
    expect((await call('GET', '/webhooks', undefined, eve)).body.data).toEqual([])
    expect((await call('GET', '/webhook-events', undefined, eve)).body.data).toEqual([])
    expect((await call('GET', `/webhooks/${id}`)).status).toBe(200)
  })

  it('and a key without the scope webhooks:manage are refused', async () => {
    const { call, keyOf } = await start()
    const key = await keyOf('ada', ['inference'])
    for (const path of ['/webhooks', '/webhook-events', '/webhooks/x', '/webhooks/x/deliveries']) {
      const answer = await call('GET', path, undefined, key)
      expect([answer.status, answer.body]).toMatchObject([
        403,
        { error: { code: 'api_scope_denied' } },
      ])
    }
  })
})
