import { describe, expect, test } from 'vitest'
import { WATCHERS_MAX } from '../../../src/network/discovery/status-publisher.ts'
import type { FrameStream } from '../../../src/network/network.ts'
import type { Status } from '../../../src/wire/status.ts'
import { decodeStatus, encodeStatus } from '../../../src/wire/status-codec.ts'
import { load, model, Stage } from './stage.ts'

/** Reads a peer's status, when it wants to. */
async function reader() {
  const stage = new Stage()
  const provider = await stage.peer({ models: ['m'] })
  const puppet = await stage.puppet()
  await stage.connect(puppet, provider)
  const signal = AbortSignal.timeout(10_000)
  const stream = await puppet.network.open(provider.peerId, 'status/1', { signal })
  const heard: { at: number; status: Status }[] = []
  const readOne = async () => {
    const frame = await stream.read({ signal })
    if (frame) heard.push({ at: stage.clock.elapsed(), status: decodeStatus(frame) })
  }
  const readOn = async () => {
    for (;;) await readOne()
  }
  const change = (running: number) => {
    provider.load = [load('m', { running })]
    provider.discovery.loadChanged()
  }
  return { stage, provider, stream, heard, readOne, readOn, change }
}

describe('a provider', () => {
  test('says its load at once, at each change, and every five seconds', async () => {
    const { stage, heard, readOn, change } = await reader()
    void readOn().catch(() => {})
    await stage.clock.advance(0)
    expect(heard.map(({ status }) => status.models)).toEqual([[load('m')]])
    await stage.clock.advance(2_000)
    expect(heard).toHaveLength(1)
    change(1)
    await stage.clock.advance(0)
    expect(heard.at(-1)?.status.models).toEqual([load('m', { running: 1 })])
    await stage.clock.advance(15_000)
    expect(heard).toHaveLength(5)
  })

  test('says a burst of changes as a few, the last of them within 50 ms', async () => {
    const { stage, heard, readOn, change } = await reader()
    void readOn().catch(() => {})
    await stage.clock.advance(1_000)
    heard.length = 0
    for (let n = 1; n <= 100; n++) {
      change(n)
      await stage.clock.advance(1)
    }
    await stage.clock.advance(50)
    expect(heard.length).toBeLessThanOrEqual(4)
    expect(heard.at(-1)?.status.models[0]?.running).toBe(100)
  })

  test('tells only so many at once: they keep connections, which are for others too', async () => {
    const stage = new Stage()
    const provider = await stage.peer({ models: ['m'] })
    const signal = AbortSignal.timeout(10_000)
    const streams: FrameStream[] = []
    const watch = async () => {
      const puppet = await stage.puppet()
      await stage.connect(puppet, provider)
      const stream = await puppet.network.open(provider.peerId, 'status/1', { signal })
      streams.push(stream)
      return stream.read({ signal })
    }
    for (let n = 0; n < WATCHERS_MAX; n++) expect(await watch()).toBeDefined()
    await expect(watch()).rejects.toMatchObject({ code: 'stream_reset' })
    for (const stream of streams) stream.reset(new Error('enough'))
    await stage.clock.advance(0)
    expect(await watch()).toBeDefined()
  })

  test('keeps no queue for a reader that is slow: it gets the newest', async () => {
    const { stage, provider, heard, stream, readOne } = await reader()
    // Statuses so long that a few of them fill what the reader may have unread.
    const names = Array.from({ length: 60 }, (_, n) => `${n}-${'x'.repeat(200)}`)
    const ids = names.map((name) => `declared:${name}@${provider.peerId}`)
    for (let n = 1; n <= 2_000; n++) {
      provider.load = ids.map((id) => ({ ...load('m', { running: n }), id }))
      provider.discovery.loadChanged()
      await stage.clock.advance(50)
    }
    expect(stream.ended.aborted).toBe(false)
    for (let n = 0; n < 40; n++) {
      const reading = readOne()
      await stage.clock.advance(0)
      await reading
      if (heard.at(-1)?.status.models[0]?.running === 2_000) break
    }
    expect(heard.length).toBeLessThan(40)
    expect(heard.at(-1)?.status.models[0]?.running).toBe(2_000)
  })

  test('says that it drains', async () => {
    const { stage, provider, heard, readOn } = await reader()
    void readOn().catch(() => {})
    await stage.clock.advance(0)
    provider.discovery.drain()
    await stage.clock.advance(0)
    expect(heard.map(({ status }) => status.draining)).toEqual([false, true])
  })
})

describe('whoever watches', () => {
  test('knows the load, the round trip, and keeps the connection', async () => {
    const stage = new Stage({ latencyMs: 20 })
    const [a, b] = [await stage.peer(), await stage.peer({ models: ['m'] })]
    await stage.connect(a, b)
    await stage.clock.advance(1_000)
    const entry = () => a.discovery.directory.get(b.peerId)
    expect(entry()?.status?.models).toEqual([load('m')])
    expect(entry()?.rttMs).toBe(40)
    expect(a.network.kept).toEqual(new Set([b.peerId]))
    b.load = [load('m', { queued: 3 })]
    b.discovery.loadChanged()
    await stage.clock.advance(100)
    expect(entry()?.status?.models[0]?.queued).toBe(3)
    b.discovery.drain()
    await stage.clock.advance(100)
    expect(entry()?.status?.draining).toBe(true)
  })

  test('asks for a newer advert that a status names', async () => {
    const stage = new Stage()
    const [a, b] = [await stage.peer(), await stage.peer({ models: ['m'] })]
    await stage.connect(a, b)
    await stage.clock.advance(5_000)
    b.facts = { ...b.facts, models: [model('n')] }
    b.discovery.changed()
    await stage.clock.advance(200)
    expect(a.discovery.directory.byModelName('m')).toEqual([])
    expect(a.discovery.directory.byModelName('n')).toHaveLength(1)
  })

  test('hears of it through a listener', async () => {
    const stage = new Stage()
    const [a, b] = [await stage.peer(), await stage.peer({ models: ['m'] })]
    const running: (number | undefined)[] = []
    const unlisten = a.discovery.onChange(({ entry }) => {
      const now = entry?.status?.models[0]?.running
      if (running.at(-1) !== now) running.push(now)
    })
    await stage.connect(a, b)
    await stage.clock.advance(500)
    b.load = [load('m', { running: 2 })]
    b.discovery.loadChanged()
    await stage.clock.advance(100)
    unlisten()
    await stage.stop(b)
    expect(running).toEqual([0, 2])
  })

  test('follows sixty-four, those that are wanted before the others', async () => {
    const stage = new Stage()
    const a = await stage.peer()
    const puppets = []
    for (let n = 0; n < 80; n++) {
      const puppet = await stage.puppet()
      puppet.answer = puppet.signed()
      const { peerId, addrs } = puppet.network.status()
      void a.network.connect(peerId, addrs, { signal: AbortSignal.timeout(5_000) })
      puppets.push(puppet)
    }
    await stage.clock.advance(2_000)
    expect(a.network.kept.size).toBe(64)
    const wanted = puppets.slice(-10).map(({ peerId }) => peerId)
    a.discovery.watch(wanted)
    await stage.clock.advance(2_000)
    expect(a.network.kept.size).toBe(64)
    expect(wanted.every((peerId) => a.network.kept.has(peerId))).toBe(true)
  })
})

describe('a hostile provider', () => {
  async function hostile(speak: (stream: FrameStream) => Promise<void>) {
    const stage = new Stage()
    const a = await stage.peer()
    const puppet = await stage.puppet({ serve: { 'status/1': speak } })
    puppet.answer = puppet.signed({ sequence: 1 })
    await stage.connect(a, puppet)
    return { stage, a, puppet }
  }
  const status = (advertSequence = 1) =>
    encodeStatus({ advertSequence, draining: false, models: [load('m')] })

  test('that says what is no status is blamed', async () => {
    const { stage, a, puppet } = await hostile(async (stream) => stream.write(Uint8Array.of(7)))
    await stage.clock.advance(1_000)
    expect(stage.hub.faults.find(({ by }) => by === a.peerId)).toMatchObject({
      peerId: puppet.peerId,
      reason: 'malformed',
    })
  })

  test('that talks without end is read slowly', async () => {
    let said = 0
    const { stage, a } = await hostile(async (stream) => {
      while (!stream.ended.aborted) {
        await stream.writable({ signal: stream.ended })
        stream.write(status())
        said++
      }
    })
    let changes = 0
    a.discovery.onChange(() => changes++)
    await stage.clock.advance(1_000)
    expect(said).toBeGreaterThan(1_000)
    expect(changes).toBeLessThan(60)
  })

  test('that promises newer adverts and has none is asked once a second', async () => {
    let sequence = 2
    const { stage, puppet } = await hostile(async (stream) => {
      while (!stream.ended.aborted) {
        await stream.writable({ signal: stream.ended })
        stream.write(status(sequence++))
      }
    })
    await stage.clock.advance(10_000)
    expect(puppet.asked).toBeLessThanOrEqual(13)
  })

  test('that falls silent loses what it said', async () => {
    const { stage, a, puppet } = await hostile(async (stream) => {
      stream.write(status())
      await new Promise((resolve) => stream.ended.addEventListener('abort', resolve))
    })
    const entry = () => a.discovery.directory.get(puppet.peerId)
    await stage.clock.advance(1_000)
    expect(entry()?.status).toBeDefined()
    await stage.clock.advance(14_700)
    expect(entry()).toBeDefined()
    expect(entry()?.status).toBeUndefined()
  })
})
