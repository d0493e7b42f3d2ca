import { describe, expect, it } from 'vitest'
import { makeKey } from '../../src/accounts/key-text.ts'
import { KeyStore } from '../../src/accounts/keys.ts'
import { defaultScopes, scopes } from '../../src/accounts/principal.ts'
import { keyRoutes } from '../../src/api/keys.ts'
import { mounted } from '../../src/api/route.ts'
import { systemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { seededRandom } from '../../src/base/random.ts'
import { openMemoryStore } from '../../src/storage/store.ts'
import { json, startServer } from './harness.ts'

interface KeyJson {
  id: string
  key: string
  account: string
  scopes: string[]
}

async function start() {
  const random = seededRandom(1)
  const store = await openMemoryStore({ logger: silentLogger })
  const keys = await KeyStore.open({ store, clock: systemClock, random, logger: silentLogger })
  const ownerKey = makeKey(random)
  await keys.adoptOwner(ownerKey)
  const { url } = await startServer([mounted(keyRoutes({ keys }), '/api/v1')], { keys })
  const as = (key: string) => ({ authorization: `Bearer ${key}`, ...json })
  const create = (body: unknown, key = ownerKey) =>
    fetch(`${url}/api/v1/auth/api-keys`, {
      method: 'POST',
      headers: as(key),
      body: JSON.stringify(body),
    })
  const created = async (body: unknown, key = ownerKey) =>
    (await (await create(body, key)).json()) as KeyJson
  const list = async (key: string) => {
    const answer = await fetch(`${url}/api/v1/auth/api-keys`, { headers: as(key) })
    return { status: answer.status, body: (await answer.json()) as { data: KeyJson[] } }
  }
  const me = (key: string) => fetch(`${url}/api/v1/auth/me`, { headers: as(key) })
  return { ownerKey, create, created, list, me }
}

describe('POST /api/v1/auth/api-keys', () => {
  it('makes a key that works, shown this once', async () => {
    const { create, list, me, ownerKey } = await start()
    const answer = await create({ name: 'laptop' })
    expect(answer.status).toBe(201)
    expect(answer.headers.get('cache-control')).toBe('no-store')
    const made = (await answer.json()) as KeyJson
    expect(made).toMatchObject({
      object: 'api_key',
      id: expect.stringMatching(/^key_[0-9a-z]{26}$/),
      key: expect.stringMatching(/^sk-pnv-[0-9A-Za-z]{43}$/),
      name: 'laptop',
      account: 'owner',
      scopes: defaultScopes,
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      last_used_at: null,
      expires_at: null,
      revoked_at: null,
    })
    expect(made.key.startsWith((made as KeyJson & { prefix: string }).prefix)).toBe(true)
    expect((await me(made.key)).status).toBe(200)
    expect(JSON.stringify(await list(ownerKey))).not.toContain(made.key)
  })

  it('takes an account, scopes and an end', async () => {
    const { created, me } = await start()
    const made = await created({
      name: 'bot',
      account: 'team-a',
      scopes: ['inference'],
      expires_at: '2999-01-01T00:00:00Z',
    })
    expect(made).toMatchObject({
      account: 'team-a',
      scopes: ['inference'],
      expires_at: '2999-01-01T00:00:00.000Z',
    })
    expect(await (await me(made.key)).json()).toMatchObject({
      object: 'me',
      account: 'team-a',
      key: { id: made.id, last_used_at: expect.any(String) },
    })
  })

  it.each([
    [{ name: 'x', credit_limit: -5 }, 'invalid_value', /credit_limit/],
    [{ name: 'x', rpm_limit: 0 }, 'invalid_value', /rpm_limit/],
    [{ name: 'x', tpm_limit: 1.5 }, 'invalid_type', /tpm_limit/],
    [{ name: 'x', concurrency_limit: '1' }, 'invalid_type', /concurrency_limit/],
    [{ name: 'x', jurisdiction: 'Atlantis' }, 'invalid_jurisdiction', /DE or CA, or EU/],
    [{ name: 'x', toString: 5 }, 'unknown_parameter', /toString/],
    [{ name: 'x', scopes: ['inference', 'root'] }, 'invalid_scope', /root/],
    [{ name: 'x', scopes: [] }, 'invalid_scope', /scope/],
    [{ name: 'x', expires_at: 'tomorrow' }, 'invalid_value', /expires_at/],
    [{ name: 'x', expires_at: '2001-01-01T00:00:00Z' }, 'invalid_value', /future/],
    [{ name: 'x', account: '../etc' }, 'invalid_value', /account/],
    [{ name: '' }, 'invalid_value', /name/],
    [{ name: 7 }, 'invalid_type', /name/],
    [{}, 'missing_required_parameter', /name/],
  ])('%j is a 400', async (body, code, message) => {
    const { create } = await start()
    const answer = await create(body)
    expect(answer.status).toBe(400)
    const { error } = (await answer.json()) as { error: { code: string; message: string } }
    expect(error.code).toBe(code)
    expect(error.message).toMatch(message)
  })

  it('lets nobody hand on more than they hold', async () => {
    const { create, created } = await start()
    const manager = await created({
      name: 'manager',
      account: 'team-a',
      scopes: ['inference', 'keys:manage'],
    })
    for (const body of [
      { name: 'x', account: 'owner' },
      { name: 'x', scopes: ['files:read'] },
    ]) {
      const answer = await create(body, manager.key)
      expect(answer.status).toBe(403)
      expect(await answer.json()).toMatchObject({ error: { code: 'api_scope_denied' } })
    }
    expect(await created({ name: 'x' }, manager.key)).toMatchObject({
      account: 'team-a',
      scopes: ['inference'],
    })
  })

  it('needs the scope keys:manage', async () => {
    const { create, created, list } = await start()
    const plain = await created({ name: 'plain' })
    expect((await create({ name: 'x' }, plain.key)).status).toBe(403)
    expect((await list(plain.key)).status).toBe(403)
  })
})

describe('GET /api/v1/auth/api-keys', () => {
  it('shows the owner all keys, another account its own', async () => {
    const { ownerKey, created, list } = await start()
    const manager = await created({ name: 'm', account: 'team-a', scopes: ['keys:manage'] })
    await created({ name: 'other', account: 'team-b' })
    const all = await list(ownerKey)
    expect(all.body).toMatchObject({ object: 'list' })
    expect(all.body.data.map(({ account }) => account)).toEqual(['team-b', 'team-a', 'owner'])
    expect(all.body.data[2]?.scopes).toEqual([...scopes])
    expect((await list(manager.key)).body.data.map(({ id }) => id)).toEqual([manager.id])
  })
})
