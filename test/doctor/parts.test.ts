import { describe, expect, it } from 'vitest'
import { advised, ok } from '../../src/doctor/finding.ts'
import { nat } from '../../src/doctor/nat.ts'
import { isOlder, nodeVersion } from '../../src/doctor/node-version.ts'
import { placeOf } from '../../src/doctor/ports.ts'
import { runChecks } from '../../src/doctor/run-checks.ts'
import { offsetsOf, time } from '../../src/doctor/time.ts'
import { FakeClock } from '../base/fake-clock.ts'

const never = new Promise<never>(() => {})
const { signal } = new AbortController()

describe('checks', () => {
  it('are done side by side, and none is waited for longer than its time', async () => {
    const clock = new FakeClock()
    const late = { ...ok('It hangs.'), verdict: 'fail' as const, code: 'hangs' }
    const done = runChecks(
      [
        { name: 'quick', look: async () => ok('Fine.') },
        { name: 'stuck', look: () => never },
        { name: 'known', look: () => never, late },
        { name: 'broken', look: () => Promise.reject(new Error('no such thing')) },
        { name: 'many', look: async () => [ok('One.'), ok('Two.')] },
      ],
      clock,
      { ms: 4000, signal },
    )
    await clock.advance(4000)
    expect((await done).map(({ check, code }) => [check, code])).toEqual([
      ['quick', 'ok'],
      ['stuck', 'check_too_slow'],
      ['known', 'hangs'],
      ['broken', 'check_failed'],
      ['many', 'ok'],
      ['many', 'ok'],
    ])
    expect(clock.pending).toBe(0)
  })

  it('end when the user wants no more', async () => {
    const end = new AbortController()
    const check = { name: 'stuck', look: () => never }
    const done = runChecks([check], new FakeClock(), { ms: 4000, signal: end.signal })
    end.abort(new Error('enough'))
    await expect(done).rejects.toThrow('enough')
  })
})

it('a message is parted from its advice', () => {
  const found = advised('fail', 'x', 'a.gguf is cut off. Tensors are missing. Fetch it again.')
  expect(found).toMatchObject({
    cause: 'a.gguf is cut off. Tensors are missing.',
    next: 'Fetch it again.',
  })
  expect(advised('fail', 'x', 'Only this.')).toEqual({
    ...{ verdict: 'fail', code: 'x', cause: 'Only this.' },
  })
})

it('an old Node is told with what is needed', () => {
  expect(nodeVersion('24.9.0', '>=22.13')).toMatchObject({ verdict: 'ok' })
  expect(nodeVersion('22.13.0', '>=22.13')).toMatchObject({ verdict: 'ok' })
  const old = nodeVersion('20.11.1', '>=22.13')
  expect(old).toMatchObject({ verdict: 'fail', code: 'node_too_old' })
  expect(old.cause).toMatch(/20\.11\.1.*22\.13/)
  expect(old.next).toMatch(/npm install/)
})

it.each([
  ['22.9', '22.13', true],
  ['22.13', '22.13', false],
  ['525.60.13', '525', false],
  ['470.256.02', '525', true],
  ['580.95.05', '580', false],
])('%s is older than %s: %s', (version, least, older) => {
  expect(isOlder(version, least)).toBe(older)
})

it.each([
  ['/ip4/0.0.0.0/tcp/7463', { host: '0.0.0.0', port: 7463 }],
  ['/ip6/::/tcp/1', { host: '::', port: 1 }],
  ['/dns4/a/tcp/1', undefined],
])('the place of %s', (address, place) => {
  if (place === undefined) expect(placeOf(address)).toBeUndefined()
  else expect(placeOf(address)).toMatchObject(place)
})

describe('clocks of others', () => {
  const head = (author: string, size: number, atMs: number) => ({ author, epoch: 'e', size, atMs })
  const offsets = (before: ReturnType<typeof head>[], after: ReturnType<typeof head>[]) =>
    offsetsOf({ heads: before, now: 100_000 }, { heads: after, now: 102_000 }, 'me')

  it('show in a log that grew meanwhile', () => {
    expect(offsets([head('a', 1, 0)], [head('a', 2, 101_000)])).toEqual([0])
    expect(offsets([head('a', 1, 0)], [head('a', 2, 402_000)])).toEqual([300_000])
    expect(offsets([head('a', 1, 0)], [head('a', 2, 40_000)])).toEqual([-60_000])
  })

  it('show in what lies in the future, and in nothing else that is old', () => {
    expect(offsets([], [head('a', 1, 702_000)])).toEqual([600_000])
    expect(offsets([head('a', 1, 5)], [head('a', 1, 5)])).toEqual([])
    expect(offsets([], [head('a', 1, 5)])).toEqual([])
    expect(offsets([], [head('me', 1, 702_000)])).toEqual([])
  })

  it('are believed by their median: one that lies changes nothing', () => {
    const evidence = { now: 0, newestFileMs: undefined, isSynced: undefined }
    expect(time({ ...evidence, offsets: [0, -200, 9_000_000] })).toMatchObject({ verdict: 'ok' })
    expect(time({ ...evidence, offsets: [-60_000] })).toMatchObject({
      ...{ code: 'clock_wrong', cause: expect.stringMatching(/1 min ahead of .*1 peer,/) },
    })
  })
})

describe('what a peer will be reached by, before one runs', () => {
  const none = { type: 'none' } as const
  const joins = true

  it.each([
    [{ own: ['10.0.0.2'], seenAs: ['203.0.113.7'], joins }, 'warn', 'nat_translated'],
    [{ own: ['203.0.113.7'], seenAs: ['203.0.113.7'], joins }, 'ok', 'ok'],
    [{ own: ['10.0.0.2'], seenAs: ['10.0.0.2'], joins }, 'skip', 'skipped'],
    [{ own: ['10.0.0.2', '2a02::1'], seenAs: [], joins }, 'ok', 'ok'],
    [{ own: ['10.0.0.2'], seenAs: [], joins: false }, 'ok', 'ok'],
  ])('%j', (sources, verdict, code) => {
    expect(nat(none, sources)).toMatchObject({ verdict, code })
  })
})
