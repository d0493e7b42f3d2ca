import { expect, it } from 'vitest'
import { silentLogger } from '../../src/base/logger.ts'
import { Owed } from '../../src/market/owed.ts'
import { MemoryBackend } from '../../src/storage/memory-backend.ts'
import { openStoreOn } from '../../src/storage/store.ts'

async function stage() {
  const store = await openStoreOn(new MemoryBackend(), { logger: silentLogger })
  return { store, owed: new Owed({ store }) }
}

it('adds up what is on its way to the disk too', async () => {
  const { store, owed } = await stage()
  const rows = [store.batch(), store.batch()] as const
  const totals = [owed.add('a', 3, rows[0]), owed.add('a', 4, rows[1])]
  expect(await Promise.all(totals)).toEqual([3, 7])
  expect(await owed.add('b', 1, store.batch())).toBe(1)
})

it('goes on from what is on the disk', async () => {
  const { store, owed } = await stage()
  const rows = store.batch()
  await owed.add('a', 3, rows)
  await store.commit(rows)
  expect(await new Owed({ store }).add('a', 4, store.batch())).toBe(7)
})

it('owes what was done, though its rows did not come to the disk', async () => {
  const { store, owed } = await stage()
  await owed.add('a', 3, store.batch())
  expect(await owed.add('a', 4, store.batch())).toBe(7)
})

it('only grows on the disk, however long each job takes to be signed', async () => {
  const { store, owed } = await stage()
  const signed = Array.from({ length: 5 }, () => Promise.withResolvers<void>())
  const written: number[] = []
  const jobs = signed.map(({ promise }, n) =>
    owed.inTurn('a', async () => {
      const rows = store.batch()
      written.push(await owed.add('a', n + 1, rows))
      await promise
      await store.commit(rows)
    }),
  )
  const other = owed.inTurn('b', async () => 'other')
  // One that fails holds up nobody.
  const failing = owed.inTurn('a', () => Promise.reject(new Error('Failed.')))
  for (const { resolve } of signed.toReversed()) resolve()
  await expect(failing).rejects.toThrow('Failed.')
  await Promise.all(jobs)
  expect(await other).toBe('other')
  expect(written).toEqual([1, 3, 6, 10, 15])
  expect(await new Owed({ store }).add('a', 0, store.batch())).toBe(15)
})
