import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { silentLogger } from '../../src/base/logger.ts'
import type { Batch } from '../../src/storage/batch.ts'
import { bytesValue, integerKey } from '../../src/storage/codec.ts'
import { defaultStore, openStoreOn, type StoreOptions } from '../../src/storage/store.ts'
import { StubBackend } from './stub-backend.ts'

const codec = { key: integerKey, value: bytesValue }

async function setUp(options: Partial<StoreOptions> = {}) {
  const backend = new StubBackend()
  const store = await openStoreOn(backend, { logger: silentLogger }, options)
  backend.writes.length = 0
  const table = store.table('numbers', codec)
  const commit = (n: number, bytes = 8) =>
    store.commit(store.batch().put(table, n, new Uint8Array(bytes)))
  return { backend, store, table, commit }
}

describe('group commit', () => {
  it('shares one fsync among the commits of one tick', async () => {
    const { backend, commit } = await setUp()
    await Promise.all(Array.from({ length: 500 }, (_, n) => commit(n)))
    expect(backend.writes).toEqual([{ rows: 500, sync: true }])
  })

  it('asks for last rows when it takes a batch, and not at all of one that it refuses', async () => {
    const { backend, store, table } = await setUp({ waitingCommitsMax: 2 })
    backend.held = true
    let count = 0
    const counted = (rows: Batch) => rows.put(table, 0, new Uint8Array([++count]))
    const batches = [1, 2, 3].map(() => store.batch().last(counted))
    expect(count).toBe(0)
    const [first, second, third] = batches.map((batch) => store.commit(store.batch().add(batch)))
    expect(count).toBe(2)
    await expect(third).rejects.toMatchObject({ code: 'overloaded' })
    expect(count).toBe(2)
    backend.release()
    await Promise.all([first, second])
    expect(await table.get(0)).toEqual(new Uint8Array([2]))
  })

  it('puts a state once, as it is behind all that changed it', async () => {
    const { backend, store, table } = await setUp()
    const counter = { count: 0 }
    const counted = () =>
      store.batch().last((rows) => {
        counter.count += 1
        rows.put(table, counter.count, new Uint8Array(1))
        rows.state(counter, () => rows.put(table, 0, Uint8Array.of(counter.count)))
      })
    const group = store.batch()
    for (let left = 3; left > 0; left--) group.add(counted())
    await store.commit(group)
    expect(backend.writes).toEqual([{ rows: 4, sync: true }])
    expect(await table.get(0)).toEqual(Uint8Array.of(3))
    await store.commit(counted())
    expect(await table.get(0)).toEqual(Uint8Array.of(4))
    expect(() => group.state(counter, () => {})).toThrow(/already/)
  })

  it('gathers what comes while a write is under way, and resolves nothing before its fsync', async () => {
    const { backend, commit, table } = await setUp()
    backend.held = true
    const settled: number[] = []
    const commits = [commit(0).then(() => settled.push(0))]
    await Promise.resolve()
    await Promise.resolve()
    for (let n = 1; n <= 100; n++) commits.push(commit(n).then(() => settled.push(n)))
    expect(backend.writes).toEqual([{ rows: 1, sync: true }])
    expect(await table.get(0)).toBeUndefined()
    expect(settled).toEqual([])
    backend.release()
    await Promise.all(commits)
    expect(backend.writes).toEqual([
      { rows: 1, sync: true },
      { rows: 100, sync: true },
    ])
    expect(settled).toEqual(Array.from({ length: 101 }, (_, n) => n))
  })

  it('bounds a group in rows and bytes; one commit above the bounds goes alone', async () => {
    const { backend, commit, store, table } = await setUp({ groupRowsMax: 3, groupBytesMax: 1000 })
    const batch = store.batch()
    for (let n = 0; n < 5; n++) batch.put(table, 100 + n, new Uint8Array(1))
    await Promise.all([
      ...[1, 2, 3, 4].map((n) => commit(n)),
      store.commit(batch),
      commit(5, 2000),
      commit(6, 400),
      commit(7, 400),
      commit(8, 400),
    ])
    expect(backend.writes.map((write) => write.rows)).toEqual([3, 1, 5, 1, 2, 1])
  })

  it('refuses with BusyError when too many commits or bytes wait, and recovers', async () => {
    const { backend, commit } = await setUp({ waitingCommitsMax: 3, waitingBytesMax: 500 })
    backend.held = true
    const first = commit(0)
    await Promise.resolve()
    await Promise.resolve()
    const waiting = [commit(1), commit(2), commit(3)]
    await expect(commit(4)).rejects.toMatchObject({ code: 'overloaded' })
    backend.release()
    await Promise.all([first, ...waiting])
    backend.held = true
    const next = [commit(5, 400), commit(6, 10)]
    await expect(commit(7, 400)).rejects.toMatchObject({ code: 'overloaded' })
    backend.release()
    await Promise.all(next)
    await commit(8, 4000)
  })

  it('bounds unsynced writes under way', async () => {
    const { backend, store, table } = await setUp({ unsyncedMax: 2 })
    backend.held = true
    const batch = store.batch().put(table, 2, new Uint8Array(1))
    const puts = [table.put(1, new Uint8Array(1)), store.write(batch)]
    await expect(table.put(3, new Uint8Array(1))).rejects.toMatchObject({ code: 'overloaded' })
    backend.release()
    await Promise.all(puts)
    await table.put(3, new Uint8Array(1))
    expect(backend.writes.every((write) => !write.sync)).toBe(true)
  })

  it('keeps the order of commits (any sizes, any limits)', async () => {
    const sizes = fc.array(fc.nat(300), { maxLength: 40 })
    await fc.assert(
      fc.asyncProperty(sizes, fc.integer({ min: 1, max: 8 }), async (all, groupRowsMax) => {
        const { store, table, backend } = await setUp({ groupRowsMax, groupBytesMax: 700 })
        const order: number[] = []
        await Promise.all(
          all.map((size, n) =>
            // Every commit writes the same row: the last one must win.
            store
              .commit(store.batch().put(table, 1, new Uint8Array(size).fill(n)))
              .then(() => order.push(n)),
          ),
        )
        expect(order).toEqual(all.map((_, n) => n))
        expect(backend.writes.every((write) => write.rows <= groupRowsMax)).toBe(true)
        const last = all.at(-1)
        if (last !== undefined) {
          expect(await table.get(1)).toEqual(new Uint8Array(last).fill(all.length - 1))
        }
      }),
    )
  })
})

describe('a disk that fails', () => {
  it('fails the group, refuses what waited and all later writes, and still reads', async () => {
    const { backend, store, table, commit } = await setUp()
    await commit(0)
    backend.held = true
    backend.failNext = { error: new Error('EIO'), rowsWritten: true }
    const group = [commit(1), commit(2)]
    await Promise.resolve()
    await Promise.resolve()
    const later = commit(3)
    const outcomes = Promise.allSettled([...group, later])
    backend.release()
    const reasons = (await outcomes).map((outcome) =>
      outcome.status === 'rejected' ? [outcome.reason.code, outcome.reason.written] : 'resolved',
    )
    expect(reasons).toEqual([
      ['storage_failed', 'unknown'],
      ['storage_failed', 'unknown'],
      ['storage_failed', 'no'],
    ])
    const refused = { code: 'storage_failed', written: 'no', message: /restart the peer/ }
    await expect(commit(4)).rejects.toMatchObject({ code: 'storage_failed', written: 'no' })
    await expect(table.put(5, new Uint8Array(1))).rejects.toThrow(refused.message)
    expect(store.failure?.cause).toMatchObject({ message: 'EIO' })
    expect(await table.get(0)).toBeDefined()
    expect(await table.get(3)).toBeUndefined()
    await store.close()

    const reopened = await openStoreOn(backend, { logger: silentLogger }, defaultStore)
    await reopened.commit(
      reopened.batch().put(reopened.table('numbers', codec), 9, new Uint8Array(1)),
    )
  })

  it('is noticed by an unsynced write as well', async () => {
    const { backend, table, commit } = await setUp()
    backend.failNext = { error: new Error('ENOSPC'), rowsWritten: false }
    await expect(table.put(1, new Uint8Array(1))).rejects.toMatchObject({ code: 'storage_failed' })
    await expect(commit(2)).rejects.toMatchObject({ code: 'storage_failed', written: 'no' })
  })
})
