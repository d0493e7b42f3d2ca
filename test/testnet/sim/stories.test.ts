import { describe, expect, it } from 'vitest'
import { planOf } from '../../../testnet/sim/plan.ts'
import { runReal } from '../../../testnet/sim/real.ts'
import { type Outcome, Simulation } from '../../../testnet/sim/simulation.ts'
import { rounds } from '../../campaign.ts'

const seeds = (count: number) => Array.from({ length: count }, (_, at) => at + 1)

describe('a simulation', { timeout: 300_000 }, () => {
  it('goes the same way each time', async () => {
    const run = () => new Simulation(planOf({ seed: 5, peers: 8, minutes: 0.5 })).run()
    const [one, two] = [await run(), await run()]
    expect(one.violations).toEqual([])
    expect(one.events).toBeGreaterThan(1_000)
    expect(two.hash).toBe(one.hash)
  })

  it('goes another way for another seed', async () => {
    const run = (seed: number): Promise<Outcome> =>
      new Simulation(planOf({ seed, peers: 4, minutes: 0.1 })).run()
    expect((await run(1)).hash).not.toBe((await run(2)).hash)
  })

  it.each(seeds(rounds(1, 20)))('breaks no rule, seed %i', async (seed) => {
    const outcome = await new Simulation(planOf({ seed, peers: rounds(12, 20), minutes: 1 })).run()
    expect(outcome.violations).toEqual([])
    expect(outcome.outcomes.done).toBeGreaterThan(20)
  })

  it.runIf(rounds(0, 1) > 0)('is like what 30 peers over libp2p do', async () => {
    expect((await runReal(30)).violations).toEqual([])
  })
})
