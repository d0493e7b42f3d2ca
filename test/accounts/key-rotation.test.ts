import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { AccountEvent, Emit } from '../../src/accounts/events.ts'
import { KeyStore, OVERLAP_MS } from '../../src/accounts/keys.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { systemRandom } from '../../src/base/random.ts'
import { textKey } from '../../src/storage/codec.ts'
import { openStoreOn } from '../../src/storage/store.ts'
import { FakeClock } from '../base/fake-clock.ts'
import { StubBackend } from '../storage/stub-backend.ts'

async function setUp(emit?: Emit) {
  const backend = new StubBackend()
  const clock = new FakeClock()
  const open = async () => {
    const store = await openStoreOn(backend, { logger: silentLogger })
    const components = { store, clock, random: systemRandom, logger: silentLogger }
    const keys = await KeyStore.open({ ...components, ...(emit && { emit }) })
    const close = async () => {
      await keys.close()
      await store.close()
    }
    return { store, keys, close }
  }
  return { backend, clock, open, ...(await open()) }
}

const codeOf = (call: () => unknown): string => {
  try {
    call()
  } catch (error) {
    return (error as { code: string }).code
  }
  return 'none'
}

describe('a rotated key', () => {
  it('has another secret, and keeps its id, rights and limits; the old one works for a day', async () => {
    const { keys, clock, close, open } = await setUp()
    const limits = { creditLimit: 5, rpmLimit: 6, tpmLimit: 7, concurrencyLimit: 8 }
    const made = await keys.create({ name: 'a', account: 'ada', ...limits, jurisdiction: 'eu' })
    const { key, record } = await keys.rotate(made.record.id)
    expect(key).not.toBe(made.key)
    expect(record).toEqual({
      ...{ ...made.record, jurisdiction: 'EU', prefix: key.slice(0, 11) },
      ...{ rotatedAt: clock.now(), overlapEndsAt: clock.now() + OVERLAP_MS },
    })
    const principal = {
      keyId: record.id,
      account: 'ada',
      scopes: new Set(record.scopes),
      limits: { requestsPerMinute: 6, tokensPerMinute: 7, concurrency: 8 },
      creditLimit: 5,
      jurisdiction: 'EU',
    }
    for (const secret of [key, made.key]) expect(keys.verify(secret)).toEqual(principal)
    await close()
    const again = (await open()).keys
    await clock.advance(OVERLAP_MS - 1)
    for (const secret of [key, made.key]) expect(again.verify(secret)).toEqual(principal)
    await clock.advance(1)
    expect(again.verify(key)).toEqual(principal)
    expect(codeOf(() => again.verify(made.key))).toBe('api_key_expired')
  })

  it('without overlap: no earlier secret works any more, from an earlier rotation neither', async () => {
    const { keys } = await setUp()
    const first = await keys.create({ name: 'a' })
    const { id } = first.record
    const second = await keys.rotate(id)
    const third = await keys.rotate(id, 0)
    expect(keys.verify(third.key).keyId).toBe(id)
    for (const { key } of [first, second]) {
      expect(codeOf(() => keys.verify(key))).toBe('invalid_api_key')
    }
    expect(third.record.overlapEndsAt).toBe(null)
  })

  it('twice within the overlap: the first secret ends when it was told to', async () => {
    const { keys, clock } = await setUp()
    const first = await keys.create({ name: 'a' })
    const { id } = first.record
    const second = await keys.rotate(id, 1000)
    await clock.advance(500)
    const third = await keys.rotate(id, 1000)
    await clock.advance(500)
    expect(codeOf(() => keys.verify(first.key))).toBe('api_key_expired')
    expect(keys.verify(second.key).keyId).toBe(id)
    await clock.advance(500)
    expect(codeOf(() => keys.verify(second.key))).toBe('api_key_expired')
    expect(keys.verify(third.key).keyId).toBe(id)
  })

  it('too often within its overlap is refused, and works again without one', async () => {
    const { keys } = await setUp()
    const { record } = await keys.create({ name: 'a' })
    for (let n = 0; n < 8; n++) await keys.rotate(record.id)
    await expect(keys.rotate(record.id)).rejects.toMatchObject({ code: 'too_many_keys' })
    await keys.rotate(record.id, 0)
  })

  it('is on the disk before it is shown; until then the old one works alone', async () => {
    const { keys, backend } = await setUp()
    const made = await keys.create({ name: 'a' })
    backend.held = true
    const rotation = keys.rotate(made.record.id, 0)
    for (let n = 0; n < 20; n++) await Promise.resolve()
    expect(keys.verify(made.key).account).toBe('owner')
    backend.release()
    expect(keys.verify((await rotation).key).account).toBe('owner')
  })

  it('by two at a time: both secrets work, after a restart too', async () => {
    const { keys, close, open } = await setUp()
    const { record } = await keys.create({ name: 'a' })
    const both = await Promise.all([keys.rotate(record.id), keys.rotate(record.id)])
    await close()
    const again = (await open()).keys
    for (const { key } of both) expect(again.verify(key).keyId).toBe(record.id)
  })

  it('revoked while that is written is revoked', async () => {
    const { keys, backend, close, open } = await setUp()
    const made = await keys.create({ name: 'a' })
    backend.held = true
    const rotation = keys.rotate(made.record.id)
    for (let n = 0; n < 20; n++) await Promise.resolve()
    const revocation = keys.revoke(made.record.id)
    backend.release()
    const { key } = await rotation
    await revocation
    await close()
    const again = (await open()).keys
    for (const secret of [key, made.key]) {
      expect(codeOf(() => keys.verify(secret))).toBe('api_key_revoked')
      expect(codeOf(() => again.verify(secret))).toBe('api_key_revoked')
    }
  })

  it('that is revoked, expired, the owner’s or unknown is refused', async () => {
    const { keys, clock } = await setUp()
    const revoked = await keys.create({ name: 'a' })
    await keys.revoke(revoked.record.id)
    const expired = await keys.create({ name: 'a', expiresAt: clock.now() + 1 })
    await clock.advance(1)
    for (const { record } of [revoked, expired]) {
      await expect(keys.rotate(record.id)).rejects.toMatchObject({ code: 'key_not_usable' })
    }
    const owner = await keys.adoptOwner(`sk-pnv-${'a'.repeat(43)}`)
    await expect(keys.rotate(owner.id)).rejects.toMatchObject({ code: 'owner_key_needed' })
    await expect(keys.rotate('key_none')).rejects.toMatchObject({ code: 'key_not_found' })
  })
})

describe('events', () => {
  it('tell what happened to a key, in the batch of the change, without a secret', async () => {
    const events: (AccountEvent & { rows: number | undefined })[] = []
    const { keys } = await setUp((event, rows) => {
      events.push({ ...event, rows: rows?.rows.length })
    })
    const { record, key } = await keys.create({ name: 'a', account: 'ada', rpmLimit: 3 })
    const rotated = await keys.rotate(record.id)
    await keys.revoke(record.id)
    await keys.revoke(record.id)
    const of = (type: string, more: object) => ({
      ...{ account: 'ada', type, rows: 1 },
      data: { object: expect.objectContaining({ id: record.id, rpm_limit: 3, ...more }) },
    })
    expect(events).toEqual([
      of('key.created', { prefix: record.prefix, revoked_at: null }),
      of('key.rotated', { prefix: rotated.record.prefix, overlap_ends_at: expect.any(String) }),
      of('key.revoked', { revoked_at: expect.any(String) }),
    ])
    const text = JSON.stringify(events)
    for (const secret of [key, rotated.key]) {
      expect(text).not.toContain(secret)
      expect(text).not.toContain(createHash('sha256').update(secret).digest('hex'))
    }
  })
})

describe('the rows of earlier versions', () => {
  it('are read: a key from then has no limits, and works', async () => {
    const { store, keys, close, open } = await setUp()
    const { record, key } = await keys.create({ name: 'a' })
    const { creditLimit, rpmLimit, tpmLimit, concurrencyLimit, jurisdiction, ...rest } = record
    const { rotatedAt, overlapEndsAt, lastUsedAt, ...old } = rest
    expect([creditLimit, rpmLimit, tpmLimit, concurrencyLimit, jurisdiction]).toEqual(
      Array(5).fill(null),
    )
    expect([rotatedAt, overlapEndsAt, lastUsedAt]).toEqual([null, null, null])
    const text = { encode: (value: string) => Buffer.from(value), decode: String }
    const hash = createHash('sha256').update(key).digest('hex')
    await store
      .table('api-keys', { key: textKey, value: text })
      .put(record.id, JSON.stringify({ ...old, hash }))
    await close()
    const again = (await open()).keys
    expect(again.get(record.id)).toEqual({ ...record, lastUsedAt: null })
    expect(again.verify(key)).not.toHaveProperty('limits')
  })
})

describe('a list of keys', () => {
  it('has those of one account, between two ids, from either end', async () => {
    const { keys, clock } = await setUp()
    const ids: string[] = []
    for (let n = 0; n < 12; n++) {
      const { record } = await keys.create({ name: 'a', account: n % 2 === 0 ? 'ada' : 'bob' })
      if (n % 2 === 0) ids.push(record.id)
      if (n % 3 === 0) await clock.advance(1)
    }
    ids.sort()
    const list = (range = {}) => keys.list('ada', range).map(({ id }) => id)
    expect(list()).toEqual(ids)
    expect(list({ reverse: true })).toEqual(ids.toReversed())
    expect(list({ gt: ids[0], limit: 2 })).toEqual(ids.slice(1, 3))
    expect(list({ lt: ids[3], reverse: true, limit: 2 })).toEqual([ids[2], ids[1]])
    expect(list({ gt: 'key_', lt: 'key_0' })).toEqual([])
    expect(keys.list()).toHaveLength(12)
  })
})

describe('a look-up', () => {
  it('does the same work for every text: one hash, one look', async () => {
    const { keys, clock } = await setUp()
    const good = await keys.create({ name: 'a' })
    const revoked = await keys.create({ name: 'a' })
    await keys.revoke(revoked.record.id)
    const expired = await keys.create({ name: 'a', expiresAt: clock.now() + 1 })
    await clock.advance(1)
    const near = good.key.slice(0, -1) + (good.key.endsWith('0') ? '1' : '0')
    const looks = spyOnLooks(keys)
    for (const text of [good.key, near, revoked.key, expired.key, 'x', `${good.key}0`]) {
      looks.length = 0
      codeOf(() => keys.verify(text))
      // Never the text itself: what is compared is what nobody can choose.
      expect(looks).toEqual([createHash('sha256').update(text).digest('hex')])
    }
  })
})

/** What is looked for in the index of secrets, a plain Map. */
function spyOnLooks(keys: KeyStore): unknown[] {
  const looks: unknown[] = []
  const { get } = Map.prototype
  const spied = function (this: Map<unknown, unknown>, key: unknown) {
    looks.push(key)
    return get.call(this, key)
  }
  const { verify } = keys
  keys.verify = (text) => {
    Map.prototype.get = spied
    try {
      return verify.call(keys, text)
    } finally {
      Map.prototype.get = get
    }
  }
  return looks
}
