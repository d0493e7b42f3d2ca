import { describe, expect, test } from 'vitest'
import { ENTRIES_MAX } from '../../../src/network/discovery/roster.ts'
import type { PeerHint } from '../../../src/network/network.ts'
import { lookupKey } from '../../../src/wire/model-id.ts'
import { model, type Puppet, Stage, type StagePeer } from './stage.ts'

const keyOf = (kind: 'role' | 'model-name' | 'model-id', text: string) =>
  Buffer.from(lookupKey(kind, text)).toString('hex')

/** Peers that know each other as a chain, and nobody else. */
async function chain(stage: Stage, peers: readonly StagePeer[]) {
  for (const [index, peer] of peers.entries()) {
    const next = peers[index + 1]
    if (next !== undefined) await stage.connect(peer, next)
  }
}

/** Looks up, and says how long it took. */
async function lookUp(stage: Stage, peer: StagePeer, name: string): Promise<number> {
  const began = stage.clock.elapsed()
  let took: number | undefined
  const done = peer.discovery.lookUp(name, { signal: AbortSignal.timeout(5_000) }).then(() => {
    took = stage.clock.elapsed() - began
  })
  while (took === undefined) await stage.clock.advance(10)
  await done
  return took
}

/** Puts names of nobody into the DHT. */
function hintAt(stage: Stage, key: string, hints: Iterable<[string, string[]]>) {
  stage.hub.dht.providers.set(key, new Map(hints))
}

describe('three peers in a line', () => {
  test('find each other in the DHT, and list each other as they said themselves', async () => {
    const stage = new Stage({ latencyMs: 5 })
    const peers = [
      await stage.peer({ models: ['a'] }),
      await stage.peer({ models: ['b'] }),
      await stage.peer({ models: ['c'] }),
    ]
    await chain(stage, peers)
    await stage.clock.advance(60_000)
    for (const peer of peers) {
      expect(peer.listed().toSorted()).toEqual(
        peers
          .filter((other) => other !== peer)
          .map(({ peerId }) => peerId)
          .toSorted(),
      )
    }
  })

  test('find a model by name or id, before they have met', async () => {
    for (const wanted of ['c', model('c').id]) {
      const stage = new Stage({ latencyMs: 5 })
      const peers = [await stage.peer(), await stage.peer(), await stage.peer({ models: ['c'] })]
      const [a, b, c] = peers as [StagePeer, StagePeer, StagePeer]
      await stage.connect(b, c)
      await stage.clock.advance(1_100)
      await stage.connect(a, b)
      expect(a.lists(c)).toBe(false)
      expect(await lookUp(stage, a, wanted)).toBeLessThan(500)
      expect(a.lists(c)).toBe(true)
    }
  })
})

describe('a look-up', () => {
  async function joined(models: readonly string[] = []) {
    const stage = new Stage()
    const [a, b] = [await stage.peer(), await stage.peer({ models })]
    await stage.connect(a, b)
    await stage.clock.advance(10_000)
    const lookups = () => stage.hub.dht.lookups
    return { stage, a, b, lookups }
  }

  test('of a known name does not go into the network', async () => {
    const { stage, a, lookups } = await joined(['m'])
    const before = lookups()
    expect(await lookUp(stage, a, 'm')).toBe(0)
    expect(lookups()).toBe(before)
  })

  test('of a peer that is alone is over at once, and nothing is remembered', async () => {
    const stage = new Stage()
    const [a, b] = [await stage.peer(), await stage.peer({ models: ['m'] })]
    const c = await stage.peer()
    expect(await lookUp(stage, a, 'm')).toBe(0)
    await stage.connect(b, c)
    await stage.clock.advance(1_100)
    await stage.connect(a, c)
    await lookUp(stage, a, 'm')
    expect(a.lists(b)).toBe(true)
  })

  /** How often that name is searched for in the network. */
  function searches(peer: StagePeer, name: string): () => number {
    let count = 0
    const { findProviders } = peer.network
    peer.network.findProviders = (key, wait) => {
      if (Buffer.from(key).toString('hex') === keyOf('model-name', name)) count++
      return findProviders.call(peer.network, key, wait)
    }
    return () => count
  }

  test('that finds nobody is remembered for a minute', async () => {
    const { stage, a } = await joined()
    const count = searches(a, 'x')
    await Promise.all([1, 2, 3].map(() => lookUp(stage, a, 'x')))
    await lookUp(stage, a, 'x')
    expect(count()).toBe(1)
    await stage.clock.advance(60_000)
    await lookUp(stage, a, 'x')
    expect(count()).toBe(2)
  })

  test('is done again for what was missed, once somebody has had it', async () => {
    const { stage, a, b } = await joined()
    const count = searches(a, 'm')
    await lookUp(stage, a, 'm')
    b.facts = { ...b.facts, models: [model('m')] }
    b.discovery.changed()
    await stage.clock.advance(20_000)
    expect(a.discovery.directory.byModelName('m')).toHaveLength(1)
    b.facts = { ...b.facts, models: [] }
    b.discovery.changed()
    await stage.clock.advance(10_000)
    expect(a.discovery.directory.byModelName('m')).toEqual([])
    await lookUp(stage, a, 'm')
    expect(count()).toBe(2)
  })

  test('asks forty-eight hinted peers at most, for two seconds at most', async () => {
    const { stage, a } = await joined()
    const ghosts = Array.from({ length: 60 }, (_, n) => stage.identity(500 + n).peerId)
    hintAt(
      stage,
      keyOf('model-name', 'x'),
      ghosts.map((peerId) => [peerId, ['/ip4/10.0.0.1/tcp/1']]),
    )
    const dialled = new Set<string>()
    a.network.connect = async (peerId, _addresses, { signal }) => {
      dialled.add(peerId)
      await stage.clock.sleep(peerId < 'M' ? 500 : 60_000, signal)
      throw new Error('nobody there')
    }
    expect(await lookUp(stage, a, 'x')).toBeLessThanOrEqual(2_000)
    expect(dialled.size).toBe(48)
  })

  test('finds an honest one among thirty that do not answer', async () => {
    const { stage, a } = await joined()
    const ghosts = Array.from({ length: 30 }, (_, n) => stage.identity(500 + n).peerId)
    const late = await stage.puppet()
    late.answer = late.signed()
    hintAt(stage, keyOf('model-name', 'm'), [
      ...ghosts.map((peerId): [string, string[]] => [peerId, ['/ip4/10.0.0.1/tcp/1']]),
      [late.peerId, late.network.status().addrs],
    ])
    const { connect } = a.network
    a.network.connect = async (peerId, addresses, wait) => {
      if (ghosts.includes(peerId)) await stage.clock.sleep(60_000, wait.signal)
      await connect.call(a.network, peerId, addresses, wait)
    }
    expect(await lookUp(stage, a, 'm')).toBeLessThan(500)
    expect(a.lists(late)).toBe(true)
  })

  test('is not kept busy by any number of hints', async () => {
    const { stage, a } = await joined()
    let read = 0
    a.network.findProviders = async function* (): AsyncGenerator<PeerHint> {
      for (; read < 100_000; read++) yield { peerId: a.peerId, addresses: [] }
    }
    expect(await lookUp(stage, a, 'x')).toBe(0)
    expect(read).toBeLessThan(300)
    read = 0
    await stage.clock.advance(600_000)
    expect(read).toBeLessThan(30 * 512)
  })

  test('too many at once are refused', async () => {
    const { a } = await joined()
    a.network.findProviders = async function* (_key, { signal }): AsyncGenerator<PeerHint> {
      await new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason))
      })
    }
    const looking = Array.from({ length: 17 }, (_, n) =>
      a.discovery.lookUp(`name ${n}`, { signal: AbortSignal.timeout(100) }),
    )
    const ends = await Promise.allSettled(looking)
    expect(ends.at(-1)).toMatchObject({ reason: { code: 'overloaded' } })
  })

  test('ends for one who gives up, and goes on for the others', async () => {
    const { stage, a, b } = await joined()
    const late = await stage.peer({ models: ['m'] })
    await stage.connect(b, late)
    await stage.clock.advance(1_100)
    const impatient = new AbortController()
    const [first, second] = [impatient.signal, AbortSignal.timeout(5_000)].map((signal) =>
      a.discovery.lookUp('m', { signal }),
    )
    impatient.abort()
    await expect(first).rejects.toThrow()
    await stage.clock.advance(100)
    await second
    expect(a.lists(late)).toBe(true)
  })
})

describe('what the DHT says', () => {
  test('lists nobody who is not there', async () => {
    const stage = new Stage()
    const [a, b] = [await stage.peer(), await stage.peer()]
    await stage.connect(a, b)
    const ghost = await stage.puppet()
    const addresses = ghost.network.status().addrs
    for (const key of [keyOf('role', 'provider'), keyOf('model-name', 'm')]) {
      hintAt(stage, key, [[ghost.peerId, addresses]])
    }
    stage.hub.dht.records.set(`advert/${ghost.peerId}`, ghost.signed({ sequence: 9 }))
    await ghost.network.stop()
    await lookUp(stage, a, 'm')
    await stage.clock.advance(700_000)
    expect(a.lists(ghost)).toBe(false)
    expect(a.listed()).toEqual([b.peerId])
  })

  test('a peer is also found by the addresses of its own record', async () => {
    const stage = new Stage()
    const [a, b] = [await stage.peer(), await stage.peer()]
    await stage.connect(a, b)
    const shy = await stage.puppet()
    const addresses = shy.network.status().addrs.map((address) => address.split('/p2p/')[0] ?? '')
    shy.answer = shy.signed({ addresses })
    stage.hub.dht.records.set(`advert/${shy.peerId}`, shy.answer)
    hintAt(stage, keyOf('model-name', 'm'), [[shy.peerId, []]])
    await lookUp(stage, a, 'm')
    expect(a.lists(shy)).toBe(true)
  })

  test('a hundred thousand names cost some dials a minute', async () => {
    const stage = new Stage()
    const [a, b] = [await stage.peer(), await stage.peer()]
    await stage.connect(a, b)
    const names = Array.from({ length: 100_000 }, (_, n): [string, string[]] => [
      `ghost ${n}`,
      ['/ip4/10.0.0.1/tcp/1'],
    ])
    hintAt(stage, keyOf('role', 'provider'), names)
    let dials = 0
    a.network.connect = async () => {
      dials++
      throw new Error('nobody there')
    }
    await stage.clock.advance(120_000)
    expect(dials).toBeGreaterThan(8)
    expect(dials).toBeLessThan(8 * 30)
    expect(a.listed()).toEqual([b.peerId])
  })

  test('those that could not be reached are tried again when one of them is', async () => {
    const stage = new Stage()
    const [a, b, c, middle] = [
      await stage.peer({ models: ['a'] }),
      await stage.peer({ models: ['b'] }),
      await stage.peer({ models: ['c'] }),
      await stage.peer(),
    ]
    const ends = [b, c].map((far) => stage.hub.cut(a.peerId, far.peerId))
    for (const peer of [a, b, c]) await stage.connect(peer, middle)
    await stage.clock.advance(60_000)
    for (const end of ends) end()
    await stage.clock.advance(60_000)
    expect([a.lists(b), a.lists(c)]).toEqual([false, false])
    await stage.connect(b, a)
    await stage.clock.advance(10_000)
    expect([a.lists(b), a.lists(c)]).toEqual([true, true])
  })

  test('this peer does not dial itself', async () => {
    const stage = new Stage()
    const [a, b] = [await stage.peer({ models: ['m'] }), await stage.peer()]
    await stage.connect(a, b)
    const hints = [[a.peerId, a.network.status().addrs]] as [string, string[]][]
    a.network.findProviders = async function* (): AsyncGenerator<PeerHint> {
      for (const [peerId, addresses] of hints) yield { peerId, addresses }
    }
    const dialled: string[] = []
    const { connect } = a.network
    a.network.connect = (peerId, ...rest) => {
      dialled.push(peerId)
      return connect.call(a.network, peerId, ...rest)
    }
    await lookUp(stage, a, 'unknown')
    await stage.clock.advance(120_000)
    expect(dialled).not.toContain(a.peerId)
  })
})

test('a peer is announced under all that it has, and what it has no more is taken back', async () => {
  const stage = new Stage()
  const [a, b] = [await stage.peer({ models: ['m', 'n'] }), await stage.peer()]
  await stage.connect(a, b)
  await stage.clock.advance(1_100)
  const announced = () =>
    [...stage.hub.dht.providers].filter(([, who]) => who.has(a.peerId)).map(([key]) => key)
  const keysOf = (...names: string[]) =>
    names.flatMap((name) => [keyOf('model-name', name), keyOf('model-id', model(name).id)])
  expect(new Set(announced())).toEqual(new Set([...keysOf('m', 'n'), keyOf('role', 'provider')]))
  expect(stage.hub.dht.records.has(`advert/${a.peerId}`)).toBe(true)
  a.facts = { ...a.facts, models: [model('n')] }
  a.discovery.changed()
  await stage.clock.advance(10_000)
  expect(new Set(announced())).toEqual(new Set([...keysOf('n'), keyOf('role', 'provider')]))
  // The DHT forgets, and is told again.
  stage.hub.dht.providers.clear()
  await stage.clock.advance(600_000)
  expect(announced()).toHaveLength(3)
})

test('a full directory is not pushed over by fresh ids', async () => {
  const stage = new Stage()
  const a = await stage.peer()
  const honest = await stage.peer({ models: ['m'] })
  await stage.connect(a, honest)
  for (let n = 0; n < 300; n++) {
    const sybil = await stage.puppet()
    sybil.answer = sybil.signed()
    const { peerId, addrs } = sybil.network.status()
    void a.network.connect(peerId, addrs, { signal: AbortSignal.timeout(5_000) })
  }
  await stage.clock.advance(2_000)
  expect(a.listed()).toHaveLength(ENTRIES_MAX)
  expect(a.lists(honest)).toBe(true)
  const rare = await stage.peer({ models: ['rare'] })
  await stage.connect(a, rare)
  expect(a.lists(rare) && a.lists(honest)).toBe(true)
  expect(a.listed()).toHaveLength(ENTRIES_MAX)
})

test('whoever has no place in a full directory is not asked who it is again and again', async () => {
  const stage = new Stage()
  const a = await stage.peer()
  const puppets: Puppet[] = []
  for (let n = 0; n < ENTRIES_MAX + 20; n++) {
    const puppet = await stage.puppet()
    puppet.answer = puppet.signed()
    puppets.push(puppet)
    const { peerId, addrs } = puppet.network.status()
    void a.network.connect(peerId, addrs, { signal: AbortSignal.timeout(5_000) })
    if (n % 50 === 0) await stage.clock.advance(100)
  }
  await stage.clock.advance(200_000)
  const outside = puppets.filter((puppet) => !a.lists(puppet))
  expect(outside).toHaveLength(20)
  // Once as it came, and once more by who looks for providers.
  expect(Math.max(...outside.map(({ asked }) => asked))).toBeLessThanOrEqual(2)
})
