import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isKey, makeKey } from '../../src/accounts/key-text.ts'
import { KeyStore, type KeyStoreOptions } from '../../src/accounts/keys.ts'
import { scopes } from '../../src/accounts/principal.ts'
import { type Clock, systemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { seededRandom, systemRandom } from '../../src/base/random.ts'
import { openStoreOn } from '../../src/storage/store.ts'
import { StubBackend } from '../storage/stub-backend.ts'

const START = 1_800_000_000_000

async function setUp(options: Partial<KeyStoreOptions> = {}) {
  const backend = new StubBackend()
  const time = { now: START }
  const clock: Clock = { ...systemClock, now: () => time.now }
  const open = async () => {
    const store = await openStoreOn(backend, { logger: silentLogger })
    const components = { store, clock, random: systemRandom, logger: silentLogger }
    const keys = await KeyStore.open(components, options)
    const close = async () => {
      await keys.close()
      await store.close()
    }
    return { store, keys, close }
  }
  return { backend, time, open, ...(await open()) }
}

/** Everything in the database, as one text. */
async function stored(backend: StubBackend): Promise<string> {
  let text = ''
  const range = { gte: new Uint8Array(0), lt: Uint8Array.of(255), reverse: false }
  for await (const row of backend.range({ ...range, limit: Number.POSITIVE_INFINITY })) {
    text += row.map((bytes) => Buffer.from(bytes).toString('latin1')).join(' = ')
  }
  return text
}

describe('the text of a key', () => {
  it('is sk-pnv- and 43 digits to the base 62, for any randomness', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
        const key = makeKey({ ...systemRandom, bytes: () => bytes })
        expect(isKey(key)).toBe(true)
        // Reading the digits back gives the bytes: no two random values share a key.
        const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
        let value = 0n
        for (const digit of key.slice(7)) value = value * 62n + BigInt(digits.indexOf(digit))
        expect(value).toBe(BigInt(`0x${Buffer.from(bytes).toString('hex')}`))
      }),
    )
  })
})

describe('a new key', () => {
  it('works at once and after a restart, for its account with its scopes', async () => {
    const { keys, close, open } = await setUp()
    const { key, record } = await keys.create({ name: ' laptop ' })
    expect(record).toEqual({
      id: expect.stringMatching(/^key_[0-9a-z]{26}$/),
      name: 'laptop',
      account: 'owner',
      scopes: scopes.filter((scope) => scope !== 'keys:manage'),
      prefix: key.slice(0, 11),
      owner: false,
      createdAt: START,
      expiresAt: null,
      revokedAt: null,
      rotatedAt: null,
      overlapEndsAt: null,
      lastUsedAt: null,
      creditLimit: null,
      rpmLimit: null,
      tpmLimit: null,
      concurrencyLimit: null,
      jurisdiction: null,
    })
    const other = await keys.create({ name: 'bot', account: 'ada', scopes: ['inference'] })
    const principal = keys.verify(other.key)
    expect(principal).toEqual({
      keyId: other.record.id,
      account: 'ada',
      scopes: new Set(['inference']),
    })
    await close()
    const again = await open()
    expect(again.keys.verify(other.key)).toEqual(principal)
    expect(again.keys.verify(key).keyId).toBe(record.id)
  })

  it('is on the disk before it is shown, and unusable until then', async () => {
    const { backend, keys } = await setUp()
    backend.held = true
    let shown = false
    const creation = keys.create({ name: 'a' }).then((made) => {
      shown = true
      return made
    })
    for (let n = 0; n < 20; n++) await Promise.resolve()
    expect(shown).toBe(false)
    expect(keys.list()).toEqual([])
    expect(backend.writes.at(-1)).toEqual({ rows: 1, sync: true })
    backend.release()
    expect(keys.verify((await creation).key).account).toBe('owner')
  })

  it('is stored only as a hash, and its record holds neither', async () => {
    const { backend, keys } = await setUp()
    const { key, record } = await keys.create({ name: 'a' })
    const text = await stored(backend)
    expect(text).toContain(record.id)
    expect(text).not.toContain(key)
    expect(text).not.toContain(key.slice(11))
    expect(JSON.stringify([record, keys.list()])).not.toMatch(/[0-9a-f]{64}/)
  })

  it('that is asked for in a wrong way is refused, naming the field', async () => {
    const { keys } = await setUp()
    const wrong = [
      [{ name: '' }, 'name'],
      [{ name: 'a\nb' }, 'name'],
      [{ name: 'x'.repeat(129) }, 'name'],
      [{ name: 'a', account: '' }, 'account'],
      [{ name: 'a', account: 'a/b' }, 'account'],
      [{ name: 'a', account: 'x'.repeat(65) }, 'account'],
      [{ name: 'a', expiresAt: START }, 'expires_at'],
      [{ name: 'a', expiresAt: Number.NaN }, 'expires_at'],
      [{ name: 'a', scopes: [] }, 'scopes'],
      [{ name: 'a', creditLimit: -1 }, 'credit_limit'],
      [{ name: 'a', creditLimit: 0.5 }, 'credit_limit'],
      [{ name: 'a', rpmLimit: 0 }, 'rpm_limit'],
      [{ name: 'a', tpmLimit: Number.NaN }, 'tpm_limit'],
      [{ name: 'a', concurrencyLimit: 2 ** 53 }, 'concurrency_limit'],
      [{ name: 'a', jurisdiction: 'XX' }, 'jurisdiction'],
    ] as const
    for (const [input, param] of wrong) {
      await expect(keys.create(input), JSON.stringify(input)).rejects.toMatchObject({ param })
    }
    await expect(keys.create({ name: 'a', scopes: ['inference', 'root'] })).rejects.toMatchObject({
      code: 'invalid_scope',
      param: 'scopes',
      message: expect.stringMatching(/"root".*models:read/),
    })
    expect(keys.list()).toEqual([])
  })
})

describe('a key that is refused', () => {
  it('unknown or malformed: says where keys are found, and repeats nothing of it', async () => {
    const { keys } = await setUp()
    const { key } = await keys.create({ name: 'a' })
    const unknown = makeKey(seededRandom(5))
    const bad = [
      '',
      'x',
      'sk-pnv-',
      unknown,
      key.slice(0, -1),
      `${key}0`,
      ` ${key}`,
      key.toUpperCase(),
    ]
    for (const text of bad) {
      const refusal = captured(() => keys.verify(text))
      expect(refusal, text).toMatchObject({ code: 'invalid_api_key' })
      expect(String(refusal)).toContain('pinaivu-peer keys list')
      expect(String(refusal)).toContain('owner.key')
      if (text.length > 10) expect(String(refusal)).not.toContain(text.slice(8))
    }
  })

  it('revoked: at once, on the disk before it is confirmed, and for ever', async () => {
    const { backend, keys, close, open, time } = await setUp()
    const { key, record } = await keys.create({ name: 'a' })
    time.now += 5
    backend.held = true
    const revocation = keys.revoke(record.id)
    expect(captured(() => keys.verify(key))).toMatchObject({ code: 'api_key_revoked' })
    backend.release()
    expect(await revocation).toMatchObject({ id: record.id, revokedAt: START + 5 })
    time.now += 5
    expect(await keys.revoke(record.id)).toMatchObject({ revokedAt: START + 5 })
    await close()
    const again = await open()
    expect(captured(() => again.keys.verify(key))).toMatchObject({ code: 'api_key_revoked' })
    await expect(again.keys.revoke('key_none')).rejects.toMatchObject({ code: 'key_not_found' })
  })

  it('revoked stays refused in memory even when the disk fails', async () => {
    const { backend, keys } = await setUp()
    const { key, record } = await keys.create({ name: 'a' })
    backend.failNext = { error: new Error('EIO'), rowsWritten: false }
    await expect(keys.revoke(record.id)).rejects.toMatchObject({ code: 'storage_failed' })
    expect(captured(() => keys.verify(key))).toMatchObject({ code: 'api_key_revoked' })
  })

  it('expired: from that millisecond on', async () => {
    const { keys, time } = await setUp()
    const { key } = await keys.create({ name: 'a', expiresAt: START + 1000 })
    time.now = START + 999
    expect(keys.verify(key).account).toBe('owner')
    time.now = START + 1000
    expect(captured(() => keys.verify(key))).toMatchObject({ code: 'api_key_expired' })
  })
})

describe('the last use of a key', () => {
  it('is written rarely, without fsync, and at the end', async () => {
    const { backend, keys, time, close, open } = await setUp()
    const { key, record } = await keys.create({ name: 'a' })
    const { record: unused } = await keys.create({ name: 'b' })
    backend.writes.length = 0
    for (let n = 0; n < 1000; n++) {
      time.now += 100
      keys.verify(key)
    }
    expect(backend.writes).toEqual([
      { rows: 1, sync: false },
      { rows: 1, sync: false },
    ])
    expect(keys.get(record.id).lastUsedAt).toBe(START + 100_000)
    await close()
    const again = await open()
    const used = again.keys.list().find((record) => record.id !== unused.id)
    expect(used?.lastUsedAt).toBe(START + 100_000)
    expect(again.keys.list().find((record) => record.id === unused.id)?.lastUsedAt).toBe(null)
  })

  it('that cannot be written harms nothing', async () => {
    const { backend, keys } = await setUp()
    const { key } = await keys.create({ name: 'a' })
    backend.failNext = { error: new Error('ENOSPC'), rowsWritten: false }
    expect(keys.verify(key).account).toBe('owner')
    await keys.close()
    expect(keys.verify(key).account).toBe('owner')
  })
})

describe('many keys', () => {
  it('are limited; keys of no more use make room, the oldest first', async () => {
    const { keys, time, close, open } = await setUp({ keysMax: 3 })
    const first = await keys.create({ name: '1' })
    time.now += 1
    const second = await keys.create({ name: '2', expiresAt: START + 10 })
    time.now += 1
    await keys.create({ name: '3' })
    await expect(keys.create({ name: '4' })).rejects.toMatchObject({ code: 'too_many_keys' })
    time.now = START + 10
    await keys.create({ name: '4' })
    expect(captured(() => keys.verify(second.key))).toMatchObject({ code: 'invalid_api_key' })
    await keys.revoke(first.record.id)
    time.now += 1
    const both = await Promise.allSettled([keys.create({ name: '5' }), keys.create({ name: '6' })])
    expect(both.map((outcome) => outcome.status)).toEqual(['fulfilled', 'rejected'])
    await close()
    const names = (await open()).keys.list().map((record) => record.name)
    expect(names).toEqual(['3', '4', '5'])
  })

  it('of one account leave room for those of others', async () => {
    const { keys, time } = await setUp({ accountKeysMax: 2 })
    const make = (account: string, name = account) => keys.create({ name, account })
    const gone = await make('bob')
    await keys.revoke(gone.record.id)
    const first = await make('ann', '1')
    await make('ann', '2')
    await expect(make('ann', '3')).rejects.toMatchObject({ code: 'too_many_keys' })
    await make('bob')
    for (let n = 0; n < 3; n++) await make('owner')
    time.now += 1
    await keys.revoke(first.record.id)
    await make('ann', '3')
    expect(keys.list('ann').map(({ name }) => name)).toEqual(['2', '3'])
    expect(keys.list('bob').length).toBe(2)
  })

  it('a damaged row is a typed error at opening', async () => {
    const { store, keys, close, open } = await setUp()
    const { record } = await keys.create({ name: 'a' })
    const raw = store.table('api-keys', {
      key: { encode: (text: string) => new TextEncoder().encode(text), decode: String },
      value: { encode: (text: string) => new TextEncoder().encode(text), decode: String },
    })
    await raw.put(record.id, '{"id":"key_1","scopes":["everything"]}')
    await close()
    await expect(open()).rejects.toMatchObject({
      code: 'storage_row_invalid',
      table: 'api-keys',
      key: record.id,
    })
  })
})

function captured(call: () => unknown): unknown {
  try {
    return call()
  } catch (error) {
    return error
  }
}
