import { expect, test } from 'vitest'
import { memoryHub } from '../../src/network/memory/memory-hub.ts'
import { FakeClock } from '../base/fake-clock.ts'

const wait = () => ({ signal: AbortSignal.timeout(5_000) })
const limits = { streamsMax: 4, opensPerSecond: 100 }
const bytes = (text: string) => new TextEncoder().encode(text)

async function pair() {
  const clock = new FakeClock()
  const hub = memoryHub({ clock })
  const [a, b] = [hub.network('a'), hub.network('b')]
  b.handle(
    'echo/1',
    async (stream) => {
      for (;;) {
        const frame = await stream.read(wait())
        if (frame === undefined) return
        stream.write(frame)
      }
    },
    limits,
  )
  await Promise.all([a.start(wait()), b.start(wait())])
  await a.connect('b', b.status().addrs, wait())
  return { clock, hub, a, b }
}

test('a frozen peer takes bytes and says nothing, until it is taken for dead', async () => {
  const { clock, hub, a } = await pair()
  const stream = await a.open('b', 'echo/1', wait())
  hub.freeze('b')
  stream.write(bytes('anybody?'))
  await expect(stream.read({ signal: AbortSignal.timeout(20) })).rejects.toThrow()
  expect(a.isConnected('b')).toBe(true)
  await clock.advance(20_000)
  expect(a.isConnected('b')).toBe(false)
  await expect(stream.read(wait())).rejects.toMatchObject({ code: 'connection_lost' })
})

test('what a cut held back arrives when it heals', async () => {
  const { hub, a } = await pair()
  const stream = await a.open('b', 'echo/1', wait())
  hub.cut('a', 'b')
  stream.write(bytes('late'))
  await expect(stream.read({ signal: AbortSignal.timeout(20) })).rejects.toThrow()
  hub.heal()
  expect(await stream.read(wait())).toEqual(bytes('late'))
})

test('a killed peer is gone at once, and another may take its id', async () => {
  const { hub, a } = await pair()
  const gone = Promise.withResolvers<void>()
  a.onConnection(({ connected }) => connected || gone.resolve())
  hub.kill('b')
  await gone.promise
  await expect(a.connect('b', [], wait())).rejects.toMatchObject({ code: 'peer_unreachable' })
  const again = hub.network('b')
  await again.start(wait())
  await a.connect('b', again.status().addrs, wait())
  expect(again.connected()).toEqual(['a'])
})

test('what is silent in one direction is heard in the other', async () => {
  const { hub, a } = await pair()
  const stream = await a.open('b', 'echo/1', wait())
  stream.write(bytes('one'))
  expect(await stream.read(wait())).toEqual(bytes('one'))
  const end = hub.silence((from, to) => from === 'b' && to === 'a')
  stream.write(bytes('two'))
  await expect(stream.read({ signal: AbortSignal.timeout(20) })).rejects.toThrow()
  end()
  expect(await stream.read(wait())).toEqual(bytes('two'))
})

test('a frozen peer does not notice that the others gave it up, until it is told', async () => {
  const { clock, hub, a, b } = await pair()
  const thaw = hub.freeze('b')
  await clock.advance(20_000)
  expect(a.isConnected('b')).toBe(false)
  expect(b.isConnected('a')).toBe(true)
  thaw()
  expect(b.isConnected('a')).toBe(false)
})

test('whose machine is gone is found out by the silence, and nothing happens in it', async () => {
  const { clock, hub, a, b } = await pair()
  const stream = await a.open('b', 'echo/1', wait())
  let heard = 0
  b.onConnection(() => heard++)
  hub.unplug('b')
  stream.write(bytes('anybody?'))
  expect(a.isConnected('b')).toBe(true)
  await clock.advance(20_000)
  expect(a.isConnected('b')).toBe(false)
  await expect(stream.read(wait())).rejects.toMatchObject({ code: 'connection_lost' })
  expect(heard).toBe(0)
})

test('a full peer lets somebody in when one of its connections is idle', async () => {
  const clock = new FakeClock()
  const hub = memoryHub({ clock })
  const full = hub.network('full', { connectionsMax: 1 })
  const [a, b] = [hub.network('a'), hub.network('b')]
  await Promise.all([full, a, b].map((network) => network.start(wait())))
  const { addrs } = full.status()
  await a.connect('full', addrs, wait())
  await expect(b.connect('full', addrs, wait())).rejects.toMatchObject({ code: 'peer_unreachable' })
  await clock.advance(10_000)
  await b.connect('full', addrs, wait())
  expect(full.connected()).toEqual(['b'])
})

test('whoever is only asked who it is makes no use of a connection of the other, which may end it', async () => {
  const clock = new FakeClock()
  const hub = memoryHub({ clock })
  const limits = { streamsMax: 4, opensPerSecond: 100 }
  for (const isIdle of [true, false]) {
    const full = hub.network(`full ${isIdle}`, { connectionsMax: 1 })
    full.handle('who/1', async (stream) => void (await stream.close()), { ...limits, isIdle })
    const [a, b] = [hub.network(`a ${isIdle}`), hub.network(`b ${isIdle}`)]
    await Promise.all([full, a, b].map((network) => network.start(wait())))
    const { peerId, addrs } = full.status()
    await a.connect(peerId, addrs, wait())
    await clock.advance(9_000)
    const stream = await a.open(peerId, 'who/1', wait())
    await stream.close()
    await clock.advance(1_000)
    const comes = b.connect(peerId, addrs, wait()).then(
      () => true,
      () => false,
    )
    expect(await comes).toBe(isIdle)
  }
})

test('a message reaches each of a crowd once, over few of its connections', async () => {
  const clock = new FakeClock()
  let sent = 0
  const hub = memoryHub({ clock, onSent: () => sent++ })
  const crowd = Array.from({ length: 40 }, (_, n) => hub.network(`peer ${n}`))
  const heard: string[] = []
  for (const each of crowd) {
    await each.start(wait())
    each.subscribe('news', async () => {
      heard.push(each.peerId)
      return 'keep'
    })
  }
  for (const a of crowd) {
    for (const b of crowd) if (a !== b) await a.connect(b.peerId, b.status().addrs, wait())
  }
  await crowd[0]?.publish('news', bytes('new'))
  await clock.advance(1_000)
  expect(heard.toSorted()).toEqual(
    crowd
      .slice(1)
      .map(({ peerId }) => peerId)
      .toSorted(),
  )
  // Each has some sixteen neighbours in its mesh: eight that it took, and those that took it.
  expect(sent).toBeLessThan(crowd.length * 20)
  // The mesh is made whole again where neighbours leave.
  for (const each of crowd.slice(5)) hub.kill(each.peerId)
  heard.length = 0
  await crowd[0]?.publish('news', bytes('newer'))
  await clock.advance(1_000)
  expect(heard).toHaveLength(4)
})
