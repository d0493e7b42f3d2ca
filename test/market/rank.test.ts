import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Measured } from '../../src/market/choose/measurements.ts'
import { type Candidate, challengers, rank, reasonsOf } from '../../src/market/choose/rank.ts'

const measured: Measured = { firstTokenMs: 100, msPerToken: 20, jobMs: 4000, failureRate: 0 }

const candidate = (peerId: string, more: Partial<Candidate> = {}): Candidate => ({
  peerId,
  slots: 4,
  running: 0,
  queued: 0,
  tokensPerSecond: 50,
  price: { input: 0, output: 0 },
  credits: 0,
  rttMs: 10,
  measured,
  quietMs: 0,
  busyWithUs: false,
  inDoubt: false,
  shunned: false,
  familiar: false,
  ...more,
})

const order = (...candidates: Candidate[]) =>
  rank(candidates).map((ranked) => ranked.candidate.peerId)

const full = { running: 4, queued: 1 }
const fresh = { measured: undefined }

describe('the order of candidates', () => {
  const cases: [what: string, first: Partial<Candidate>, second: Partial<Candidate>][] = [
    ['a fast one before a slow one', {}, { measured: { ...measured, msPerToken: 40 } }],
    ['one that begins soon', {}, { measured: { ...measured, firstTokenMs: 3000 } }],
    ['one with less to do', { running: 1 }, { running: 3 }],
    ['a free one before a familiar one that is full', {}, { ...full, familiar: true }],
    ['a newcomer before one that is full', fresh, full],
    ['a full one before a full newcomer', full, { ...fresh, ...full }],
    ['a newcomer that has no job of ours yet', fresh, { ...fresh, busyWithUs: true }],
    [
      'a slow one that is proven before a newcomer that boasts',
      {},
      { ...fresh, tokensPerSecond: 1e6 },
    ],
    ['a familiar one', { familiar: true }, {}],
    [
      'but not when it is half as fast',
      {},
      { familiar: true, measured: { ...measured, msPerToken: 40 } },
    ],
    ['a cheap one among equals', { credits: 2 }, { credits: 10 }],
    ['a fast one that costs more', { credits: 18 }, { measured: { ...measured, msPerToken: 25 } }],
    ['one from which something comes', {}, { quietMs: 3_000 }],
    ['one from which something came just now', {}, { quietMs: 400 }],
    [
      'a slow one before a fast one that loses a job now and then',
      { measured: { ...measured, msPerToken: 40 } },
      { measured: { ...measured, failureRate: 0.2 } },
    ],
    ['one that keeps what it begins', {}, { measured: { ...measured, failureRate: 0.3 } }],
    ['a busy newcomer before one in doubt', { ...fresh, ...full }, { ...fresh, inDoubt: true }],
    ['a proven one in doubt before any stranger', { inDoubt: true }, fresh],
    [
      'a slow proven one before one in doubt',
      { measured: { ...measured, msPerToken: 40 } },
      { inDoubt: true },
    ],
    ['one in doubt before one that failed lately', { inDoubt: true }, { shunned: true }],
    ['a newcomer before one that failed lately', { ...fresh, ...full }, { shunned: true }],
    ['a near newcomer', fresh, { ...fresh, rttMs: 200 }],
    ['a newcomer that says it is fast', fresh, { ...fresh, tokensPerSecond: 5 }],
    ['a short queue', full, { running: 4, queued: 9 }],
  ]
  it.each(cases)('%s', (_what, first, second) => {
    const [a, b] = [candidate('a', first), candidate('b', second)]
    expect(order(a, b)).toEqual(['a', 'b'])
    expect(order(b, a)).toEqual(['a', 'b'])
  })

  it('leaves equals as they came', () => {
    expect(order(candidate('b'), candidate('a'), candidate('c'))).toEqual(['b', 'a', 'c'])
  })

  it('takes one for busy from which nothing comes', () => {
    const standing = (quietMs: number) => rank([candidate('a', { quietMs })])[0]?.standing
    expect(standing(450)).toBe('proven')
    expect(standing(451)).toBe('busy')
  })

  it('lets those challenge the best that could begin at once', () => {
    const ranked = rank([
      candidate('best', { familiar: true }),
      candidate('proven'),
      candidate('newcomer', fresh),
      candidate('busy', full),
      candidate('shunned', { shunned: true }),
    ])
    const peers = challengers(ranked).map((each) => each.candidate.peerId)
    expect(peers).toEqual(['proven', 'newcomer'])
  })

  it('says why', () => {
    const [first, second] = rank([
      candidate('a', { familiar: true, running: 1, price: { input: 1, output: 2 }, credits: 3 }),
      candidate('b', { ...fresh, ...full }),
    ])
    expect(first && reasonsOf(first)).toEqual([
      'proven',
      'first token 100 ms',
      '50.0 tokens/s measured',
      '3 of 4 slots free',
      'price 1/2',
      'had the last request of this account',
    ])
    expect(second && reasonsOf(second)).toEqual([
      'busy newcomer',
      'first token not measured, 10 ms away',
      '25.0 tokens/s claimed',
      '0 of 4 slots free, 1 wait',
    ])
  })
})

const anyMeasured = fc.record({
  firstTokenMs: fc.double({ min: 1, max: 60_000, noNaN: true }),
  msPerToken: fc.option(fc.double({ min: 0.1, max: 5_000, noNaN: true }), { nil: undefined }),
  jobMs: fc.double({ min: 1, max: 600_000, noNaN: true }),
  failureRate: fc.double({ min: 0, max: 1, noNaN: true }),
})

const anyCandidate = fc.record({
  peerId: fc.uuid(),
  slots: fc.integer({ min: 1, max: 256 }),
  running: fc.nat(512),
  queued: fc.nat(512),
  tokensPerSecond: fc.double({ min: 0, max: 1e9, noNaN: true }),
  price: fc.record({ input: fc.nat(), output: fc.nat() }),
  credits: fc.maxSafeNat(),
  rttMs: fc.option(fc.double({ min: 0, max: 10_000, noNaN: true }), { nil: undefined }),
  measured: fc.option(anyMeasured, { nil: undefined }),
  quietMs: fc.nat(60_000),
  busyWithUs: fc.boolean(),
  inDoubt: fc.boolean(),
  shunned: fc.boolean(),
  familiar: fc.boolean(),
})

const several = fc.uniqueArray(anyCandidate, {
  minLength: 1,
  maxLength: 12,
  selector: (c) => c.peerId,
})

describe('for any candidates', () => {
  const placeOf = (candidates: Candidate[], peerId: string) => order(...candidates).indexOf(peerId)

  /** Nobody who becomes better in one way comes out further back. */
  function neverWorse(better: (candidate: Candidate) => Candidate) {
    fc.assert(
      fc.property(several, fc.nat(), (candidates, pick) => {
        const at = pick % candidates.length
        const chosen = candidates[at] as Candidate
        const improved = candidates.with(at, better(chosen))
        const { peerId } = chosen
        expect(placeOf(improved, peerId)).toBeLessThanOrEqual(placeOf(candidates, peerId))
      }),
    )
  }

  it('less load never ranks worse', () => {
    neverWorse((each) => ({ ...each, running: Math.floor(each.running / 2) }))
    neverWorse((each) => ({ ...each, queued: Math.floor(each.queued / 2) }))
    neverWorse((each) => ({ ...each, slots: each.slots + 1 }))
  })

  it('neither do speed, luck or a cache', () => {
    neverWorse((each) => ({ ...each, tokensPerSecond: each.tokensPerSecond * 2 }))
    neverWorse((each) => ({ ...each, familiar: true }))
    neverWorse((each) => ({ ...each, credits: Math.floor(each.credits / 2) }))
    neverWorse((each) => ({ ...each, shunned: false }))
    neverWorse((each) => ({ ...each, quietMs: Math.floor(each.quietMs / 2) }))
    neverWorse(({ measured: known, ...each }) => ({
      ...each,
      measured: known && { ...known, failureRate: known.failureRate / 2 },
    }))
    // The same silence says more of one that is quicker, so only of one that is not silent.
    neverWorse(({ measured: known, ...each }) => ({
      ...each,
      quietMs: 0,
      measured: known && { ...known, firstTokenMs: known.firstTokenMs / 2 },
    }))
  })

  it('ranks each once, by finite scores', () => {
    fc.assert(
      fc.property(several, (candidates) => {
        const ranked = rank(candidates)
        const peers = ranked.map(({ candidate: { peerId } }) => peerId)
        expect(peers.toSorted()).toEqual(candidates.map(({ peerId }) => peerId).toSorted())
        for (const { score } of ranked) expect(Number.isFinite(score) && score >= 0).toBe(true)
      }),
    )
  })
})
