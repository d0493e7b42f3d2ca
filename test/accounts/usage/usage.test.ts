import { describe, expect, it } from 'vitest'
import { Pinned } from '../../../src/accounts/usage/pinned.ts'
import { Usage } from '../../../src/accounts/usage/usage.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { openStoreOn } from '../../../src/storage/store.ts'
import { FakeClock, settled } from '../../base/fake-clock.ts'
import { StubBackend } from '../../storage/stub-backend.ts'

const { signal } = new AbortController()
const one = { inputTokens: 1, cachedTokens: 0, outputTokens: 1, cost: 1 }
const of = { account: 'alice', keyId: 'key_1', model: 'm' }

async function stage(backend = new StubBackend()) {
  const clock = new FakeClock()
  const store = await openStoreOn(backend, { logger: silentLogger })
  const usage = new Usage({ store, clock, logger: silentLogger })
  const all = async () => {
    const rows = []
    const days = { from: '2000-01-01', to: '2099-01-01' }
    for await (const [, counts] of usage.between('alice', days, { signal })) rows.push(counts)
    return rows
  }
  return { backend, clock, store, usage, all }
}

describe('usage', () => {
  it('goes on counting after a restart', async () => {
    const first = await stage()
    const { store, usage } = first
    const commits = Array.from({ length: 50 }, async () => {
      const counting = usage.count(of)
      await counting.ready
      const rows = store.batch()
      counting.worked(one, rows)
      await store.commit(rows)
      counting.leave()
    })
    await Promise.all(commits)
    const again = await stage(first.backend)
    const counting = again.usage.count(of)
    // It was not read yet: what failed must not be written over what there is.
    counting.failed({ isCounted: false })
    counting.leave()
    await settled()
    await again.clock.advance(1_000)
    expect(await again.all()).toMatchObject([
      { requests: 51, failed: 1, outputTokens: 50, cost: 50 },
    ])
  })

  it('is of a request that came before midnight on the day before', async () => {
    const { usage, store, clock, all } = await stage()
    const early = usage.count(of)
    await clock.advance(24 * 3_600_000)
    for (const counting of [early, usage.count(of)]) {
      await counting.ready
      const rows = store.batch()
      counting.worked(one, rows)
      await store.commit(rows)
    }
    expect(await all()).toMatchObject([{ requests: 1 }, { requests: 1 }])
  })

  it('of a batch that is never written is not counted', async () => {
    const { usage, store, all } = await stage()
    const counting = usage.count(of)
    await counting.ready
    counting.worked(one, store.batch())
    const rows = store.batch()
    counting.worked(one, rows)
    await store.commit(rows)
    expect(await all()).toMatchObject([{ requests: 1 }])
  })

  it('of what fails while the last failures are written is written next', async () => {
    const { usage, backend, clock, all } = await stage()
    const counting = usage.count(of)
    await counting.ready
    counting.failed({ isCounted: false })
    backend.held = true
    await clock.advance(1_000)
    counting.failed({ isCounted: false })
    backend.release()
    await settled()
    await clock.advance(1_000)
    expect(await all()).toMatchObject([{ requests: 2, failed: 2 }])
  })
})

describe('what is pinned', () => {
  it('is the same for all, and what was not used for long makes room', () => {
    const pinned = new Pinned<{ name: string }>(2)
    const take = (name: string) => pinned.pin(name, () => ({ name }))
    const a = take('a')
    expect(take('a').item).toBe(a.item)
    take('b').leave()
    take('c').leave()
    // `a` is held twice; of the others there is room for one.
    expect(pinned.size).toBe(2)
    expect(take('a').item).toBe(a.item)
    const d = take('d')
    // All are pinned: there are more than the limit.
    take('e')
    expect(pinned.size).toBe(3)
    expect(take('d').item).toBe(d.item)
  })

  it('is made anew after it is forgotten, and its slot is used again', () => {
    const pinned = new Pinned<object>(1)
    const first = pinned.pin('a', () => ({}))
    first.leave()
    pinned.forget('a')
    const second = pinned.pin('a', () => ({}))
    expect(second.item).not.toBe(first.item)
    expect(pinned.size).toBe(1)
    expect(pinned.pin('a', () => ({})).item).toBe(second.item)
  })
})
