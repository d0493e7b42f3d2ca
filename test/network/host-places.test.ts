import type { Connection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { afterEach, expect, test, vi } from 'vitest'
import { silentLogger } from '../../src/base/logger.ts'
import { idleMsWith } from '../../src/network/crowding.ts'
import { connectionLimits, placeLimits as limits } from '../../src/network/host/limits.ts'
import { Places } from '../../src/network/host/places.ts'
import { FakeClock } from '../base/fake-clock.ts'
import { eventually, newHost, startHost, stopHosts } from './hosts.ts'

afterEach(stopHosts)

const { connectionsMax } = connectionLimits
/** Of those that stand idle in a house that is nearly full. */
const idleMs = idleMsWith(limits.takenMax, connectionsMax)

const wait = () => ({ signal: AbortSignal.timeout(8_000) })

/** Places that so many silent peers have taken, named after the time at which they came. */
function house(count: number, kept = new Set<string>()) {
  const clock = new FakeClock()
  const guests = new Set<string>()
  const places = new Places({
    clock,
    logger: silentLogger,
    isKept: (peerId) => kept.has(peerId),
    taken: () => guests.size,
    letGo: async (peerId) => leave(peerId),
  })
  const leave = (peerId: string) => {
    guests.delete(peerId)
    places.changed({ peerId, connected: false })
  }
  const enter = (peerId: string) => {
    guests.add(peerId)
    places.changed({ peerId, connected: true })
  }
  for (let n = 0; n < count; n++) enter(`silent ${n}`)
  return { clock, guests, places, enter, leave }
}

test('when few places are left, the silent leave until there is room', async () => {
  const { clock, guests } = house(limits.takenMax + 1)
  await clock.advance(idleMs - limits.lookEveryMs)
  expect(guests.size).toBe(limits.takenMax + 1)
  await clock.advance(2 * limits.lookEveryMs)
  expect(guests.size).toBe(limits.takenMax)
  expect(guests.size).toBeLessThan(connectionsMax)
})

test('the fewer places are left, the sooner they leave', async () => {
  const { clock, guests } = house(connectionsMax)
  await clock.advance(5_000)
  expect(guests.size).toBe(connectionsMax)
  await clock.advance(5_000)
  expect(guests.size).toBe(limits.takenMax)
  const waits = [limits.takenMax, limits.takenMax + 30, connectionsMax]
  expect(waits.map((taken) => idleMsWith(taken, connectionsMax))).toEqual([60_000, 30_000, 10_000])
})

test('while there is room, nobody has to leave', async () => {
  const { clock, guests } = house(limits.takenMax)
  await clock.advance(10 * idleMs)
  expect(guests.size).toBe(limits.takenMax)
})

test('those leave first who were idle for longest; who is kept or at work stays', async () => {
  const kept = new Set(['silent 0'])
  const { clock, guests, places, enter } = house(limits.takenMax, kept)
  const work = new AbortController()
  const over = new AbortController()
  places.used('silent 1', work.signal)
  places.used('silent 2', over.signal)
  await clock.advance(idleMs)
  over.abort()
  enter('newcomer')
  enter('other')
  await clock.advance(limits.lookEveryMs)
  const left = Array.from({ length: 6 }, (_, n) => guests.has(`silent ${n}`))
  expect(left).toEqual([true, true, true, false, false, true])
  expect(guests.size).toBe(limits.takenMax)
  work.abort()
})

test('after a stop, nobody is looked at any more', async () => {
  const { clock, guests, places } = house(connectionsMax)
  places.stop()
  await clock.advance(2 * idleMs)
  expect(guests.size).toBe(connectionsMax)
  expect(clock.pending).toBe(0)
})

test('a host that is nearly full lets go who only sits there', async () => {
  const clock = new FakeClock()
  const full = await newHost({}, { clock })
  const streams = { streamsMax: 4, opensPerSecond: 100 }
  full.handle('echo/1', async (stream) => void (await stream.read(wait())), streams)
  await full.start(wait())
  const { peerId, addrs } = full.status()
  const open = full.node.getConnections.bind(full.node)
  const elsewhere = { remoteAddr: multiaddr('/ip4/192.0.2.1/tcp/1') } as Connection
  const others: Connection[] = Array(limits.takenMax).fill(elsewhere)
  vi.spyOn(full.node, 'getConnections').mockImplementation((id) =>
    id === undefined ? [...open(), ...others] : open(id),
  )
  const [silent, busy] = [await startHost(), await startHost()]
  for (const host of [silent, busy]) await host.connect(peerId, addrs, wait())
  await eventually(() => full.status().connections === 2)
  const stream = await busy.open(peerId, 'echo/1', wait())
  stream.write(Uint8Array.of(1))
  await stream.read(wait())
  await clock.advance(idleMs + limits.lookEveryMs)
  await eventually(() => full.status().connections === 1)
  expect(full.isConnected(busy.status().peerId)).toBe(true)
})
