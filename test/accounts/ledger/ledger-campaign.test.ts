import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { audit } from '../../../src/accounts/ledger/audit.ts'
import { Ledger } from '../../../src/accounts/ledger/ledger.ts'
import type { Reservation } from '../../../src/accounts/ledger/reservation.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import type { Batch } from '../../../src/storage/batch.ts'
import { openStoreOn, type Store } from '../../../src/storage/store.ts'
import { FakeClock, settled } from '../../base/fake-clock.ts'
import { rounds } from '../../campaign.ts'
import { CrashDisk } from '../../storage/crash-disk.ts'
import { audited } from './audited-log.ts'

const accounts = ['owner', 'alice', 'bob'] as const
const { signal } = new AbortController()

const account = fc.constantFrom(...accounts)
const credits = fc.oneof(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 100_000 }))

type Action =
  | { do: 'grant'; account: string; amount: number; lasts: number | undefined }
  | { do: 'reserve'; account: string; amount: number; creditLimit: number | undefined }
  | { do: 'raise'; which: number; by: number }
  | { do: 'settle'; which: number; amount: number; twice: boolean }
  | { do: 'commit'; which: number }
  | { do: 'release'; which: number }
  | { do: 'wait'; ms: number }
  | { do: 'slow' | 'sync' | 'crash' | 'look' }

const which = fc.nat({ max: 20 })
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('grant' as const),
      account,
      amount: credits,
      lasts: fc.option(fc.constantFrom(5, 50, 500), { nil: undefined }),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('reserve' as const),
      account,
      amount: fc.oneof(fc.constant(0), credits),
      creditLimit: fc.option(fc.integer({ min: 0, max: 500 }), { nil: undefined }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('raise' as const), which, by: credits }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('settle' as const),
      which,
      amount: fc.oneof(fc.constant(0), credits),
      twice: fc.boolean(),
    }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('commit' as const), which }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('release' as const), which }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 10, 100) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom('slow' as const, 'sync' as const, 'crash' as const, 'look' as const),
    }),
  },
)

interface Work {
  job: string
  account: string
  reservation: Reservation
}

/** A ledger on a disk that crashes, and what is to be true of it. */
class Trial {
  readonly #clock = new FakeClock()
  readonly #disk = new CrashDisk()
  readonly #acknowledged = new Set<string>()
  #granted = 0
  #store!: Store
  #ledger!: Ledger
  #works: Work[] = []
  /** Batches that the store has not been given yet. */
  #settled: { batch: Batch; said: string | undefined }[] = []
  #jobs = 0

  async open(): Promise<void> {
    this.#disk.isSlow = false
    this.#works = []
    this.#settled = []
    this.#store = await openStoreOn(this.#disk.mount(), { logger: silentLogger })
    this.#ledger = await Ledger.open({ store: this.#store, clock: this.#clock })
    for (const account of accounts) {
      expect(this.#ledger.credits({ account }).reserved, 'reservations end with a crash').toBe(0)
    }
  }

  async run(action: Action): Promise<void> {
    switch (action.do) {
      case 'grant': {
        const { account, amount, lasts } = action
        const expiresAt = lasts === undefined ? undefined : this.#clock.now() + lasts
        const granting = this.#ledger.grant({ account, amount, expiresAt })
        granting.then(
          () => {
            this.#granted += amount
          },
          () => {},
        )
        return await settled()
      }
      case 'reserve':
        return this.#reserve(action)
      case 'raise': {
        const { reservation } = this.#work(action.which) ?? {}
        return this.#try(() => reservation?.raise(reservation.amount + action.by))
      }
      case 'settle':
        return this.#settle(action)
      case 'commit':
        return await this.#commit(action.which)
      case 'release':
        return this.#take(action.which)?.reservation.release()
      case 'wait':
        return await this.#clock.advance(action.ms)
      case 'slow':
        this.#disk.isSlow = true
        return
      case 'sync':
        this.#disk.sync()
        return await settled()
      case 'crash':
        return await this.open()
      case 'look':
        return await this.check()
    }
  }

  #work(which: number): Work | undefined {
    return this.#works[which % this.#works.length]
  }

  #take(which: number): Work | undefined {
    const at = which % this.#works.length
    return this.#works.splice(at, 1)[0]
  }

  #try(change: () => void): void {
    try {
      change()
    } catch (error) {
      expect(error).toMatchObject({ code: 'insufficient_credits' })
    }
  }

  #reserve({ account, amount, creditLimit }: Extract<Action, { do: 'reserve' }>): void {
    const keyId = `key_${account}`
    const payer = { account, keyId, ...(creditLimit === undefined ? {} : { creditLimit }) }
    const { available } = this.#ledger.credits(payer)
    const job = `job_${++this.#jobs}`
    let reservation: Reservation | undefined
    this.#try(() => {
      reservation = this.#ledger.reserve(payer, amount)
    })
    expect(reservation !== undefined, `${amount} of ${available}`).toBe(amount <= available)
    if (reservation === undefined) return
    expect(this.#ledger.credits(payer).available).toBe(available - amount)
    this.#works.push({ job, account, reservation })
  }

  #settle({ which, amount, twice }: Extract<Action, { do: 'settle' }>): void {
    const work = this.#take(which)
    if (work === undefined) return
    const { job, account, reservation } = work
    for (const routing of twice ? [`first of ${job}`, `second of ${job}`] : [`first of ${job}`]) {
      const batch = this.#store.batch()
      batch.put(audited(this.#store).table, routing, { jobId: job, amount })
      const peerId = amount % 2 === 0 ? undefined : `peer_${amount % 3}`
      reservation.settle({ jobId: job, amount, payees: [{ peerId, amount }], routing }, batch)
      // Those who ask for it to be set free do not wait for the disk.
      if (amount % 5 === 0) reservation.release()
      const said = amount > 0 && routing.startsWith('first') ? `${account} ${job}` : undefined
      this.#settled.push({ batch, said })
    }
  }

  /** In another order than that in which they were made. */
  async #commit(which: number): Promise<void> {
    const [next] = this.#settled.splice(which % this.#settled.length, 1)
    if (next === undefined) return
    const { batch, said } = next
    this.#store.commit(batch).then(
      () => said && this.#acknowledged.add(said),
      () => {},
    )
    await settled()
  }

  /** All that was acknowledged is there, once, and everything adds up. */
  async check(): Promise<void> {
    for (const account of accounts) {
      const { current, reserved, available } = this.#ledger.credits({ account })
      expect(current).toBeGreaterThanOrEqual(0)
      expect(reserved).toBeGreaterThanOrEqual(0)
      expect(available).toBe(current - reserved)
      expect(available, account).toBeGreaterThanOrEqual(0)
    }
    this.#disk.isSlow = false
    this.#disk.sync()
    await settled()
    const { log } = audited(this.#store)
    const report = await audit({ tables: this.#ledger.tables, log }, { signal })
    expect(report.problems).toEqual([])
    expect(report.sum).toBe(0)
    expect(report.charges.withoutEntry).toBe(0)
    expect(-report.totals.issued).toBeGreaterThanOrEqual(this.#granted)
    for (const said of this.#acknowledged) {
      const [account, job = ''] = said.split(' ')
      const charge = await this.#ledger.chargeOf(job)
      expect(charge, said).toMatchObject({ account, jobId: job })
    }
    const jobs: string[] = []
    for (const account of accounts) {
      for await (const { kind, jobId } of this.#ledger.entries(account)) {
        if (kind === 'charge') jobs.push(jobId ?? '')
      }
    }
    expect(new Set(jobs).size, 'a job is charged once').toBe(jobs.length)
  }
}

describe('whatever happens to a ledger', () => {
  it(
    'its sum is 0, no balance is below it, and each job is charged once',
    async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(action, { maxLength: 60, size: 'max' }), async (actions) => {
          const trial = new Trial()
          await trial.open()
          for (const action of actions) await trial.run(action)
          await trial.check()
          await trial.open()
          await trial.check()
        }),
        { numRuns: rounds(40, 1_000) },
      )
    },
    rounds(30_000, 600_000),
  )
})
