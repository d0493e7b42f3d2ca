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

it('forgets what did not come to the disk', async () => {
  const { store, owed } = await stage()
  await owed.add('a', 3, store.batch())
  owed.forget('a')
  expect(await owed.add('a', 4, store.batch())).toBe(4)
})
