import { describe, expect, it } from 'vitest'
import { Idempotency } from '../../src/accounts/idempotency/idempotency.ts'
import { makeKey } from '../../src/accounts/key-text.ts'
import { KeyStore } from '../../src/accounts/keys.ts'
import { keyRoutes } from '../../src/api/keys.ts'
import { mounted } from '../../src/api/route.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { seededRandom } from '../../src/base/random.ts'
import { MemoryBackend } from '../../src/storage/memory-backend.ts'
import { openStoreOn } from '../../src/storage/store.ts'
import { FakeClock } from '../base/fake-clock.ts'
import { json, startServer } from './harness.ts'

interface KeyJson {
  id: string
  key: string
  account: string
  [field: string]: unknown
}

async function start() {
  const random = seededRandom(1)
  const clock = new FakeClock()
  const backend = new MemoryBackend()
  const store = await openStoreOn(backend, { logger: silentLogger })
  const parts = { store, clock, random, logger: silentLogger }
  const keys = await KeyStore.open(parts)
  const idempotency = new Idempotency({ ...parts, wasSettled: async () => false })
  const ownerKey = makeKey(random)
  const { id: ownerKeyId } = await keys.adoptOwner(ownerKey)
  const { url } = await startServer([mounted(keyRoutes({ keys }), '/api/v1')], {
    keys,
    idempotency,
  })
  const ask = async (
    method: string,
    path: string,
    key = ownerKey,
    body?: unknown,
    more: object = {},
  ) => {
    const answer = await fetch(`${url}/api/v1/auth/${path}`, {
      method,
      headers: { 'x-api-key': key, ...(body === undefined ? {} : json), ...more },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    return { status: answer.status, headers: answer.headers, text: await answer.text() }
  }
  const created = async (body: object, key = ownerKey) => {
    const { status, text } = await ask('POST', 'api-keys', key, { name: 'x', ...body })
    expect(status, text).toBe(201)
    return JSON.parse(text) as KeyJson
  }
  const manager = (account: string, more: object = {}) =>
    created({ account, scopes: ['inference', 'keys:manage'], ...more })
  return { backend, clock, ownerKey, ownerKeyId, ask, created, manager }
}

describe('POST /api/v1/auth/api-keys/{id}/rotate', () => {
  it('shows another key with the same id and limits, once; both work for a day', async () => {
    const { ask, created, clock } = await start()
    const made = await created({ account: 'ada', rpm_limit: 60, jurisdiction: 'de' })
    const answer = await ask('POST', `api-keys/${made.id}/rotate`)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('cache-control')).toBe('no-store')
    const rotated = JSON.parse(answer.text) as KeyJson
    expect(rotated).toEqual({
      ...made,
      key: expect.stringMatching(/^sk-pnv-[0-9A-Za-z]{43}$/),
      prefix: rotated.key.slice(0, 11),
      jurisdiction: 'DE',
      rotated_at: new Date(clock.now()).toISOString(),
      overlap_ends_at: new Date(clock.now() + 86_400_000).toISOString(),
    })
    for (const { key } of [made, rotated]) expect((await ask('GET', 'me', key)).status).toBe(200)
    await clock.advance(86_400_000)
    const late = await ask('GET', 'me', made.key)
    expect([late.status, late.text]).toEqual([401, expect.stringContaining('api_key_expired')])
    expect((await ask('GET', 'me', rotated.key)).status).toBe(200)
  })

  it('takes how long the old one works, 0 too', async () => {
    const { ask, created } = await start()
    const made = await created({})
    const path = `api-keys/${made.id}/rotate`
    expect((await ask('POST', path, undefined, { overlap_seconds: 0 })).status).toBe(200)
    expect((await ask('GET', 'me', made.key)).status).toBe(401)
    for (const overlap_seconds of [-1, 31 * 86_400, '1', null]) {
      expect((await ask('POST', path, undefined, { overlap_seconds })).status).toBe(400)
    }
  })

  it('of a key that can do more than the caller’s is a 403, and changes nothing', async () => {
    const { ask, created, manager } = await start()
    const { key } = await manager('ada', { rpm_limit: 10 })
    for (const more of [{ scopes: ['inference', 'files:read'] }, { rpm_limit: 11 }, {}]) {
      const strong = await created({ account: 'ada', scopes: ['inference'], ...more })
      const answer = await ask('POST', `api-keys/${strong.id}/rotate`, key)
      expect([answer.status, answer.text]).toEqual([
        403,
        expect.stringContaining('api_scope_denied'),
      ])
      expect((await ask('GET', 'me', strong.key)).status).toBe(200)
    }
    const weak = await created({ account: 'ada', scopes: ['inference'], rpm_limit: 10 })
    expect((await ask('POST', `api-keys/${weak.id}/rotate`, key)).status).toBe(200)
  })
})

describe('DELETE /api/v1/auth/api-keys/{id}', () => {
  it('ends a key at once and for ever; again says the same', async () => {
    const { ask, created, clock } = await start()
    const made = await created({})
    const first = await ask('DELETE', `api-keys/${made.id}`)
    const revoked_at = new Date(clock.now()).toISOString()
    expect(JSON.parse(first.text)).toMatchObject({ id: made.id, deleted: true, revoked_at })
    await clock.advance(1000)
    const again = await ask('DELETE', `api-keys/${made.id}`)
    expect([again.status, again.text]).toEqual([200, first.text])
    const { status, text } = await ask('GET', 'me', made.key)
    expect([status, text]).toEqual([401, expect.stringContaining('api_key_revoked')])
  })

  it("of the owner's key is a 409 that says what to do", async () => {
    const { ask, ownerKeyId } = await start()
    for (const [method, path] of [
      ['DELETE', `api-keys/${ownerKeyId}`],
      ['POST', `api-keys/${ownerKeyId}/rotate`],
    ] as const) {
      const { status, text } = await ask(method, path)
      expect([status, text]).toEqual([409, expect.stringContaining('owner.key')])
    }
  })
})

describe('the keys of another account', () => {
  it('can’t be told from keys that never were', async () => {
    const { ask, created, manager, ownerKeyId } = await start()
    const { key } = await manager('ada')
    const theirs = await created({ account: 'bob' })
    const never = `key_${'0'.repeat(26)}`
    const told = async (method: string, id: string, tail = '') => {
      const { status, text } = await ask(method, `api-keys/${id}${tail}`, key)
      return [status, text.replace(/req_\w+/, 'req')]
    }
    for (const id of [theirs.id, ownerKeyId, 'x', '%00', never]) {
      for (const [method, tail] of [
        ['DELETE', ''],
        ['POST', '/rotate'],
      ] as const) {
        expect(await told(method, id, tail)).toEqual(await told(method, never, tail))
        expect((await told(method, id, tail))[0]).toBe(404)
      }
    }
    expect((await ask('GET', 'me', theirs.key)).status).toBe(200)
  })

  it('are the owner’s to manage', async () => {
    const { ask, created } = await start()
    const { id } = await created({ account: 'bob' })
    expect((await ask('POST', `api-keys/${id}/rotate`)).status).toBe(200)
    expect((await ask('DELETE', `api-keys/${id}`)).status).toBe(200)
  })
})

describe('whoever makes keys', () => {
  it('hands out no more than their own key has, and as much where they say nothing', async () => {
    const { ask, created, manager, clock } = await start()
    const inAnHour = new Date(clock.now() + 3_600_000).toISOString()
    const limits = { credit_limit: 9, rpm_limit: 80, tpm_limit: 7, concurrency_limit: 6 }
    const { key } = await manager('ada', { ...limits, jurisdiction: 'FR', expires_at: inAnHour })
    const same = { ...limits, jurisdiction: 'FR', expires_at: inAnHour, account: 'ada' }
    expect(await created({}, key)).toMatchObject({ ...same, scopes: ['inference'] })
    const nulls = Object.fromEntries(Object.keys(same).map((name) => [name, null]))
    expect(await created(nulls, key)).toMatchObject(same)
    const less = { credit_limit: 0, rpm_limit: 1, tpm_limit: 1, concurrency_limit: 1 }
    expect(await created(less, key)).toMatchObject(less)
    for (const more of [
      { credit_limit: 10 },
      { rpm_limit: 81 },
      { tpm_limit: 8 },
      { concurrency_limit: 7 },
      { expires_at: new Date(clock.now() + 3_600_001).toISOString() },
      { scopes: ['credits:read'] },
      { account: 'bob' },
    ]) {
      const { status } = await ask('POST', 'api-keys', key, { name: 'x', ...more })
      expect([more, status]).toEqual([more, 403])
    }
  })
})

describe('GET /api/v1/auth/api-keys', () => {
  it('comes in pages', async () => {
    const { ask, created, manager, clock } = await start()
    const { key, id } = await manager('ada')
    const ids = [id]
    for (let n = 0; n < 4; n++) {
      await clock.advance(1)
      ids.push((await created({ account: 'ada' })).id)
      await created({ account: 'bob' })
    }
    const page = async (query: string) => {
      const { text } = await ask('GET', `api-keys?${query}`, key)
      const { data, has_more } = JSON.parse(text) as { data: KeyJson[]; has_more: boolean }
      return [data.map((each) => each.id), has_more]
    }
    expect(await page('order=asc')).toEqual([ids, false])
    expect(await page('limit=2')).toEqual([[ids[4], ids[3]], true])
    expect(await page(`limit=3&after=${ids[3]}`)).toEqual([[ids[2], ids[1], ids[0]], false])
    expect((await ask('GET', 'api-keys?limit=0', key)).status).toBe(400)
  })
})

describe('a key that is asked for twice with one Idempotency-Key', () => {
  it('is made once and shown twice, and its text is nowhere on the disk', async () => {
    const { ask, created, ownerKey, backend } = await start()
    const more = { 'idempotency-key': 'a' }
    for (const path of ['api-keys', `api-keys/${(await created({})).id}/rotate`]) {
      const body = path === 'api-keys' ? { name: 'twice' } : {}
      const first = await ask('POST', path, ownerKey, body, more)
      const second = await ask('POST', path, ownerKey, body, more)
      expect(second.headers.get('idempotency-replayed')).toBe('true')
      expect([second.status, second.text]).toEqual([first.status, first.text])
      const { key } = JSON.parse(first.text) as KeyJson
      expect((await ask('GET', 'me', key)).status).toBe(200)
      const range = { gte: new Uint8Array(0), lt: Uint8Array.of(255), reverse: false }
      for await (const row of backend.range({ ...range, limit: 1000, signal: undefined })) {
        expect(Buffer.concat(row).toString('latin1')).not.toContain(key.slice(11))
      }
    }
    const list = await ask('GET', 'api-keys')
    expect(list.text.match(/"twice"/g)).toHaveLength(1)
  })

  it('is not shown to another key of the account', async () => {
    const { ask, manager, ownerKey } = await start()
    const [one, two] = [await manager('ada'), await manager('ada')]
    const more = { 'idempotency-key': 'a' }
    const send = (key: string) => ask('POST', 'api-keys', key, { name: 'x' }, more)
    const first = await send(one.key)
    const other = await send(two.key)
    expect(first.status).toBe(201)
    expect([other.status, other.text]).toEqual([
      409,
      expect.stringContaining('idempotency_answer_not_kept'),
    ])
    expect((await send(ownerKey)).status).toBe(201)
  })
})
