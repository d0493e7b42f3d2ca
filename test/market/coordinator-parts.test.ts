import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../src/base/random.ts'
import { Activity } from '../../src/market/activity.ts'
import { Breaker } from '../../src/market/choose/breaker.ts'
import { type JobTimes, Measurement } from '../../src/market/choose/measurements.ts'
import { Providers } from '../../src/market/choose/providers.ts'
import { Ventures } from '../../src/market/choose/ventures.ts'
import { boundsOf, mayExceed, quote } from '../../src/market/quote.ts'
import type { Work } from '../../src/wire/job.ts'
import { FakeClock } from '../base/fake-clock.ts'
import { chat } from './coordinator-stage.ts'

const times = { firstTokenMs: 100, msPerToken: 10, jobMs: 1000 }

describe('a breaker', () => {
  it('opens at once for a provider that is gone, and for a job that fails twice', () => {
    const breaker = new Breaker(seededRandom(1))
    breaker.failed(0, false)
    expect(breaker.state(0)).toBe('closed')
    breaker.succeeded()
    breaker.failed(0, false)
    expect(breaker.state(0)).toBe('closed')
    breaker.failed(0, false)
    expect(breaker.state(0)).toBe('open')
    const other = new Breaker(seededRandom(1))
    other.failed(0, true)
    expect(other.state(499)).toBe('open')
    expect(other.state(1_001)).toBe('ready')
  })

  it('lets one through, whose outcome decides', () => {
    const breaker = new Breaker(seededRandom(1))
    breaker.failed(0, true)
    breaker.enter(2_000)
    expect(breaker.state(2_000)).toBe('open')
    breaker.left()
    expect(breaker.state(2_000)).toBe('ready')
    breaker.enter(2_000)
    breaker.failed(2_000, false)
    expect(breaker.state(2_999)).toBe('open')
    expect(breaker.state(4_001)).toBe('ready')
    breaker.enter(4_001)
    breaker.succeeded()
    expect(breaker.state(4_001)).toBe('closed')
  })

  it('stays open for longer each time, from a second to five minutes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1 }), (seed) => {
        const breaker = new Breaker(seededRandom(seed))
        for (let n = 0; n < 40; n++) {
          breaker.failed(0, true)
          const ms = Math.min(300_000, 1_000 * 2 ** n)
          expect(breaker.state(ms / 2 - 1)).toBe('open')
          expect(breaker.state(ms + 1)).toBe('ready')
        }
      }),
    )
  })
})

describe('a measurement', () => {
  it('knows nothing before the first job, and no more after some hours', () => {
    const measurement = new Measurement()
    expect(measurement.at(0)).toBeUndefined()
    measurement.failed(0)
    expect(measurement.at(0)).toBeUndefined()
    measurement.succeeded(times, 1_000)
    expect(measurement.at(1_000)).toMatchObject({ firstTokenMs: 100, msPerToken: 10, jobMs: 1000 })
    expect(measurement.at(3_600_000)).toBeDefined()
    expect(measurement.at(4 * 3_600_000)).toBeUndefined()
  })

  it('follows what changes, and believes fresh evidence after a pause', () => {
    const measurement = new Measurement()
    for (let n = 0; n < 50; n++) measurement.succeeded(times, n)
    measurement.succeeded({ ...times, firstTokenMs: 600 }, 50)
    expect(measurement.at(50)?.firstTokenMs).toBeCloseTo(200)
    measurement.succeeded({ ...times, firstTokenMs: 600 }, 6 * 3_600_000)
    expect(measurement.at(6 * 3_600_000)?.firstTokenMs).toBeGreaterThan(590)
  })

  it('forgives', () => {
    const measurement = new Measurement()
    measurement.succeeded(times, 0)
    measurement.failed(0)
    const before = measurement.at(0)?.failureRate ?? 0
    expect(before).toBe(0.5)
    expect(measurement.at(3_600_000)?.failureRate).toBeLessThanOrEqual(before)
  })
})

describe('the books of providers', () => {
  const books = () => {
    const clock = new FakeClock()
    return { clock, providers: new Providers({ clock, random: seededRandom(1) }) }
  }

  it('give a stranger one job, and others what they granted', () => {
    const { providers } = books()
    expect(providers.roomAt('p')).toBe(1)
    const first = providers.engage('p', 'm')
    expect(providers.roomAt('p')).toBe(0)
    first.accepted(3)
    expect(providers.roomAt('p')).toBe(2)
    providers.engage('p', 'other')
    expect(providers.roomAt('p')).toBe(1)
    first.succeeded(times)
    first.succeeded(times)
    first.left()
    expect(providers.roomAt('p')).toBe(2)
    expect(providers.about('p', 'm')?.open).toBe(0)
  })

  it('take a refused allowance for what it is', () => {
    const { providers } = books()
    const first = providers.engage('p', 'm')
    first.accepted(4)
    const second = providers.engage('p', 'm')
    second.refused('allowance', 1000)
    expect(providers.roomAt('p')).toBe(0)
    expect(providers.about('p', 'm')?.busyUntil).toBe(0)
    first.succeeded(times)
    expect(providers.roomAt('p')).toBe(1)
    providers.engage('p', 'm').refused('allowance', 1000)
    expect(providers.about('p', 'm')?.busyUntil).toBe(1000)
  })

  it('ask a busy one again, ever later, and never as late as it says', () => {
    const { providers } = books()
    const waits: number[] = []
    for (let n = 0; n < 8; n++) {
      providers.engage('p', 'm').refused('overloaded', 0)
      waits.push(providers.about('p', 'm')?.busyUntil ?? 0)
    }
    expect(waits).toEqual([250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000])
    providers.engage('q', 'm').refused('overloaded', 3_600_000)
    expect(providers.about('q', 'm')?.busyUntil).toBe(10_000)
  })

  it('believe one that says it has room, until it refuses all the same', () => {
    const { providers } = books()
    const refused = () => providers.engage('p', 'm').refused('overloaded', 0)
    expect(providers.freed('p', 'm')).toBe(true)
    for (let n = 0; n < 3; n++) {
      refused()
      expect(providers.freed('p', 'm')).toBe(true)
      expect(providers.about('p', 'm')?.busyUntil).toBe(0)
    }
    refused()
    expect(providers.freed('p', 'm')).toBe(false)
    expect(providers.about('p', 'm')?.busyUntil).toBe(2_000)
    providers.engage('p', 'm').accepted(1)
    expect(providers.freed('p', 'm')).toBe(true)
  })

  it('know who is good', () => {
    const { providers } = books()
    expect(providers.isGood('p', 'm')).toBe(false)
    providers.engage('p', 'm').succeeded(times)
    expect(providers.isGood('p', 'm')).toBe(true)
    expect(providers.isGood('p', 'other')).toBe(false)
    providers.engage('p', 'm').failed(true)
    expect(providers.isGood('p', 'm')).toBe(false)
  })

  it('never count below zero, or above what is open', () => {
    const ends = ['succeeded', 'failed', 'refused', 'left'] as const
    const steps = fc.array(fc.tuple(fc.nat(3), fc.constantFrom(...ends), fc.boolean()))
    fc.assert(
      fc.property(steps, (all) => {
        const { providers } = books()
        const open: ReturnType<Providers['engage']>[] = []
        for (const [pick, end, begin] of all) {
          if (begin) open.push(providers.engage('p', 'm'))
          const [one] = open.splice(pick, 1)
          if (end === 'succeeded') one?.succeeded(times)
          if (end === 'failed') one?.failed(true)
          if (end === 'refused') one?.refused('overloaded', 0)
          if (end === 'left') one?.left()
          one?.left()
          expect(providers.about('p', 'm')?.open ?? 0).toBe(open.length)
        }
      }),
    )
  })
})

describe('how long nothing comes of what is open', () => {
  it('is that of one, or of the second of several', async () => {
    const clock = new FakeClock()
    const books = new Providers({ clock, random: seededRandom(1) })
    const quietMs = () => books.about('p', 'm')?.quietMs(clock.elapsed())
    const long = books.engage('p', 'm')
    await clock.advance(1_000)
    expect(quietMs()).toBe(1_000)
    const [other, third] = [books.engage('p', 'm'), books.engage('p', 'm')]
    await clock.advance(500)
    expect(quietMs()).toBe(500)
    // Their readers take their time.
    other.heard()
    expect(quietMs()).toBe(500)
    third.heard()
    expect(quietMs()).toBe(0)
    await clock.advance(500)
    for (const each of [third, other]) each.waits()
    expect(quietMs()).toBe(0)
    await clock.advance(100)
    expect(quietMs()).toBe(100)
    third.left()
    expect(quietMs()).toBe(100)
    other.left()
    other.waits()
    expect(quietMs()).toBe(2_100)
    long.heard()
    long.waits()
    expect(quietMs()).toBe(0)
    long.left()
    expect(quietMs()).toBe(0)
  })
})

describe('ventures', () => {
  const known = { firstTokenMs: 100, msPerToken: 20, jobMs: 4_000, failureRate: 0 }
  const bold = (ventures: Ventures) => ventures.begin(known) !== undefined

  it('may fail twice, and once more for every 400 requests', () => {
    const ventures = new Ventures()
    expect([bold(ventures), bold(ventures), bold(ventures)]).toEqual([true, true, false])
    for (let n = 0; n < 399; n++) ventures.earned()
    expect(bold(ventures)).toBe(false)
    ventures.earned()
    expect([bold(ventures), bold(ventures)]).toEqual([true, false])
    for (let n = 0; n < 10_000; n++) ventures.earned()
    expect([bold(ventures), bold(ventures), bold(ventures)]).toEqual([true, true, false])
  })

  const untimed = { firstTokenMs: 100, msPerToken: undefined, jobMs: 0 }
  const cheap: [what: string, ms: number, ended: JobTimes | undefined, isCheap: boolean][] = [
    ['goes well', 5_000, { firstTokenMs: 200, msPerToken: 40, jobMs: 5_000 }, true],
    ['is too short to be timed', 8_000, { ...untimed, jobMs: 8_000 }, true],
    ['is too short to be timed, and takes long', 8_001, { ...untimed, jobMs: 8_001 }, false],
    ['begins late', 5_000, { firstTokenMs: 201, msPerToken: 20, jobMs: 5_000 }, false],
    ['is slow', 5_000, { firstTokenMs: 100, msPerToken: 41, jobMs: 5_000 }, false],
    ['fails at once', 100, undefined, true],
    ['fails', 101, undefined, false],
  ]
  it.each(cheap)('one that %s', (_what, ms, ended, isCheap) => {
    const ventures = new Ventures()
    for (let n = 0; n < 10; n++) ventures.begin(known)?.ended(ms, ended)
    expect(bold(ventures)).toBe(isCheap)
  })
})

describe('a quote', () => {
  it('bounds what a chat can come to', () => {
    const bounds = boundsOf(chat({ maxTokens: 10, choices: 3 }), 100_000)
    expect(bounds.inputTokens).toBeGreaterThan(5)
    expect(bounds.inputTokens).toBeLessThan(5_000)
    expect(bounds.outputTokens).toBe(30)
    expect(quote(bounds, { input: 1_000, output: 2_000 })).toBe(bounds.inputTokens + 60)
  })

  it('takes the rest of the context where nothing is asked for', () => {
    const { maxTokens: _, ...rest } = (chat() as Extract<Work, { kind: 'chat' }>).sampling
    const work: Work = { kind: 'completion', prompts: ['a', 'b'], sampling: rest }
    expect(boundsOf(work, 512).outputTokens).toBe(2 * 511)
  })

  it('has no output for embeddings', () => {
    expect(boundsOf({ kind: 'embedding', inputs: ['a', 'bc'] }, 512).outputTokens).toBe(0)
  })

  it('is whole, never negative, and rounds up once', () => {
    const anyPrice = fc.record({ input: fc.maxSafeNat(), output: fc.maxSafeNat() })
    const context = fc.integer({ min: 1, max: 10_000_000 })
    fc.assert(
      fc.property(anyPrice, context, fc.string(), (price, contextLength, text) => {
        const bounds = boundsOf(chat({}, text), contextLength)
        const credits = quote(bounds, price)
        expect(Number.isSafeInteger(credits)).toBe(true)
        const exact = (bounds.inputTokens * price.input + bounds.outputTokens * price.output) / 1000
        expect(credits).toBeGreaterThanOrEqual(Math.min(exact * 0.999999, 2 ** 53 - 1))
        expect(bounds.inputTokens).toBeLessThanOrEqual(contextLength)
      }),
    )
    expect(quote({ inputTokens: 1, outputTokens: 1 }, { input: 1, output: 0 })).toBe(1)
    expect(quote({ inputTokens: 1, outputTokens: 1 }, { input: 500, output: 500 })).toBe(1)
    expect(quote({ inputTokens: 1, outputTokens: 1 }, { input: 500, output: 501 })).toBe(2)
  })

  it('knows which prompts cannot be too long', () => {
    expect(mayExceed(chat({}, 'short'), 8_192)).toBe(false)
    expect(mayExceed(chat({}, 'x'.repeat(9_000)), 8_192)).toBe(true)
  })
})

describe('activity', () => {
  it('knows how well was guessed in the last answers', () => {
    const activity = new Activity({ clock: new FakeClock() })
    const counts = (drafted: number, accepted: number) => [
      { drafter: 'model', drafted, accepted, rolledBack: drafted - accepted },
    ]
    for (let n = 0; n < 40; n++) activity.answered(counts(4, 0))
    for (let n = 0; n < 20; n++) activity.answered()
    for (let n = 0; n < 10; n++) activity.answered(counts(10, 8))
    const acceptance = 80 / 108
    expect(activity.figures().speculation).toEqual({ runs: 12, acceptance })
  })

  it('looks back on a minute', async () => {
    const clock = new FakeClock()
    const activity = new Activity({ clock })
    expect(activity.figures()).toEqual({
      windowS: 60,
      tps: { now: 0, peak: 0 },
      requests: { inFlight: 0, last60s: 0, failed60s: 0 },
      countries: [],
      firstTokenMs: undefined,
      speculation: { runs: 0, acceptance: undefined },
    })
    for (let second = 0; second < 10; second++) {
      activity.began()
      activity.firstToken(100 * (second + 1))
      activity.tokens(second === 7 ? 50 : 10, 'DE')
      activity.tokens(5, undefined)
      activity.ended(second === 3 ? 'failed' : 'finished')
      await clock.advance(1000)
    }
    activity.began()
    expect(activity.figures()).toEqual({
      windowS: 60,
      tps: { now: (5 * 15 + 40) / 5, peak: 55 },
      requests: { inFlight: 1, last60s: 10, failed60s: 1 },
      countries: [
        { country: 'DE', tps: 18 },
        { country: undefined, tps: 5 },
      ],
      firstTokenMs: { p50: 500, p95: 1000 },
      speculation: { runs: 0, acceptance: undefined },
    })
    await clock.advance(54_000)
    expect(activity.figures()).toMatchObject({
      tps: { now: 0, peak: 55 },
      requests: { inFlight: 1, last60s: 5, failed60s: 0 },
    })
    await clock.advance(60_000)
    expect(activity.figures().requests).toEqual({ inFlight: 1, last60s: 0, failed60s: 0 })
  })

  it('holds a bounded number of samples', () => {
    const activity = new Activity({ clock: new FakeClock() })
    for (let n = 0; n < 10_000; n++) {
      activity.firstToken(n)
      activity.tokens(1, `C${n}`)
    }
    expect(activity.figures().firstTokenMs).toEqual({ p50: 31, p95: 60 })
  })
})
