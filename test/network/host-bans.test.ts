import fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'
import type { PeerAction } from '../../src/base/errors.ts'
import { banRows } from '../../src/network/host/ban-rows.ts'
import { type Ban, Bans } from '../../src/network/host/bans.ts'
import { conductLimits as limits } from '../../src/network/host/limits.ts'
import { Rates } from '../../src/network/host/rates.ts'
import { FakeClock } from '../base/fake-clock.ts'
import { banStore, eventually, newHost, startHost, stopHosts } from './hosts.ts'

afterEach(stopHosts)

const wait = () => ({ signal: AbortSignal.timeout(5_000) })

function faults(bans: Bans, peerId: string, action: PeerAction, count: number) {
  return Array.from({ length: count }, () => bans.fault(peerId, action)).filter(Boolean)
}

test('faults in a row lead to a ban, the same over a day do not', async () => {
  const clock = new FakeClock()
  const bans = new Bans(clock)
  expect(faults(bans, 'a', 'ignore', 100)).toEqual([])
  expect(faults(bans, 'a', 'penalise', limits.pointsMax)).toEqual([])
  expect(bans.points('a')).toBe(limits.pointsMax)
  expect(faults(bans, 'a', 'penalise', 1)).toHaveLength(1)
  expect(bans.isBanned('a')).toBe(true)
  expect(bans.isBanned('b')).toBe(false)

  for (let hour = 0; hour < 48; hour++) {
    await clock.advance(30 * 60_000)
    expect(faults(bans, 'b', 'penalise', 1)).toEqual([])
  }
  expect(bans.isBanned('b')).toBe(false)
})

test('each ban in a row is longer, up to a limit, and after a good day it starts anew', async () => {
  const clock = new FakeClock()
  const bans = new Bans(clock)
  const lengths = []
  for (let count = 0; count < 8; count++) {
    const [verdict] = faults(bans, 'a', 'disconnect', 1)
    const ms = (verdict?.ban.until ?? 0) - clock.now()
    lengths.push(ms / limits.banFirstMs)
    await clock.advance(ms)
    expect(bans.isBanned('a')).toBe(false)
  }
  expect(lengths).toEqual([1, 2, 4, 8, 16, 30, 30, 30])
  await clock.advance(limits.banForgottenMs + 1)
  faults(bans, 'other', 'disconnect', 1)
  expect(faults(bans, 'a', 'disconnect', 1)).toMatchObject([{ ban: { count: 1 } }])
})

test('the list is bounded, and what falls off it was to end first', async () => {
  const clock = new FakeClock()
  const bans = new Bans(clock)
  faults(bans, 'first', 'disconnect', 1)
  await clock.advance(1)
  const forgotten = []
  for (let index = 0; index < limits.bansMax; index++) {
    forgotten.push(...faults(bans, `${index}`, 'disconnect', 1).flatMap((v) => v?.forgotten ?? []))
  }
  expect(forgotten).toEqual(['first'])
  expect(bans.isBanned('first')).toBe(false)
})

test('a kept ban holds, but not longer than any ban lasts', async () => {
  const clock = new FakeClock()
  const bans = new Bans(clock)
  const dropped = bans.restore([
    ['a', { until: clock.now() + 60_000, count: 1 }],
    ['b', { until: clock.now() + 1e12, count: 1 }],
    ['c', { until: clock.now() - limits.banForgottenMs - 1, count: 9 }],
  ])
  expect(dropped).toEqual(['c'])
  expect([bans.isBanned('a'), bans.isBanned('b'), bans.isBanned('c')]).toEqual([true, true, false])
  await clock.advance(limits.banMsMax)
  expect(bans.isBanned('b')).toBe(false)
})

test('what comes is let through at the rate, with the burst, whatever the pattern', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat({ max: 700 }), { maxLength: 60 }), async (pauses) => {
      const clock = new FakeClock()
      const rates = new Rates(clock)
      let through = 0
      let reports = 0
      for (const pause of pauses) {
        clock.stall(pause)
        const { ok, report } = rates.take('a', { perSecond: 5, burst: 10 })
        if (ok) through++
        if (report) reports++
      }
      const seconds = clock.elapsed() / 1000
      expect(through).toBeLessThanOrEqual(10 + 5 * seconds)
      expect(reports).toBeLessThanOrEqual(1 + seconds)
      if (pauses.length <= 10) expect(through).toBe(pauses.length)
    }),
  )
})

test('a ban outlives a restart, in either direction of dialling', async () => {
  const bans = banStore(new Map<string, Ban>())
  const a = await startHost()
  const b = await startHost({}, { bans })
  const idOf = (host: typeof a) => host.status().peerId
  await a.connect(idOf(b), b.status().addrs, wait())
  b.fault(idOf(a), 'disconnect', 'a lie')
  await eventually(() => !a.isConnected(idOf(b)))

  await b.stop()
  await b.start(wait())
  const again = await startHost({}, { bans })
  for (const host of [b, again]) {
    await expect(host.connect(idOf(a), a.status().addrs, wait())).rejects.toMatchObject({
      code: 'peer_banned',
    })
    await a.connect(idOf(host), host.status().addrs, wait()).catch(() => {})
    await eventually(() => !a.isConnected(idOf(host)))
    expect(host.connected()).toEqual([])
  }
})

test('a list that can not be read or written bans nobody, and stops nothing', async () => {
  const broken = () => Promise.reject(new Error('disk'))
  const bans = {
    // biome-ignore lint/correctness/useYield: it fails before it has anything to yield
    async *range(): AsyncGenerator<[string, Ban]> {
      throw new Error('disk')
    },
    put: broken,
    del: broken,
  }
  const host = await newHost({}, { bans })
  await host.start(wait())
  host.fault('12D3KooWBmwkafWE2fqfzS96VoTZgpGp6aJsF4N2W6YJcHhkHUfP', 'disconnect', 'a lie')
  expect(host.status().listening).toBe(true)
})

test('the rows of bans are checked when they are read', () => {
  const { encode, decode } = banRows.value
  const ban: Ban = { until: 1_800_000_000_000, count: 2 }
  expect(decode(encode(ban))).toEqual(ban)
  for (const odd of [
    '{}',
    '[]',
    '{"until":1}',
    '{"until":-1,"count":1}',
    '{"until":"x","count":1}',
  ]) {
    expect(() => decode(new TextEncoder().encode(odd))).toThrow()
  }
})
