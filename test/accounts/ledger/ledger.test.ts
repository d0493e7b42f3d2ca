import { describe, expect, it } from 'vitest'
import type { AccountEvent } from '../../../src/accounts/events.ts'
import { type AuditedLog, audit } from '../../../src/accounts/ledger/audit.ts'
import { ledgerLimits } from '../../../src/accounts/ledger/grants.ts'
import { Ledger, OWNER_GRANT } from '../../../src/accounts/ledger/ledger.ts'
import type { Payer, Reservation } from '../../../src/accounts/ledger/reservation.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { MemoryBackend } from '../../../src/storage/memory-backend.ts'
import { openStoreOn } from '../../../src/storage/store.ts'
import { FakeClock } from '../../base/fake-clock.ts'
import { audited, emptyLog } from './audited-log.ts'

const { signal } = new AbortController()

async function stage(backend = new MemoryBackend()) {
  const clock = new FakeClock()
  const store = await openStoreOn(backend, { logger: silentLogger })
  const events: AccountEvent[] = []
  const emit = (event: AccountEvent) => events.push(event)
  const ledger = await Ledger.open({ store, clock, emit })
  let jobs = 0
  const settle = async (reservation: Reservation, amount: number) => {
    const batch = store.batch()
    const jobId = `job_${++jobs}`
    reservation.settle({ jobId, amount, payees: [{ peerId: undefined, amount }] }, batch)
    await store.commit(batch)
    return jobId
  }
  const entries = async (account: string) => {
    const all = []
    for await (const entry of ledger.entries(account)) all.push(entry)
    return all
  }
  const check = async () => {
    const report = await audit({ tables: ledger.tables, log: emptyLog }, { signal })
    expect(report).toMatchObject({ problems: [], sum: 0 })
    return report
  }
  const again = () => stage(backend)
  return { clock, store, ledger, events, settle, entries, check, again }
}

describe('a ledger', () => {
  it("grants the owner's account its credits at the first start, and once", async () => {
    const { ledger, again } = await stage()
    expect(ledger.credits({ account: 'owner' }).available).toBe(OWNER_GRANT)
    expect(ledger.credits({ account: 'alice' }).available).toBe(0)
    const second = await again()
    expect(second.ledger.credits({ account: 'owner' }).available).toBe(OWNER_GRANT)
    expect(await second.entries('owner')).toHaveLength(1)
  })

  it('sets aside, charges what it came to, and sets the rest free', async () => {
    const { ledger, settle, entries, check } = await stage()
    await ledger.grant({ account: 'alice', amount: 100 })
    const alice: Payer = { account: 'alice', keyId: 'key_1' }
    const reservation = ledger.reserve(alice, 70)
    expect(ledger.credits(alice)).toEqual({ current: 100, reserved: 70, available: 30 })
    expect(() => ledger.reserve(alice, 31)).toThrow(
      expect.objectContaining({ code: 'insufficient_credits' }),
    )
    const jobId = await settle(reservation, 40)
    reservation.release()
    expect(ledger.credits(alice)).toEqual({ current: 60, reserved: 0, available: 60 })
    expect(await entries('alice')).toMatchObject([
      { id: 'txn_0000000000000001', kind: 'grant', amount: 100, balance: 100 },
      {
        ...{ id: 'txn_0000000000000002', kind: 'charge', amount: -40, balance: 60, jobId },
        reserved: 70,
        postings: [
          ['wallet:alice', -40],
          ['earned', 40],
        ],
      },
    ])
    expect(await ledger.chargeOf(jobId)).toMatchObject({ account: 'alice', keyId: 'key_1' })
    await check()
  })

  it('writes nothing where there is nothing to pay', async () => {
    const { ledger, settle, entries } = await stage()
    await settle(ledger.reserve({ account: 'nobody' }, 0), 0)
    expect(await entries('nobody')).toEqual([])
    expect(await entries('')).toEqual([])
  })

  it('bears what an account has not, and never takes it below nothing', async () => {
    const { ledger, settle, check } = await stage()
    await ledger.grant({ account: 'alice', amount: 10 })
    await settle(ledger.reserve({ account: 'alice' }, 10), 25)
    expect(ledger.credits({ account: 'alice' }).current).toBe(0)
    expect((await check()).totals).toMatchObject({ earned: 25, borne: -15 })
  })

  it('spends what expires first, and lets the rest of it go', async () => {
    const { ledger, clock, settle, entries, check, again } = await stage()
    const alice = { account: 'alice' }
    await ledger.grant({ ...alice, amount: 100 })
    await ledger.grant({ ...alice, amount: 50, expiresAt: clock.now() + 1_000 })
    await ledger.grant({ ...alice, amount: 20, expiresAt: clock.now() + 500 })
    await settle(ledger.reserve(alice, 30), 30)
    await clock.advance(1_000)
    expect(ledger.credits(alice).current).toBe(100)
    expect((await entries('alice')).at(-1)).toMatchObject({ kind: 'expiry', amount: -40 })
    expect((await check()).totals).toMatchObject({ expired: 40 })
    expect((await again()).ledger.credits(alice).current).toBe(100)
  })

  it('lets what was set aside in time be spent after its end', async () => {
    const { ledger, clock, settle, check } = await stage()
    const alice = { account: 'alice' }
    await ledger.grant({ ...alice, amount: 50, expiresAt: clock.now() + 1_000 })
    const reservation = ledger.reserve(alice, 30)
    await clock.advance(1_000)
    expect(ledger.credits(alice)).toEqual({ current: 30, reserved: 30, available: 0 })
    await settle(reservation, 20)
    expect(ledger.credits(alice)).toEqual({ current: 0, reserved: 0, available: 0 })
    expect((await check()).totals).toMatchObject({ earned: 20, borne: 0 })
  })

  it('lets it be spent also where nobody has looked since then', async () => {
    const { ledger, clock, settle, check } = await stage()
    const alice = { account: 'alice' }
    await ledger.grant({ ...alice, amount: 50, expiresAt: clock.now() + 1_000 })
    const [reservation, other] = [ledger.reserve(alice, 30), ledger.reserve(alice, 15)]
    await clock.advance(1_000)
    await settle(reservation, 20)
    await settle(other, 20)
    const { totals } = await check()
    expect(totals).toMatchObject({ earned: 40, borne: -5, expired: 15 })
  })

  it("keeps to a key's own limit, also after a restart", async () => {
    const { ledger, settle, again } = await stage()
    const key: Payer = { account: 'owner', keyId: 'key_1', creditLimit: 100 }
    await settle(ledger.reserve(key, 80), 60)
    const other = ledger.reserve(key, 30)
    expect(ledger.credits(key)).toEqual({ current: 40, reserved: 30, available: 10 })
    expect(() => ledger.reserve(key, 11)).toThrow('this key may still spend 10')
    other.release()
    const restarted = (await again()).ledger
    expect(restarted.credits(key)).toEqual({ current: 40, reserved: 0, available: 40 })
    const { keyId: _, ...unlimited } = { ...key, creditLimit: undefined }
    expect(restarted.credits({ account: unlimited.account }).available).toBe(OWNER_GRANT - 60)
  })

  it('tells once that little is left, until there is more', async () => {
    const { ledger, events, settle, again } = await stage()
    const alice = { account: 'alice' }
    const spend = (amount: number) => settle(ledger.reserve(alice, amount), amount)
    await ledger.grant({ ...alice, amount: 100 })
    await spend(90)
    expect(events).toEqual([])
    await spend(1)
    await spend(1)
    expect(events).toMatchObject([
      { account: 'alice', type: 'credits.low', data: { object: { available_credits: 9 } } },
    ])
    const second = await again()
    await second.settle(second.ledger.reserve(alice, 1), 1)
    expect(second.events).toEqual([])
    await ledger.grant({ ...alice, amount: 92 })
    await spend(95)
    expect(events).toHaveLength(2)
  })

  it.each([
    ['nothing', { amount: 0 }],
    ['less than nothing', { amount: -1 }],
    ['a fraction', { amount: 0.5 }],
    ['what is no number', { amount: Number.NaN }],
    ['more than an account holds', { amount: ledgerLimits.balanceMax + 1 }],
    ['what has expired', { expiresAt: 5 }],
    ['an account without a name', { account: '' }],
    ["an account with another's name inside", { account: 'a\0b' }],
  ])('grants no credits: %s', async (_, wrong) => {
    const { ledger, check } = await stage()
    const grant = ledger.grant({ account: 'alice', amount: 1, ...wrong })
    await expect(grant).rejects.toMatchObject({ code: 'invalid_value' })
    expect((await check()).totals.issued).toBe(-OWNER_GRANT)
  })

  it('holds so much for one account, with so many ends, and no more', async () => {
    const { ledger, clock } = await stage()
    const { balanceMax, lotsMax } = ledgerLimits
    const full = { code: 'too_many_credits' }
    await ledger.grant({ account: 'rich', amount: balanceMax })
    await expect(ledger.grant({ account: 'rich', amount: 1 })).rejects.toMatchObject(full)
    const ends = Array.from({ length: lotsMax }, (_, n) => clock.now() + 1 + n)
    for (const expiresAt of ends) await ledger.grant({ account: 'many', amount: 1, expiresAt })
    await expect(ledger.grant({ account: 'many', amount: 1 })).rejects.toMatchObject(full)
    await ledger.grant({ account: 'many', amount: 1, expiresAt: ends[7] })
  })
})

describe('an audit', () => {
  it('finds what was changed behind its back', async () => {
    const { ledger, store, settle } = await stage()
    await ledger.grant({ account: 'alice', amount: 100 })
    const routed = { jobId: 'job_9', amount: 5, payees: [{ peerId: 'p', amount: 5 }], routing: 'r' }
    const rows = store.batch()
    ledger.reserve({ account: 'alice' }, 5).settle(routed, rows)
    await store.commit(rows)
    await settle(ledger.reserve({ account: 'alice' }, 7), 7)
    const { tables } = ledger
    const { table, log } = audited(store)
    const problems = async () => (await audit({ tables, log }, { signal })).problems
    await table.put('r', { jobId: 'job_9', amount: 5 })
    expect(await problems()).toEqual([])
    await table.put('of none', { jobId: 'job_10', amount: 0 })
    expect(await problems()).toEqual([])
    await table.put('of none', { jobId: 'job_10', amount: 1 })
    expect(await problems()).toEqual(['of none in the log is of 1, and nobody was charged'])
    await table.del('of none')
    await table.put('r', { jobId: 'job_9', amount: 6 })
    expect(await problems()).toEqual([expect.stringContaining('in the log of 6')])
    await table.put('r', { jobId: 'job_9', amount: 5 })
    const key = 'alice\0txn_0000000000000002'
    const entry = await tables.entries.get(key)
    if (entry === undefined) throw new Error('no entry')
    await tables.entries.put(key, { ...entry, amount: -4 })
    expect(await problems()).toContain('txn_0000000000000002 of account alice moves -5, not -4')
    await tables.entries.put(key, { ...entry, postings: entry.postings.slice(1) })
    expect((await problems()).join()).toMatch(/comes to 5, and not to nothing/)
    await tables.entries.del(key)
    expect(await problems()).toContain('entry 2 of account alice is missing')
    await tables.entries.put(key, entry)
    await tables.jobs.put('job_9', 'another')
    expect((await problems()).join()).toMatch(/charges job job_9 once more/)
  })

  it('holds nothing against what this peer bore before or meanwhile', async () => {
    const { ledger, store } = await stage()
    const { table, log } = audited(store)
    const bear = async (jobId: string) => {
      const routing = `of ${jobId}`
      const charge = { jobId, amount: 3, payees: [{ peerId: 'p', amount: 3 }], routing }
      const rows = store.batch().put(table, routing, { jobId, amount: 3 })
      await store.commit(rows.last((batch) => ledger.bear(charge, batch)))
    }
    await bear('job_1')
    const busy: AuditedLog = {
      ...log,
      async *answered(options) {
        await bear('job_2')
        yield* log.answered(options)
      },
    }
    const report = await audit({ tables: ledger.tables, log: busy }, { signal })
    expect(report).toMatchObject({ problems: [], charges: { matched: 1, missing: 0 } })
    await table.put('of job_3', { jobId: 'job_3', amount: 3 })
    const { charges } = await audit({ tables: ledger.tables, log }, { signal })
    expect(charges).toMatchObject({ matched: 2, missing: 1 })
  })
})
