import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { backoffMs } from '../../src/base/backoff.ts'
import { LruMap } from '../../src/base/lru-map.ts'
import { Watch } from '../../src/base/watch.ts'
import { FakeClock, settled } from './fake-clock.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

describe('a watch', () => {
  const never = () => new Promise<void>(() => {})
  const late = () => new Error('late')

  it('ends a wait at its deadline, and no wait before it', async () => {
    const clock = new FakeClock()
    const watch = new Watch(clock)
    expect(await watch.over(Promise.resolve(1), 10, late)).toBe(1)
    const refused = expect(watch.over(never(), 100, late)).rejects.toThrow('late')
    await clock.advance(99)
    expect(clock.pending).toBe(1)
    await clock.advance(1)
    await refused
    expect(clock.pending).toBe(0)
  })

  it('can be hurried, and not held back', async () => {
    const clock = new FakeClock()
    const watch = new Watch(clock)
    const refused = expect(watch.over(never(), 1_000, late)).rejects.toThrow('late')
    watch.hurry(100)
    watch.hurry(500)
    await clock.advance(100)
    await refused
    expect(clock.elapsed()).toBe(100)
  })

  it('leaves no timer when it has ended, and can begin again', async () => {
    const clock = new FakeClock()
    const watch = new Watch(clock)
    await watch.over(Promise.resolve(), 1_000, late)
    watch.end()
    expect(clock.pending).toBe(0)
    const refused = expect(watch.over(never(), 2_000, late)).rejects.toThrow('late')
    await clock.advance(2_000)
    await refused
  })

  it('passes a failure on', async () => {
    const watch = new Watch(new FakeClock())
    const failed = watch.over(Promise.reject(new Error('broken')), 10, late)
    await expect(failed).rejects.toThrow('broken')
    watch.end()
    await settled()
  })
})

describe('an LRU map', () => {
  it('keeps the last ones that were used, and never more than its limit', () => {
    const ways = fc.constantFrom('get', 'set', 'delete')
    const uses = fc.array(fc.tuple(fc.nat(9), ways), { maxLength: 60 })
    fc.assert(
      fc.property(uses, fc.integer({ min: 1, max: 6 }), (all, limit) => {
        const map = new LruMap<number, string>(limit)
        // What an honest one holds: keys in the order of their last use.
        let expected: number[] = []
        for (const [key, way] of all) {
          const known = expected.includes(key)
          expected = expected.filter((each) => each !== key)
          if (way === 'set' || (way === 'get' && known)) expected.push(key)
          if (way === 'get') expect(map.get(key)).toBe(known ? `${key}` : undefined)
          if (way === 'delete') expect(map.delete(key)).toBe(known)
          if (way === 'set') map.set(key, `${key}`)
          expected = expected.slice(-limit)
          expect(map.entries().map(([each]) => each)).toEqual(expected)
          expect(map.size).toBe(expected.length)
        }
      }),
    )
  })

  it('holds nothing of what it held once, however long it is used', () => {
    // Never so full that anything has to make room.
    const map = new LruMap<number, number>(8)
    map.set(0, 0)
    map.set(1, 1)
    const use = (times: number) => {
      for (let n = 0; n < times; n++) map.get(n % 2)
      collectGarbage()
      return process.memoryUsage().heapUsed
    }
    const before = use(10_000)
    expect(use(200_000) - before).toBeLessThan(1_000_000)
  })
})

describe('a wait before the next try', () => {
  it('is twice the one before, up to the longest, however often it was in vain', () => {
    const ms = fc.integer({ min: 1, max: 1_000_000 })
    fc.assert(
      fc.property(ms, ms, fc.nat(), (firstMs, more, before) => {
        const maxMs = firstMs + more
        expect(backoffMs(0, firstMs, maxMs)).toBe(firstMs)
        const wait = backoffMs(before, firstMs, maxMs)
        expect(backoffMs(before + 1, firstMs, maxMs)).toBe(Math.min(maxMs, 2 * wait))
      }),
    )
  })
})
