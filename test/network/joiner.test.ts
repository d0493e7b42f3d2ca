import { expect, test } from 'vitest'
import type { Clock } from '../../src/base/clock.ts'
import { noMetrics } from '../../src/base/metrics.ts'
import type { Door } from '../../src/network/host/addresses.ts'
import { keepJoined } from '../../src/network/host/joiner.ts'
import { recorder } from './hosts.ts'

const doors: Door[] = ['a', 'b'].map((peerId) => ({ peerId, addresses: [`/dns/${peerId}`] }))

/** Runs the joiner through `rounds` of waiting; `reach` decides what answers, and may change the world. */
async function joined(
  rounds: number,
  world: { connected: string[]; peers: number },
  reach: (peerId: string, round: number) => boolean,
) {
  const stop = new AbortController()
  const waits: number[] = []
  const dials: string[] = []
  const clock: Clock = {
    now: () => 0,
    elapsed: () => waits.reduce((sum, ms) => sum + ms, 0),
    after: () => () => {},
    async sleep(ms, signal) {
      waits.push(ms)
      if (waits.length === rounds) stop.abort()
      signal.throwIfAborted()
    },
  }
  const { logger, lines } = recorder()
  await keepJoined(
    {
      clock,
      logger,
      metrics: noMetrics,
      dialled: () => world.peers,
      isConnected: (peerId) => world.connected.includes(peerId),
      async dial({ peerId }) {
        dials.push(peerId)
        if (!reach(peerId, waits.length)) throw new Error('refused')
        world.connected.push(peerId)
        world.peers++
      },
    },
    doors,
    stop.signal,
  )
  return { waits, dials, lines }
}

test('it tries ever less often while nobody answers, and says so once for each peer', async () => {
  const { waits, dials, lines } = await joined(9, { connected: [], peers: 0 }, () => false)
  expect(waits).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000])
  expect(dials).toHaveLength(18)
  expect(lines.filter((line) => line.level === 'warn')).toHaveLength(2)
})

test('it rests once joined, and does not dial those it is connected to', async () => {
  const { waits, dials } = await joined(3, { connected: [], peers: 0 }, () => true)
  expect(dials).toEqual(['a', 'b'])
  expect(waits).toEqual([5000, 5000, 5000])
})

test('with peers enough it dials nobody', async () => {
  const { dials } = await joined(2, { connected: [], peers: 4 }, () => true)
  expect(dials).toEqual([])
})

test('with any number of peers it looks for its own after ten minutes without', async () => {
  const around = { connected: [], peers: 300 }
  expect((await joined(120, around, () => true)).dials).toEqual([])
  const { dials } = await joined(300, around, () => true)
  expect(dials).toEqual(['a', 'b'])
  expect((await joined(300, { connected: ['b'], peers: 300 }, () => true)).dials).toEqual([])
})

test('one that comes back is told of, and the waiting starts anew', async () => {
  const world = { connected: [] as string[], peers: 0 }
  const { waits, lines } = await joined(4, world, (peerId, round) => peerId === 'a' && round >= 2)
  expect(waits).toEqual([1000, 2000, 5000, 1000])
  expect(lines.filter((line) => line.message === 'bootstrap peer joined')).toHaveLength(1)
})
