import { beforeAll, describe, expect, test } from 'vitest'
import { rounds } from '../campaign.ts'
import { type ProviderAttack, providerAttacks, stallers, unsigned } from './provider-attacks.ts'
import { type Figures, percentile, siege, TURNCOATS } from './siege.ts'

// Ten minutes at five requests a second, or the first seconds of them, when the harm is done.
const TEN_MINUTES = 3_000
const BEGINNING = 16
/** Who was the best until now is found out by those who are with it by then. */
const SURPRISED_MAX = 12
/** Of fresh ids, however many: one request in 400 meets them, and two that were saved up. */
const VENTURED_MAX = (requests: number) => 2 + Math.ceil(requests / 400)

let calmMs = 0

beforeAll(async () => {
  const { times, errors } = await siege({ requests: 50 })
  expect(errors).toEqual([])
  calmMs = percentile(times, 0.99)
})

const slow = ({ times }: Figures) => times.filter((ms) => ms > 2 * calmMs).length

function expectNoHarm({ errors, wrong, slandered }: Figures): void {
  expect({ errors, wrong, slandered }).toEqual({ errors: [], wrong: 0, slandered: 0 })
}

describe('providers of all kinds that nobody knows', () => {
  test('do no harm, and slow down hardly anybody', async () => {
    const requests = rounds(150, TEN_MINUTES)
    const figures = await siege({ attacks: providerAttacks, as: 'strangers', requests })
    expectNoHarm(figures)
    expect(slow(figures)).toBeLessThanOrEqual(VENTURED_MAX(requests))
    expect(percentile(figures.times, 0.99)).toBeLessThanOrEqual(2 * calmMs)
    // A twentieth, by chance: three standard deviations more at most.
    expect(figures.share).toBeLessThanOrEqual(1 / 20 + 3 * Math.sqrt(1 / 20 / requests))
  })

  test('neither does a flood of ever new ids', async () => {
    const requests = rounds(100, TEN_MINUTES)
    const figures = await siege({ attacks: stallers, as: 'flood', requests })
    expectNoHarm(figures)
    expect(slow(figures)).toBeLessThanOrEqual(VENTURED_MAX(requests))
    expect(figures.share).toBeLessThanOrEqual(1 / 20)
  })
})

/** For each of the two a behaviour, in the short run; in the long one each by itself. */
const pairs: ProviderAttack[][] = []
for (const [at, attack] of providerAttacks.entries()) {
  if (at % rounds(TURNCOATS, 1) === 0) pairs.push([])
  pairs.at(-1)?.push(attack)
}
const named = pairs.map((attacks) => [attacks.map(({ name }) => name).join('; '), attacks] as const)

describe('providers that were the best until now', () => {
  test.each(named)('%s', async (_names, attacks) => {
    const requests = rounds(BEGINNING, TEN_MINUTES)
    const figures = await siege({ attacks, as: 'turncoats', requests })
    expectNoHarm(figures)
    expect(slow(figures)).toBeLessThanOrEqual(SURPRISED_MAX + rounds(0, VENTURED_MAX(requests)))
    if (attacks.includes(unsigned)) return
    expect(figures.share).toBeLessThanOrEqual(SURPRISED_MAX / BEGINNING)
  })
})

const hardest = stallers.filter(({ name }) => /moment before/.test(name))

describe('providers that are the best, but for a job now and then', () => {
  const attacks = rounds(1, 2) === 1 ? hardest : providerAttacks
  test.each(attacks.map((attack) => [attack.name, attack]))('%s', async (_name, attack) => {
    const requests = rounds(100, TEN_MINUTES)
    const figures = await siege({ attacks: [attack], as: 'waverers', requests })
    expectNoHarm(figures)
    expect(slow(figures)).toBeLessThanOrEqual(SURPRISED_MAX + VENTURED_MAX(requests))
    expect(percentile(figures.times, rounds(0.9, 0.99))).toBeLessThanOrEqual(2 * calmMs)
  })
})
