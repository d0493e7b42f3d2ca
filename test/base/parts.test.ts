import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { newId } from '../../src/base/ids.ts'
import { type Service, startAll, stopAll } from '../../src/base/lifecycle.ts'
import { seededRandom, systemRandom } from '../../src/base/random.ts'

describe('random', () => {
  it('stays below its limit', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 32 }), fc.integer(), (limit, seed) => {
        expect(systemRandom.below(limit)).toBeLessThan(limit)
        expect(seededRandom(seed).below(limit)).toBeLessThan(limit)
      }),
    )
  })

  it('repeats itself for a seed, and only then', () => {
    expect(seededRandom(7).bytes(32)).toEqual(seededRandom(7).bytes(32))
    expect(seededRandom(7).bytes(32)).not.toEqual(seededRandom(8).bytes(32))
  })
})

describe('ids', () => {
  it('are the kind and a lower-case ULID, and sort by time', () => {
    let time = Date.UTC(2026, 0, 1)
    const clock = { ...systemClock, now: () => time++ }
    const ids = Array.from({ length: 50 }, () => newId('req', clock, systemRandom))
    for (const id of ids) expect(id).toMatch(/^req_[0-9a-hjkmnp-tv-z]{26}$/)
    expect(ids.toSorted()).toEqual(ids)
    expect(new Set(ids).size).toBe(ids.length)
  })
})

describe('clock', () => {
  it('sleep ends at once when its signal aborts, and before it began', async () => {
    const abort = new AbortController()
    const sleeping = systemClock.sleep(60_000, abort.signal)
    abort.abort(new Error('enough'))
    await expect(sleeping).rejects.toThrow('enough')
    await expect(systemClock.sleep(60_000, abort.signal)).rejects.toThrow('enough')
  })

  it('after runs its task once, or not at all when taken back', async () => {
    const calls: string[] = []
    const cancel = systemClock.after(1, () => calls.push('taken back'))
    cancel()
    await new Promise<void>((resolve) => systemClock.after(5, resolve))
    expect(calls).toEqual([])
  })
})

describe('lifecycle', () => {
  const recorder = (log: string[], name: string, failsAt?: 'start' | 'stop'): Service => ({
    async start() {
      log.push(`start ${name}`)
      if (failsAt === 'start') throw new Error(`${name} does not start`)
    },
    async stop() {
      log.push(`stop ${name}`)
      if (failsAt === 'stop') throw new Error(`${name} does not stop`)
    },
  })
  const signal = new AbortController().signal

  it('starts in order and stops in reverse', async () => {
    const log: string[] = []
    const services = ['a', 'b'].map((name) => recorder(log, name))
    await startAll(services, signal)
    await stopAll(services)
    expect(log).toEqual(['start a', 'start b', 'stop b', 'stop a'])
  })

  it('stops what had started when a later part fails', async () => {
    const log: string[] = []
    const services = [recorder(log, 'a'), recorder(log, 'b', 'start'), recorder(log, 'c')]
    await expect(startAll(services, signal)).rejects.toThrow('b does not start')
    expect(log).toEqual(['start a', 'start b', 'stop b', 'stop a'])
  })

  it('stops the rest although one part does not stop', async () => {
    const log: string[] = []
    const services = [recorder(log, 'a'), recorder(log, 'b', 'stop')]
    await expect(stopAll(services)).rejects.toThrow(AggregateError)
    expect(log).toEqual(['stop b', 'stop a'])
  })

  it('does not start anything once its signal is aborted', async () => {
    const log: string[] = []
    const aborted = AbortSignal.abort(new Error('stopped while starting'))
    await expect(startAll([recorder(log, 'a')], aborted)).rejects.toThrow('stopped while')
    expect(log).toEqual([])
  })
})
