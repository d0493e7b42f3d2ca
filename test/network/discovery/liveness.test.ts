import { describe, expect, test } from 'vitest'
import { Disk, type Puppet, Stage, type StagePeer } from './stage.ts'

/** Milliseconds until `peer` does not list `other` any more. */
async function untilGone(stage: Stage, peer: StagePeer, other: { peerId: string }) {
  const began = stage.clock.elapsed()
  while (peer.lists(other)) {
    if (stage.clock.elapsed() - began > 120_000) throw new Error('still listed')
    await stage.clock.advance(250)
  }
  return stage.clock.elapsed() - began
}

async function pair(models: readonly string[]) {
  const stage = new Stage({ latencyMs: 5 })
  const [a, b] = [await stage.peer(), await stage.peer({ models })]
  await stage.connect(a, b)
  await stage.clock.advance(20_000)
  expect(a.lists(b)).toBe(true)
  return { stage, a, b }
}

/** A peer that knows so many. */
async function crowded(count: number) {
  const stage = new Stage()
  const a = await stage.peer()
  const puppets: Puppet[] = []
  for (let n = 0; n < count; n++) {
    const puppet = await stage.puppet()
    puppet.answer = puppet.signed({ models: [] })
    puppets.push(puppet)
    const { peerId, addrs } = puppet.network.status()
    void a.network.connect(peerId, addrs, { signal: AbortSignal.timeout(5_000) })
  }
  await stage.clock.advance(2_000)
  expect(a.listed()).toHaveLength(count)
  return { stage, a, puppets }
}

describe('gone within 30 s is', () => {
  test('one whose process was killed', async () => {
    const { stage, a, b } = await pair(['m'])
    stage.hub.kill(b.peerId)
    expect(await untilGone(stage, a, b)).toBeLessThan(8_000)
    const lost = a.lines.find(({ message }) => message === 'peer lost')
    expect(lost?.data).toMatchObject({ peerId: b.peerId, reason: 'connection lost' })
  })

  for (const [how, models] of [
    ['watched', ['m']],
    ['not watched', []],
  ] as const) {
    test(`one that freezes, ${how}`, async () => {
      const { stage, a, b } = await pair(models)
      stage.hub.freeze(b.peerId)
      expect(await untilGone(stage, a, b)).toBeLessThan(30_000)
    })

    test(`one whose cable was pulled, ${how}, and so are we for it`, async () => {
      const { stage, a, b } = await pair(models)
      stage.hub.cut(a.peerId, b.peerId)
      const [here, there] = await Promise.all([untilGone(stage, a, b), untilGone(stage, b, a)])
      expect(Math.max(here, there)).toBeLessThan(30_000)
    })
  }

  test('one that nobody is connected to any more', async () => {
    const { stage, a, b } = await pair([])
    a.network.drop(b.peerId)
    await stage.clock.advance(3_000)
    await a.network.disconnect(b.peerId)
    stage.hub.kill(b.peerId)
    expect(await untilGone(stage, a, b)).toBeLessThan(30_000)
  })

  test('each of a hundred and fifty that freeze at once', async () => {
    const { stage, a, puppets } = await crowded(150)
    for (const puppet of puppets) stage.hub.freeze(puppet.peerId)
    const frozenAt = stage.clock.elapsed()
    while (a.listed().length > 0) await stage.clock.advance(1_000)
    expect(stage.clock.elapsed() - frozenAt).toBeLessThan(30_000)
  })

  test('one that changed its advert to live for an hour', async () => {
    const stage = new Stage()
    const a = await stage.peer()
    const puppet = await stage.puppet()
    puppet.answer = puppet.signed({ ttlS: 3600 })
    await stage.connect(a, puppet)
    stage.hub.freeze(puppet.peerId)
    expect(await untilGone(stage, a, puppet)).toBeLessThan(30_000)
  })
})

describe('where there are plenty of others,', () => {
  test('one that ends its connection is forgotten, and not sought again', async () => {
    const { stage, a, puppets } = await crowded(150)
    const full = puppets.at(-1) as Puppet
    full.network.giveUp(a.peerId)
    await stage.clock.advance(100)
    expect(a.lists(full)).toBe(false)
    const lost = a.lines.find(({ message }) => message === 'peer lost')
    expect(lost?.data).toMatchObject({ peerId: full.peerId, reason: 'let go' })
    await stage.clock.advance(30_000)
    expect(a.network.isConnected(full.peerId)).toBe(false)
  })

  test('who has lost most of them holds on to the rest', async () => {
    const { stage, a, puppets } = await crowded(150)
    for (const { network } of puppets) network.giveUp(a.peerId)
    await stage.clock.advance(10_000)
    expect(a.listed()).toHaveLength(128)
    expect(a.network.connected()).toHaveLength(128)
  })
})

test('a healthy peer stays, watched or not, connected or not', async () => {
  const stage = new Stage({ latencyMs: 5 })
  const peers = [await stage.peer({ models: ['m'] }), await stage.peer(), await stage.peer()]
  const [a, b, c] = peers as [StagePeer, StagePeer, StagePeer]
  await stage.connect(a, b)
  await stage.connect(b, c)
  await stage.connect(a, c)
  let left = 0
  for (const peer of peers) {
    peer.discovery.onChange(({ entry }) => {
      if (entry === undefined) left++
    })
  }
  for (let minute = 0; minute < 5; minute++) {
    b.network.drop(c.peerId)
    await stage.clock.advance(60_000)
  }
  expect(left).toBe(0)
})

test('of a healthy peer that is not watched nothing more is asked than that, but each minute', async () => {
  const stage = new Stage({ latencyMs: 5 })
  const a = await stage.peer()
  const puppet = await stage.puppet()
  puppet.answer = puppet.signed({ models: [] })
  await stage.connect(a, puppet)
  const before = puppet.asked
  await stage.clock.advance(300_000)
  expect(a.lists(puppet)).toBe(true)
  expect(puppet.asked - before).toBeGreaterThanOrEqual(4)
  expect(puppet.asked - before).toBeLessThanOrEqual(6)
  puppet.answer = puppet.signed({ models: [], version: '9.9.9', sequence: 2 })
  await stage.clock.advance(75_000)
  expect(a.discovery.directory.get(puppet.peerId)?.advert.version).toBe('9.9.9')
})

test('of two that know each other one pings at a time', async () => {
  const { stage, a, b } = await pair([])
  let pings = 0
  for (const { network } of [a, b]) {
    const ping = network.ping.bind(network)
    network.ping = (...args) => {
      pings++
      return ping(...args)
    }
  }
  await stage.clock.advance(600_000)
  expect(a.lists(b) && b.lists(a)).toBe(true)
  // Each is asked for its advert once a minute besides, which will do for some of them.
  expect(pings).toBeGreaterThanOrEqual(20)
  expect(pings).toBeLessThanOrEqual(50)
})

test('clocks that are an hour off, one way or the other, make no difference', async () => {
  const stage = new Stage({ latencyMs: 5 })
  const HOUR_MS = 3_600_000
  const disk = new Disk()
  const early = await stage.peer({ models: ['m'], skewMs: -HOUR_MS })
  const late = await stage.peer({ models: ['n'], skewMs: HOUR_MS, disk, number: 500, rejoin: true })
  const exact = await stage.peer()
  await stage.connect(early, late)
  await stage.connect(exact, late)
  await stage.clock.advance(300_000)
  const peers = [early, late, exact]
  const views = () =>
    peers.map((peer) => peers.filter((other) => other !== peer && peer.lists(other)).length)
  expect(views()).toEqual([2, 2, 2])

  // Back with a clock that was set right meanwhile: what it says now is newer all the same.
  await stage.stop(late)
  expect([early.lists(late), exact.lists(late)]).toEqual([false, false])
  peers[1] = await stage.peer({ models: ['n'], disk, number: 500, rejoin: true })
  await stage.clock.advance(60_000)
  expect(views()).toEqual([2, 2, 2])

  stage.hub.kill(early.peerId)
  expect(await untilGone(stage, exact, early)).toBeLessThan(8_000)
})

test('a connection that hangs is given up for one that works', async () => {
  const { stage, a, b } = await pair(['m'])
  stage.hub.cut(a.peerId, b.peerId)
  await stage.clock.advance(13_000)
  stage.hub.heal()
  await stage.clock.advance(10_000)
  expect(a.lists(b) && b.lists(a)).toBe(true)
})

test('a peer that was taken for dead is listed again when it speaks', async () => {
  const { stage, a, b } = await pair(['m'])
  stage.hub.freeze(b.peerId)
  await stage.clock.advance(40_000)
  expect(a.lists(b)).toBe(false)
  stage.hub.heal()
  await stage.connect(a, b)
  expect(a.lists(b)).toBe(true)
})

test('a process that stood still itself does not take all others for dead', async () => {
  const stage = new Stage()
  const a = await stage.peer()
  const puppet = await stage.puppet()
  puppet.answer = puppet.signed({ models: [] })
  await stage.connect(a, puppet)
  stage.clock.stall(60_000)
  await stage.clock.advance(10_000)
  expect(a.lists(puppet)).toBe(true)
})

describe('a slandered peer', () => {
  async function slandered() {
    const stage = new Stage()
    const a = await stage.peer()
    const puppet = await stage.puppet()
    puppet.answer = puppet.signed({ models: [] })
    await stage.connect(a, puppet)
    const { asked } = puppet
    const asks = () => puppet.asked - asked
    return { stage, a, puppet, asks, suspect: a.discovery.suspect.bind(a.discovery) }
  }

  test('stays, and is not asked again and again', async () => {
    const { stage, a, puppet, asks, suspect } = await slandered()
    for (let n = 0; n < 100; n++) suspect(puppet.peerId, `reporter ${n}`)
    await stage.clock.advance(5_000)
    // Those were wrong; of these nobody knows.
    for (let n = 0; n < 100; n++) suspect(puppet.peerId, `newcomer ${n}`)
    await stage.clock.advance(2_000)
    expect(a.lists(puppet)).toBe(true)
    expect(asks()).toBe(1)
  })

  test('is not asked for the sake of one who was wrong before', async () => {
    const { stage, a, puppet, asks, suspect } = await slandered()
    const other = await stage.puppet()
    other.answer = other.signed({ models: [] })
    await stage.connect(a, other)
    suspect(other.peerId, 'liar')
    await stage.clock.advance(1_000)
    suspect(puppet.peerId, 'liar')
    await stage.clock.advance(1_000)
    expect(asks()).toBe(0)
    suspect(puppet.peerId, 'somebody')
    await stage.clock.advance(1_000)
    expect(asks()).toBe(1)
  })

  test('leaves when the word was true', async () => {
    const { stage, a, puppet, suspect } = await slandered()
    stage.hub.freeze(puppet.peerId)
    suspect(puppet.peerId)
    await stage.clock.advance(8_000)
    expect(a.lists(puppet)).toBe(false)
  })

  test('is nobody when it was never listed', async () => {
    const { stage, suspect } = await slandered()
    const stranger = await stage.puppet()
    suspect(stranger.peerId)
    await stage.clock.advance(1_000)
    expect(stranger.asked).toBe(0)
  })
})
