import { beforeAll, expect, test } from 'vitest'
import { rounds } from '../campaign.ts'
import { assault } from './assault.ts'
import { coordinatorAttacks } from './coordinator-attacks.ts'

const jobs = rounds(10, 200)
const paceMs = rounds(500, 50)
let calmMs = 0

beforeAll(async () => {
  calmMs = (await assault(undefined, { jobs })).p99Ms
})

// Twenty of them at one provider, each of them all the time, beside one whose jobs are honest.
test.each(coordinatorAttacks.map((attack) => [attack.name, attack]))(
  'a coordinator that %s holds up nobody who is known',
  async (_, attack) => {
    const { failed, wrong, slandered, p99Ms, share, left } = await assault(attack, { jobs, paceMs })
    expect({ failed, wrong, slandered }).toEqual({ failed: [], wrong: 0, slandered: false })
    expect(p99Ms).toBeLessThanOrEqual(2 * calmMs)
    expect(share).toBeLessThanOrEqual(2)
    expect(left).toEqual({ open: 0, timers: 0 })
  },
)
