import type { Stream } from '@libp2p/interface'
import { afterEach, expect, test } from 'vitest'
import type { Libp2pHost } from '../../src/network/host/libp2p-host.ts'
import { conductLimits, frameLimits } from '../../src/network/host/limits.ts'
import type { FrameStream } from '../../src/network/network.ts'
import { FRAME_BYTES_MAX } from '../../src/wire/protocols.ts'
import { FakeClock, settled } from '../base/fake-clock.ts'
import { rounds } from '../campaign.ts'
import { at, eventually, newHost, startHost, stopHosts } from './hosts.ts'

afterEach(stopHosts)

const ECHO = '/pinaivu/test/echo/1'
const wait = (ms = 8_000) => ({ signal: AbortSignal.timeout(ms) })
const idOf = (host: Libp2pHost) => host.status().peerId

/** One that serves two protocols on a clock of the test's, and one that attacks it. */
async function attacked(streamsMax = 4) {
  const clock = new FakeClock()
  const victim = await newHost({}, { clock })
  const failures: unknown[] = []
  const writing = Promise.withResolvers<FrameStream>()
  victim.handle(
    'echo/1',
    async (stream) => {
      try {
        for (;;) {
          const frame = await stream.read(wait())
          if (frame === undefined) return
          stream.write(frame)
        }
      } catch (error) {
        failures.push(error)
        throw error
      }
    },
    { streamsMax, opensPerSecond: 1000 },
  )
  victim.handle(
    'pour/1',
    async (stream) => {
      writing.resolve(stream)
      for (;;) {
        await stream.writable(wait())
        stream.write(new Uint8Array(FRAME_BYTES_MAX))
      }
    },
    { streamsMax, opensPerSecond: 1000 },
  )
  await victim.start(wait())
  const attacker = await startHost()
  await attacker.connect(idOf(victim), victim.status().addrs, wait())
  await eventually(() => victim.isConnected(idOf(attacker)))
  const raw = async (protocol = ECHO) => {
    const [connection] = attacker.node.getConnections()
    if (connection === undefined) throw new Error('not connected')
    return await connection.newStream([protocol])
  }
  return { victim, attacker, clock, raw, failures, poured: writing.promise }
}

const ended = (stream: Stream) => eventually(() => stream.status !== 'open')

/** A third peer, and whether it is served. */
async function honest(victim: Libp2pHost) {
  const host = await startHost()
  await host.connect(idOf(victim), victim.status().addrs, wait())
  return async () => {
    const stream = await host.open(idOf(victim), 'echo/1', wait())
    stream.write(Uint8Array.of(7))
    expect(await stream.read(wait())).toEqual(Uint8Array.of(7))
    await stream.close()
    expect(await stream.read(wait())).toBeUndefined()
  }
}

test.each([
  ['4 GiB', [0xff, 0xff, 0xff, 0xff, 0x0f], 'bad_frame'],
  ['64 KiB and one byte', [0x81, 0x80, 0x04], 'bad_frame'],
  ['a length with a byte too many', [0x81, 0x00, 0x07], 'bad_frame'],
  ['empty frames', Array(4096).fill(0), 'bad_frame'],
  ['half a frame, and then the end', [0x05, 0x01], 'truncated_frame'],
  ['half a length, and then the end', [0x85], 'truncated_frame'],
])('%s: the stream is reset, the fault is counted, the next stream is served', async (...row) => {
  const [, bytes, code] = row
  const { raw, failures, victim, attacker } = await attacked()
  const stream = await raw()
  stream.send(Uint8Array.from(bytes))
  if (code === 'truncated_frame') await stream.close()
  await ended(stream)
  await eventually(() => failures.length > 0)
  expect(failures).toMatchObject([{ code, action: 'penalise' }])
  const next = await attacker.open(idOf(victim), 'echo/1', wait())
  next.write(Uint8Array.of(1))
  expect(await next.read(wait())).toEqual(Uint8Array.of(1))
})

test('one that sends garbage again and again is banned', async () => {
  const { raw, victim, attacker } = await attacked()
  for (let fault = 0; fault <= conductLimits.pointsMax; fault++) {
    const stream = await raw()
    stream.send(Uint8Array.of(0))
    await ended(stream)
  }
  await eventually(() => !victim.isConnected(idOf(attacker)))
  await attacker.connect(idOf(victim), victim.status().addrs, wait()).catch(() => {})
  await eventually(() => !attacker.isConnected(idOf(victim)))
})

test('streams that say nothing, or one byte at a time, lose their place', async () => {
  const { raw, clock, failures, victim } = await attacked(2)
  const served = await honest(victim)
  const [silent, slow] = [await raw(), await raw()]
  slow.send(Uint8Array.of(100))
  const third = await raw()
  await ended(third)
  for (let second = 0; second < frameLimits.frameMs / 1000; second++) {
    expect([silent.status, slow.status]).toEqual(['open', 'open'])
    slow.send(Uint8Array.of(second))
    await settled()
    await clock.advance(1_000)
  }
  await Promise.all([ended(silent), ended(slow)])
  await eventually(() => failures.length === 2)
  expect(failures).toMatchObject([{ code: 'slow_frame' }, { code: 'slow_frame' }])
  await served()
})

test('one that never reads is waited for, then let go', async () => {
  const { raw, clock, poured, victim } = await attacked()
  const stream = await raw('/pinaivu/test/pour/1')
  // Without a listener nothing is taken, and its window closes.
  stream.pause()
  const there = await poured
  const stuck = () =>
    victim.node
      .getConnections()
      .flatMap(({ streams }) => streams)
      .some((one) => one.protocol === '/pinaivu/test/pour/1' && one.writableNeedsDrain)
  await eventually(stuck)
  await clock.advance(frameLimits.stallMs)
  await eventually(() => there.ended.aborted)
  expect(there.ended.reason).toMatchObject({ code: 'deadline_exceeded' })
})

test('what one does not read of us is not read of it for ever: its sender has to wait', async () => {
  const { raw, victim } = await attacked()
  const stream = await raw('/pinaivu/test/pour/1')
  const chunk = new Uint8Array(64 * 1024).fill(1)
  let sent = 0
  while (sent < 64 && stream.send(chunk)) sent++
  expect(sent).toBeLessThan(64)
  expect(victim.status().connections).toBe(1)
})

test('a handler that is done keeps no place for a stream that is left open', async () => {
  const clock = new FakeClock()
  const victim = await newHost({}, { clock })
  victim.handle('bye/1', async () => {}, { streamsMax: 1, opensPerSecond: 1000 })
  await victim.start(wait())
  const other = await startHost()
  await other.connect(idOf(victim), victim.status().addrs, wait())
  const open = () => other.open(idOf(victim), 'bye/1', wait())
  const first = await open()
  expect(await first.read(wait())).toBeUndefined()
  await expect((await open()).read(wait())).rejects.toMatchObject({ code: 'stream_reset' })
  await clock.advance(frameLimits.lingerMs)
  await eventually(() => first.ended.aborted)
  expect(await (await open()).read(wait())).toBeUndefined()
})

/** Opens so many streams as fast as it can; returns how many were let through. */
async function flood(raw: (protocol?: string) => Promise<Stream>, count: number, protocol = ECHO) {
  let through = 0
  for (let sent = 0; sent < count; sent += 50) {
    const opened = await Promise.allSettled(Array.from({ length: 50 }, () => raw(protocol)))
    for (const one of opened) {
      if (one.status === 'rejected') continue
      through++
      one.value.abort(new Error('next'))
    }
  }
  return through
}

test('a flood of streams is cut at the rate, and an honest peer is served', async () => {
  const { victim, clock, raw } = await attacked(256)
  const served = await honest(victim)
  // Time stands still for the victim: the burst is all that there is.
  const through = await flood(raw, rounds(800, 10_000))
  expect(through).toBeLessThanOrEqual(conductLimits.opens.burst)
  await served()
  await clock.advance(1_000)
  await served()
})

test('one that floods on is banned, also with streams of a protocol that nobody speaks', async () => {
  const { victim, attacker, clock, raw } = await attacked()
  const { opens, pointsMax } = conductLimits
  await flood(raw, opens.burst, '/nobody/speaks/this')
  for (let second = 0; second <= pointsMax; second++) {
    await flood(raw, opens.perSecond + 50, '/nobody/speaks/this')
    await clock.advance(1_000)
  }
  await eventually(() => !victim.isConnected(idOf(attacker)))
})

test('any number of peers of one machine open no more than it may, and none is told off for it', async () => {
  const { victim, clock } = await attacked()
  const { opens, opensOfMachine } = conductLimits
  const crowd = await Promise.all(Array.from({ length: 4 }, () => startHost()))
  for (const host of crowd) await host.connect(idOf(victim), victim.status().addrs, wait())
  await eventually(() => crowd.every((host) => victim.isConnected(idOf(host))))
  let through = 0
  for (const host of crowd) {
    const raw = async (protocol = ECHO) => {
      const [connection] = host.node.getConnections()
      if (connection === undefined) throw new Error('not connected')
      return await connection.newStream([protocol])
    }
    through += await flood(raw, opens.burst)
  }
  expect(through).toBeLessThanOrEqual(opensOfMachine.burst)
  expect(through).toBeGreaterThan(opens.burst)
  for (const host of crowd) expect(victim.isConnected(idOf(host))).toBe(true)
  await clock.advance(1_000)
  const stream = await at(crowd, 3).open(idOf(victim), 'echo/1', wait())
  stream.write(Uint8Array.of(1))
  expect(await stream.read(wait())).toEqual(Uint8Array.of(1))
})
