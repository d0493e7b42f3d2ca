import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { silentLogger } from '../../src/base/logger.ts'
import { HeldEntries } from '../../src/receipts/held.ts'
import type { Backend } from '../../src/storage/backend.ts'
import { MemoryBackend } from '../../src/storage/memory-backend.ts'
import { openStoreOn } from '../../src/storage/store.ts'
import { executionEntry, type SealedEntry } from '../../src/wire/entry.ts'
import { openReceiptOf, readExecution, segmentReceiptsOf } from '../../src/wire/execution.ts'
import { openDigest, receiptDigest } from '../../src/wire/receipt.ts'
import { FakeClock } from '../base/fake-clock.ts'
import { execution } from '../wire/log-examples.ts'

const done = (n: number): SealedEntry => executionEntry(1, execution(`job_${n}.1`))

const names = ({ entry, cid }: SealedEntry): Uint8Array[] => {
  const body = readExecution(entry.body)
  const receipts = [body.receipt, ...segmentReceiptsOf(body)].map(receiptDigest)
  return [openDigest(openReceiptOf(body)), ...receipts, cid.digest]
}

async function stage(options = {}, backend: Backend = new MemoryBackend()) {
  const clock = new FakeClock()
  const store = await openStoreOn(backend, { logger: silentLogger })
  const held = new HeldEntries({ store, clock }, options)
  const put = async (sealed: SealedEntry) => {
    const rows = store.batch()
    await held.put(rows, sealed, 'a peer')
    await store.commit(rows)
  }
  const has = async (n: number) => (await held.entry(done(n).cid.digest)) !== undefined
  return { clock, store, held, put, has }
}

/** Rows of all tables but the store's own. */
async function countRows(backend: Backend): Promise<number> {
  const all = { gte: new Uint8Array(), lt: Uint8Array.of(0xff), reverse: false, limit: 1e9 }
  let count = 0
  for await (const [key] of backend.range({ ...all, signal: undefined })) {
    if (Buffer.from(key).includes('held-')) count++
  }
  return count
}

describe('entries that came with answers', () => {
  it('are found by each receipt in them', async () => {
    const { held, put } = await stage()
    await put(done(1))
    await put(done(2))
    const [, , segment] = names(done(1)) as [Uint8Array, Uint8Array, Uint8Array]
    expect((await held.find(segment))?.cid).toEqual(done(1).cid)
    for (const name of names(done(2)).slice(0, -1)) {
      expect((await held.find(name))?.cid).toEqual(done(2).cid)
    }
  })

  it('make room for others, the oldest first, whatever was restarted or not written', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('put', 'restart', 'fail', 'together'), { maxLength: 40 }),
        async (steps) => {
          const entriesMax = 5
          const backend = new MemoryBackend()
          let peer = await stage({ entriesMax }, backend)
          const put: number[] = []
          let n = 0
          for (const step of steps) {
            if (step === 'restart') peer = await stage({ entriesMax }, backend)
            // What was to be written with it could not be.
            if (step === 'fail') await peer.held.put(peer.store.batch(), done(++n), 'a peer')
            const some = step === 'put' ? [++n] : step === 'together' ? [++n, ++n, ++n] : []
            await Promise.all(some.map((each) => peer.put(done(each))))
            put.push(...some)
          }
          // What a commit that failed was to take is met again after a restart.
          peer = await stage({ entriesMax }, backend)
          for (let more = 0; more < 2 * entriesMax + steps.length; more++) {
            await peer.put(done(++n))
            put.push(n)
          }
          const kept = []
          for (const each of put) if (await peer.has(each)) kept.push(each)
          expect(kept).toEqual(put.slice(-entriesMax))
          // One row for the entry, one for its arrival, and one for each of three receipts.
          expect(await countRows(backend)).toBe(entriesMax * 5)
        },
      ),
      { numRuns: 30 },
    )
  })

  it('go when they are old, two for each that comes', async () => {
    const { clock, put, has } = await stage({ ageMsMax: 1_000 })
    for (const n of [1, 2, 3]) await put(done(n))
    await clock.advance(600)
    await put(done(4))
    await clock.advance(600)
    await put(done(5))
    expect([await has(1), await has(2), await has(3), await has(4)]).toEqual(
      // Two at a time.
      [false, false, true, true],
    )
    await put(done(6))
    expect([await has(3), await has(4), await has(5)]).toEqual([false, true, true])
  })

  it('are not looked through while there is room', async () => {
    const backend = new MemoryBackend()
    const { put } = await stage({}, backend)
    await put(done(1))
    let reads = 0
    const { get, range } = backend
    backend.get = (key) => {
      reads++
      return get.call(backend, key)
    }
    backend.range = (keys) => {
      reads++
      return range.call(backend, keys)
    }
    for (let n = 2; n < 50; n++) await put(done(n))
    expect(reads).toBeLessThanOrEqual(1)
  })
})
