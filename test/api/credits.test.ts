import { describe, expect, it } from 'vitest'
import { Ledger, OWNER_GRANT } from '../../src/accounts/ledger/ledger.ts'
import { type Principal, scopes } from '../../src/accounts/principal.ts'
import { Usage } from '../../src/accounts/usage/usage.ts'
import { usageRoutes } from '../../src/api/openai/usage.ts'
import { creditRoutes } from '../../src/api/product/credits.ts'
import { mounted } from '../../src/api/route.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { Owed } from '../../src/market/owed.ts'
import { Dues } from '../../src/market/serve/dues.ts'
import { openMemoryStore } from '../../src/storage/store.ts'
import { emptyLog } from '../accounts/ledger/audited-log.ts'
import { FAKE_EPOCH, FakeClock, settled } from '../base/fake-clock.ts'
import { type ErrorBody, json, startServer, stubKeys } from './harness.ts'

const principal = (account: string, more: Partial<Principal> = {}): Principal => ({
  keyId: `key_${account}`,
  account,
  scopes: new Set(scopes),
  ...more,
})

const people: Record<string, Principal> = {
  'sk-owner': principal('owner'),
  'sk-alice': principal('alice'),
  'sk-limited': principal('alice', { keyId: 'key_limited', creditLimit: 30 }),
  'sk-helper': principal('owner', { scopes: new Set(['credits:read', 'usage:read']) }),
}

async function start() {
  const clock = new FakeClock()
  const store = await openMemoryStore({ logger: silentLogger })
  const ledger = await Ledger.open({ store, clock })
  const usage = new Usage({ store, clock, logger: silentLogger })
  const till = { ledger, usage }
  const parts = { till, store, clock, log: emptyLog }
  const keys = { verify: (secret: string) => people[secret] ?? stubKeys.verify(secret) }
  const routes = [mounted(creditRoutes(parts), '/api/v1'), mounted(usageRoutes(parts), '/v1')]
  const { url } = await startServer(routes, { keys })
  const call = async (who: string, path: string, body?: unknown) => {
    const headers = { authorization: `Bearer sk-${who}`, ...json }
    const init = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }
    const answer = await fetch(url + path, { headers, ...init })
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
  }
  const grant = (body: unknown, who = 'owner') => call(who, '/api/v1/credits/grants', body)
  const spend = async (account: string, amount: number) => {
    const rows = store.batch()
    const payees = [{ peerId: undefined, amount }]
    ledger
      .reserve({ account, keyId: `key_${account}` }, amount)
      .settle({ jobId: `job_${amount}`, amount, payees, model: 'm' }, rows)
    await store.commit(rows)
  }
  return { clock, store, ledger, usage, call, grant, spend }
}

describe('GET /api/v1/credits', () => {
  it('says what a key could spend', async () => {
    const { call, grant, ledger } = await start()
    expect((await call('owner', '/api/v1/credits')).body).toMatchObject({
      ...{ account: 'owner', current_credits: OWNER_GRANT },
      ...{ reserved_credits: 0, available_credits: OWNER_GRANT },
    })
    expect((await call('alice', '/api/v1/credits')).body).toMatchObject({ current_credits: 0 })
    await grant({ account: 'alice', amount: 100 })
    ledger.reserve({ account: 'alice', keyId: 'key_limited', creditLimit: 30 }, 20)
    const credits = (current: number, reserved: number, available: number) => ({
      current_credits: current,
      reserved_credits: reserved,
      available_credits: available,
    })
    expect((await call('alice', '/api/v1/credits')).body).toMatchObject(credits(100, 20, 80))
    expect((await call('limited', '/api/v1/credits')).body).toMatchObject(credits(30, 20, 10))
    const ofAlice = await call('owner', '/api/v1/credits?account=alice')
    expect(ofAlice.body).toMatchObject({ account: 'alice', ...credits(100, 20, 80) })
  })
})

describe("another account's credits", () => {
  const paths = [
    ['/api/v1/credits?account=%s', 'alice'],
    ['/api/v1/credits/ledger?account=%s', 'alice'],
    ['/v1/usage?account=%s', 'alice'],
  ]

  it.each(paths)('are not shown by %s, whether there is one or not', async (path) => {
    const { call, grant } = await start()
    await grant({ account: 'bob', amount: 100 })
    const answers = await Promise.all(
      ['bob', 'nobody', 'owner'].map((each) => call('alice', path.replace('%s', each))),
    )
    for (const { status, body } of answers) {
      expect(status).toBe(403)
      expect(JSON.stringify(body)).not.toMatch(/bob|nobody/)
    }
    // Nor to a key of the owner's that may not manage.
    expect((await call('helper', path.replace('%s', 'bob'))).status).toBe(403)
    expect((await call('owner', path.replace('%s', 'bob'))).status).toBe(200)
    expect((await call('owner', path.replace('%s', 'b'.repeat(2_000)))).status).toBe(400)
  })

  it('are not granted, audited or told by others than the owner', async () => {
    const { call, grant } = await start()
    for (const who of ['alice', 'helper']) {
      expect((await grant({ account: who, amount: 5 }, who)).status).toBe(403)
      expect((await call(who, '/api/v1/credits/audit')).status).toBe(403)
      expect((await call(who, '/api/v1/credits/owed')).status).toBe(403)
    }
    expect((await call('alice', '/api/v1/credits')).body).toMatchObject({ current_credits: 0 })
  })
})

describe('POST /api/v1/credits/grants', () => {
  it('grants credits, with an end if wanted', async () => {
    const { grant } = await start()
    const end = new Date(FAKE_EPOCH + 1_000).toISOString()
    const { status, body } = await grant({ account: 'alice', amount: 50, expires_at: end })
    expect(status).toBe(201)
    expect(body).toMatchObject({
      ...{ id: 'txn_0000000000000001', object: 'credit_transaction', type: 'grant' },
      ...{ account: 'alice', amount: 50, balance: 50, expires_at: end, job_id: null },
      postings: [
        { account: 'issued', amount: -50 },
        { account: 'wallet:alice', amount: 50 },
      ],
    })
  })

  it.each([
    [{ account: 'alice', amount: 0 }, 400],
    [{ account: 'alice', amount: 1.5 }, 400],
    [{ account: 'alice', amount: '5' }, 400],
    [{ account: 'a b', amount: 5 }, 400],
    [{ account: 'alice', amount: 5, expires_at: '2000-01-01T00:00:00Z' }, 400],
    [{ account: 'alice', amount: 5, currency: 'EUR' }, 400],
    [{ amount: 5 }, 400],
  ])('refuses %j', async (body, status) => {
    const { grant, call } = await start()
    expect((await grant(body)).status).toBe(status)
    expect((await call('owner', '/api/v1/credits?account=alice')).body.current_credits).toBe(0)
  })

  it('says where it is too much', async () => {
    const { grant } = await start()
    await grant({ account: 'alice', amount: 1_000_000_000_000_000 })
    const { status, body } = await grant({ account: 'alice', amount: 1 })
    expect(status).toBe(409)
    expect((body as unknown as ErrorBody).error.code).toBe('too_many_credits')
  })
})

describe('GET /api/v1/credits/ledger', () => {
  it('lists what happened, the newest first, in pages', async () => {
    const { call, grant, spend } = await start()
    await grant({ account: 'alice', amount: 100 })
    for (const amount of [1, 2, 3]) await spend('alice', amount)
    const page = async (query: string) => {
      const { body } = await call('alice', `/api/v1/credits/ledger?${query}`)
      const { data, ...rest } = body as { data: { id: string; amount: number }[] }
      return { amounts: data.map(({ amount }) => amount), ...(rest as { last_id: string }) }
    }
    const first = await page('limit=3')
    expect(first).toMatchObject({ amounts: [-3, -2, -1], has_more: true })
    const second = await page(`limit=3&after=${first.last_id}`)
    expect(second).toMatchObject({ amounts: [100], has_more: false })
    expect((await page('order=asc')).amounts).toEqual([100, -1, -2, -3])
    expect((await page('after=txn_0')).amounts).toEqual([])
    expect((await call('alice', '/api/v1/credits/ledger?limit=0')).status).toBe(400)
    expect((await call('owner', '/api/v1/credits/ledger')).body).toMatchObject({
      data: [{ type: 'grant', amount: OWNER_GRANT }],
    })
  })
})

describe('GET /api/v1/credits/audit', () => {
  it('adds everything up', async () => {
    const { call, grant, spend } = await start()
    await grant({ account: 'alice', amount: 100 })
    await spend('alice', 40)
    expect((await call('owner', '/api/v1/credits/audit')).body).toEqual({
      ...{ object: 'credits.audit', ok: true, sum: 0, accounts: 2, entries: 3, problems: [] },
      charges: { matched: 0, without_entry: 1, missing: 0 },
      balances: {
        ...{ wallets: OWNER_GRANT + 60, issued: -OWNER_GRANT - 100, earned: 40 },
        ...{ owed: 0, expired: 0, borne: 0 },
      },
    })
  })
})

describe('GET /api/v1/credits/owed', () => {
  it('shows both sides of every peer', async () => {
    const { call, store } = await start()
    const owed = new Owed({ store })
    const log = { append: async (_: unknown, { rows = store.batch() }) => store.commit(rows) }
    const dues = new Dues({ store, log: log as never }, { price: { input: 1, output: 1 } })
    const rows = store.batch()
    for (const peer of ['a', 'c', 'd']) await owed.add(`12D3Koo${peer}`, 7, rows)
    await store.commit(rows)
    for (const peer of ['b', 'c']) await dues.acknowledged(`12D3Koo${peer}`, 5)
    const { body } = await call('owner', '/api/v1/credits/owed?order=asc')
    expect(body.data).toMatchObject([
      { id: '12D3Kooa', owed_to_peer: 7, owed_by_peer: 0, acknowledged_by_peer: 0 },
      { id: '12D3Koob', owed_to_peer: 0 },
      { id: '12D3Kooc', owed_to_peer: 7 },
      { id: '12D3Kood', owed_to_peer: 7 },
    ])
    const last = await call('owner', '/api/v1/credits/owed?limit=2')
    expect(last.body).toMatchObject({ data: [{ id: '12D3Kood' }, { id: '12D3Kooc' }] })
    const next = await call('owner', '/api/v1/credits/owed?limit=2&after=12D3Kooc')
    expect(next.body).toMatchObject({ data: [{ id: '12D3Koob' }, { id: '12D3Kooa' }] })
  })
})

describe('GET /v1/usage', () => {
  async function used() {
    const all = await start()
    const { usage, store, clock } = all
    const work = async (account: string, keyId: string, model: string, tokens: number) => {
      const counting = usage.count({ account, keyId, model })
      await counting.ready
      const rows = store.batch()
      counting.worked({ inputTokens: tokens, cachedTokens: 1, outputTokens: 2, cost: 3 }, rows)
      await store.commit(rows)
      counting.leave()
    }
    // FAKE_EPOCH is 2027-01-15.
    await work('alice', 'key_1', 'm', 10)
    await work('alice', 'key_1', 'm', 10)
    await clock.advance(24 * 3_600_000)
    await work('alice', 'key_2', 'm', 10)
    await work('alice', 'key_2', 'n', 10)
    await work('bob', 'key_3', 'm', 10)
    const counting = usage.count({ account: 'alice', keyId: 'key_2', model: 'n' })
    await counting.ready
    counting.failed({ isCounted: false })
    counting.leave()
    return all
  }

  it('adds up what an account used: in all, by model, by day, by key', async () => {
    const { call } = await used()
    const counts = (requests: number, failed: number) => {
      const worked = requests - failed
      return {
        ...{ requests, failed_requests: failed, tokens: 12 * worked, input_tokens: 10 * worked },
        ...{ cached_tokens: worked, output_tokens: 2 * worked, cost: 3 * worked },
      }
    }
    const { status, body } = await call('alice', '/v1/usage')
    expect(status).toBe(200)
    expect(body).toMatchObject({
      ...{ object: 'usage', account: 'alice', start_date: '2026-12-18', end_date: '2027-01-16' },
      ...{ total_requests: 5, failed_requests: 1, total_tokens: 48, total_input_tokens: 40 },
      ...{ total_cached_tokens: 4, total_output_tokens: 8, total_cost: 12 },
      by_model: [
        { model: 'm', ...counts(3, 0) },
        { model: 'n', ...counts(2, 1) },
      ],
      by_day: [
        { date: '2027-01-15', ...counts(2, 0) },
        { date: '2027-01-16', ...counts(3, 1) },
      ],
      by_key: [
        { key_id: 'key_1', ...counts(2, 0) },
        { key_id: 'key_2', ...counts(3, 1) },
      ],
      request_id: expect.stringMatching(/^req_/),
    })
  })

  it.each([
    ['days=1', 3],
    ['model=m', 3],
    ['model=m&days=1', 1],
    ['end_date=2027-01-15', 2],
    ['start_date=2027-01-16&end_date=2027-01-16', 3],
    ['start_date=2027-01-17&end_date=2027-01-18', 0],
    ['model=x', 0],
  ])('of %s', async (query, requests) => {
    const { call } = await used()
    expect((await call('alice', `/v1/usage?${query}`)).body.total_requests).toBe(requests)
  })

  it.each([
    'days=0',
    'days=401',
    'days=x',
    'days=1&start_date=2027-01-01',
    'start_date=2027-02-31',
    'start_date=yesterday',
    'start_date=2027-01-16&end_date=2027-01-15',
    'start_date=2025-01-01',
    'month=1',
  ])('refuses %s', async (query) => {
    const { call } = await start()
    expect((await call('alice', `/v1/usage?${query}`)).status).toBe(400)
  })

  it('keeps what failed after a second, and forgets after 400 days', async () => {
    const { usage, store, clock, call } = await used()
    await clock.advance(1_000)
    await settled()
    const again = new Usage({ store, clock, logger: silentLogger })
    const rows = []
    const days = { from: '2027-01-01', to: '2027-12-31' }
    for await (const row of again.between('alice', days, new AbortController())) rows.push(row)
    expect(rows.map(([, { failed }]) => failed)).toEqual([0, 0, 1])
    await clock.advance(402 * 24 * 3_600_000)
    const counting = usage.count({ account: 'alice', keyId: 'key_1', model: 'm' })
    await counting.ready
    counting.leave()
    const old = await call('alice', '/v1/usage?start_date=2027-01-01&end_date=2027-02-01')
    expect(old.body.total_requests).toBe(0)
    const bobs = await call(
      'owner',
      '/v1/usage?start_date=2027-01-01&end_date=2027-02-01&account=bob',
    )
    expect(bobs.body.total_requests).toBe(1)
  })
})
