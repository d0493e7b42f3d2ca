import fc from 'fast-check'
import { expect, it } from 'vitest'
import { silentLogger } from '../../../src/base/logger.ts'
import {
  countKey,
  countReceipts,
  ReceiptCounts,
} from '../../../src/receipts/feeds/receipt-counts.ts'
import { integerKey } from '../../../src/storage/codec.ts'
import { openMemoryStore } from '../../../src/storage/store.ts'
import { executionEntry, routingEntry } from '../../../src/wire/entry.ts'
import { signRouting } from '../../../src/wire/routing.ts'
import { FakeClock } from '../../base/fake-clock.ts'
import {
  coordinator,
  ExampleLog,
  execution,
  provider,
  routing,
  signing,
} from '../../wire/log-examples.ts'
import { note, stage } from './stage.ts'

const HOUR = 3_600_000

async function table() {
  const store = await openMemoryStore({ logger: silentLogger })
  return { store, rows: store.table('counts', { key: countKey, value: integerKey }) }
}

/** Each with a receipt, and a segment of it. */
const arrivals = (count: number) => {
  const finding = { find: 'receipt' as const, digest: new Uint8Array(32), rank: 0 }
  return Array.from({ length: count }, () => ({ findings: [finding, finding] }))
}

it('counts as a list of all of them would, whatever the restarts, failures and clocks', async () => {
  const step = fc.record({
    writer: fc.constantFrom('own' as const, 'others' as const),
    hours: fc.integer({ min: -2, max: 30 }),
    count: fc.nat(5),
    isLost: fc.boolean(),
    isRestart: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const { store, rows } = await table()
      const fresh = () => ({
        own: new ReceiptCounts(rows, 'own'),
        others: new ReceiptCounts(rows, 'others'),
      })
      let counts = fresh()
      let now = 1000 * HOUR
      const hours = { own: 0, others: 0 }
      const all: { hour: number; count: number }[] = []
      for (const { writer, hours: later, count, isLost, isRestart } of steps) {
        now += later * HOUR
        if (isRestart) counts = fresh()
        const batch = store.batch()
        const put = await counts[writer].put(batch, now, arrivals(count))
        if (isLost) continue
        await store.commit(batch)
        put.written()
        if (count === 0) continue
        hours[writer] = Math.max(hours[writer], now / HOUR)
        all.push({ hour: hours[writer], count })
      }
      const since = (hour: number) =>
        all.filter((each) => each.hour > hour).reduce((sum, each) => sum + each.count, 0)
      const lastDay = since(now / HOUR - 24)
      expect(await countReceipts(rows, now)).toEqual({ total: since(-1), lastDay })
      await store.close()
    }),
    { numRuns: 50 },
  )
})

it('counts public receipts, in the logs of those who signed them', async () => {
  const clock = new FakeClock()
  const { own, intake, feeds } = await stage({ who: coordinator, clock })
  const done = ['job_1.1', 'job_2.1'].map((id) => executionEntry(1, execution(id)))
  const parts = done.map(({ cid }) => ({ execution: cid }))
  const told = routingEntry(1, signRouting(routing(parts), signing))
  const { receipt } = execution('job_3.1')
  const embeds = routingEntry(1, signRouting(routing([{ receipt }]), signing))
  await own.append([told, embeds, note(1)], { publish: true })
  expect(await feeds.countReceipts(clock.now())).toEqual({ total: 0, lastDay: 0 })
  await intake.ingest(await new ExampleLog(provider).append(...done).batch(0, 2))
  expect(await feeds.countReceipts(clock.now())).toEqual({ total: 2, lastDay: 2 })
  await clock.advance(25 * HOUR)
  expect(await feeds.countReceipts(clock.now())).toEqual({ total: 2, lastDay: 0 })
})

it('counts the own ones once, and what is private not at all', async () => {
  const clock = new FakeClock()
  const { own, feeds } = await stage({ clock })
  await own.append([executionEntry(1, execution())], { publish: true })
  await own.append([executionEntry(1, execution('job_2.1'))], { publish: false })
  expect(await feeds.countReceipts(clock.now())).toEqual({ total: 1, lastDay: 1 })
})
