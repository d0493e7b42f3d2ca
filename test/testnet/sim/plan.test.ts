import { describe, expect, it } from 'vitest'
import { commandOf, readOrder } from '../../../testnet/sim/options.ts'
import { planOf, type SimOptions } from '../../../testnet/sim/plan.ts'
import { shrink } from '../../../testnet/sim/shrink.ts'

const options: SimOptions = { seed: 3, peers: 40, minutes: 4 }

describe('a plan', () => {
  it('is the same for the same seed, and another for another', () => {
    expect(planOf(options)).toEqual(planOf(options))
    expect(planOf({ ...options, seed: 4 }).faults).not.toEqual(planOf(options).faults)
  })

  it('has all faults ended when the calm begins', () => {
    const { faults, times } = planOf(options)
    expect(faults.length).toBeGreaterThan(10)
    for (const { at, ms } of faults) {
      expect(at).toBeGreaterThanOrEqual(times.stormFrom)
      expect(at + ms).toBeLessThanOrEqual(times.calmFrom)
    }
  })

  it('can be told with some of its faults and requests', () => {
    const whole = planOf(options)
    const { faults, requests, peers } = planOf({ ...options, onlyFaults: [2, 5], onlyRequests: [] })
    expect(faults).toEqual([whole.faults[2], whole.faults[5]])
    expect(requests).toEqual([])
    expect(peers).toEqual(whole.peers)
  })

  it('is named by a command', () => {
    const some = { ...options, onlyFaults: [2, 5], onlyRequests: [] }
    expect(commandOf(some)).toBe(
      'npm run sim -- --seed 3 --peers 40 --minutes 4 --only-faults 2,5 --only-requests none',
    )
    const line = commandOf(some).split(' ').slice(4)
    expect(readOrder(line).stories).toEqual([some])
    expect(readOrder(['--seeds', '3']).stories.map(({ seed }) => seed)).toEqual([1, 2, 3])
  })

  it('says what is wrong with a command', () => {
    expect(() => readOrder(['--peers', 'many'])).toThrow('--peers is a whole number from 2')
    expect(() => readOrder(['--seed', '1.5'])).toThrow('--seed is a whole number')
    expect(() => readOrder(['--minutes', '0'])).toThrow('--minutes is a number from 0.1')
    expect(() => readOrder(['--wrong'])).toThrow("Unknown option '--wrong'")
  })
})

describe('a failing story', () => {
  it('shrinks to the faults and requests that it needs', async () => {
    const fails = async (some: SimOptions) => {
      const { peers, minutes, onlyFaults, onlyRequests } = some
      const hasBoth = [3, 7].every((number) => onlyFaults?.includes(number) ?? true)
      return peers >= 20 && minutes >= 2 && hasBoth && (onlyRequests?.includes(11) ?? true)
    }
    const smallest = await shrink(options, fails)
    expect(smallest).toEqual({
      ...{ seed: 3, peers: 20, minutes: 2 },
      ...{ onlyFaults: [3, 7], onlyRequests: [11] },
    })
  })

  it('is told as it is when time is over', async () => {
    let time = 0
    const fails = async () => {
      time += 1_000
      return true
    }
    const clock = { limitMs: 1_500, now: () => time }
    const { peers } = await shrink(options, fails, clock)
    expect(time).toBeLessThan(5_000)
    expect(peers).toBeLessThan(options.peers)
  })
})
