import type { PeerId, PeerInfo } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import * as fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { sha256 } from 'multiformats/hashes/sha2'
import { describe, expect, test } from 'vitest'
import { seededRandom } from '../../src/base/random.ts'
import { commonBits, keysAround, placeOf, regionBits } from '../../src/network/host/dht-region.ts'
import { spread } from '../../src/network/host/hints.ts'
import { dhtLimits as limits } from '../../src/network/host/limits.ts'
import { Providers, type ProvidersComponents } from '../../src/network/host/providers.ts'
import { FakeClock } from '../base/fake-clock.ts'
import { rounds } from '../campaign.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const signal = () => AbortSignal.timeout(5_000)

interface Node {
  id: string
  place: Uint8Array
  /** One of the operator who wants the key for itself. */
  lies: boolean
  records: Map<string, PeerInfo>
}

const idOf = (id: string) =>
  ({ toString: () => id, toMultihash: () => ({ bytes: bytes(id) }) }) as unknown as PeerId
const infoOf = (id: string, net: string): PeerInfo => ({
  id: idOf(id),
  multiaddrs: [multiaddr(`/ip4/${net}.7/tcp/1`)],
})

/** A DHT of honest nodes, and of others whose ids were made up until they were closest to a key. */
class FakeDht {
  readonly clock = new FakeClock()
  readonly nodes = new Map<string, Node>()
  readonly #providers = new Map<string, Providers>()
  /** How often those closest to a key were looked for. */
  lookUps = 0
  /** Where those are who provide something. */
  net = '198.51.1'
  /** Who was told something, in order. */
  readonly told: string[] = []

  constructor(honest: number) {
    for (let n = 0; n < honest; n++) this.add(`honest ${n}`, placeOf(bytes(`honest ${n}`)), false)
  }

  add(id: string, place: Uint8Array, lies: boolean): void {
    this.nodes.set(id, { id, place, lies, records: new Map() })
  }

  surround(cid: CID, count: number): void {
    const target = placeOf(cid.multihash.bytes)
    for (let n = 0; n < count; n++) {
      const place = Uint8Array.from(target)
      new DataView(place.buffer).setUint32(28, n)
      this.add(`sybil ${n}`, place, true)
    }
  }

  closest(place: Uint8Array, count: number = limits.closest): Node[] {
    const far = ({ place: other }: Node) => other.map((byte, at) => byte ^ (place[at] ?? 0))
    return [...this.nodes.values()]
      .map((node) => ({ node, far: Buffer.from(far(node)) }))
      .sort((a, b) => Buffer.compare(a.far, b.far))
      .slice(0, count)
      .map(({ node }) => node)
  }

  /** What a node says; a liar names a whole answer full of its own. */
  answer({ id, lies, records }: Node): PeerInfo[] {
    if (!lies) return [...records.values()]
    return Array.from({ length: 20 }, (_, n) => infoOf(`false ${id} ${n}`, `203.0.${n}`))
  }

  providers(id: string): Providers {
    const providers = this.#providers.get(id) ?? new Providers(this.#components(id))
    this.#providers.set(id, providers)
    return providers
  }

  async find(by: string, cid: CID, wide = true): Promise<string[]> {
    const found: string[] = []
    for await (const { peerId } of this.providers(by).find(cid, { signal: signal(), wide }))
      found.push(peerId)
    expect(found.length).toBeLessThanOrEqual(limits.hintsMax)
    return found
  }

  #components(id: string): ProvidersComponents {
    const own = () => infoOf(id, this.net)
    const tell = (node: Node) => {
      if (!node.lies) node.records.set(id, own())
      return true
    }
    const around = (key: Uint8Array) => this.closest(placeOf(key))
    return {
      clock: this.clock,
      random: seededRandom(7),
      self: () => ({ id: own().id, addresses: own().multiaddrs }),
      inside: {
        known: (place, count) => this.closest(place, count).map((node) => node.place),
        near: (key, count) => this.closest(placeOf(key), count).map((node) => idOf(node.id)),
        closest: async function* (this: FakeDht, key: Uint8Array) {
          this.lookUps++
          for (const node of around(key)) yield idOf(node.id)
        }.bind(this),
        keep: async () => {},
        providersAt: async (peer) => this.answer(this.nodes.get(peer.toString()) as Node),
        tell: async (peer) => {
          this.told.push(`${peer}`)
          return tell(this.nodes.get(peer.toString()) as Node)
        },
      },
      kad: {
        // It ends when twenty are named, whoever named them.
        findProviders: async function* (this: FakeDht, cid: CID) {
          let found = 0
          for (const node of around(cid.multihash.bytes)) {
            const providers = this.answer(node)
            const from = idOf(node.id)
            if (providers.length > 0) yield { name: 'PROVIDER', from, providers }
            found += providers.length
            if (found >= 20) return
          }
        }.bind(this),
      } as unknown as ProvidersComponents['kad'],
    }
  }
}

const cidOf = async (key: string) => CID.createV1(0x55, await sha256.digest(bytes(key)))

describe('an honest provider', () => {
  test('is found though all who are closest to the key lie', async () => {
    for (let n = 0; n < rounds(3, 30); n++) {
      const dht = new FakeDht(rounds(500, 3_000))
      const cid = await cidOf(`a model ${n}`)
      dht.surround(cid, 40)
      const provider = `honest ${n}`
      expect(await dht.providers(provider).provide(cid, signal())).toBe(limits.closest)
      // Those closest were told alone, and it is they who lie.
      expect(await dht.find(`honest ${n + 1}`, cid)).not.toContain(provider)
      await dht.clock.advance(limits.regionFirstMs)
      const told = await dht.providers(provider).provide(cid, signal())
      expect(told).toBeGreaterThan(2 * limits.closest)
      const found = await dht.find(`honest ${n + 1}`, cid)
      // As far as a look-up for a client reads.
      expect(found.slice(0, 48)).toContain(provider)
    }
  })

  test('is found in a small network, whoever names whole answers of others first', async () => {
    const dht = new FakeDht(6)
    const cid = await cidOf('a model')
    dht.surround(cid, 1)
    await dht.providers('honest 0').provide(cid, signal())
    expect(await dht.find('honest 1', cid, false)).toContain('honest 0')
    // Who looks again and again does so once a minute.
    expect(await dht.find('honest 1', cid, false)).not.toContain('honest 0')
    await dht.clock.advance(limits.askEveryMs)
    expect(await dht.find('honest 1', cid, false)).toContain('honest 0')
  })

  test('tells the region of its key now and then, and not in a network that has just begun', async () => {
    const dht = new FakeDht(500)
    const cid = await cidOf('a model')
    const told = async () => (await dht.providers('honest 0').provide(cid, signal())) > 20
    const over: boolean[] = []
    for (let minute = 0; minute < 23; minute++) {
      over.push(await told())
      await dht.clock.advance(60_000)
    }
    expect(over.flatMap((is, minute) => (is ? [minute] : []))).toEqual([1, 11, 21])
  })
})

describe('who was told', () => {
  const once = (told: string[]) => expect(new Set(told).size).toBe(told.length)

  test('is not told again, but for who comes anew; and after a while all are', async () => {
    const dht = new FakeDht(10)
    const provider = dht.providers('honest 0')
    const cid = await cidOf('a model')
    for (let n = 0; n < 4; n++) {
      expect(await provider.provide(cid, signal())).toBe(10)
      await dht.clock.advance(1_000)
    }
    expect(dht.told).toHaveLength(10)
    once(dht.told)
    provider.came('honest 3')
    await provider.provide(cid, signal())
    expect(dht.told.splice(0).slice(10)).toEqual(['honest 3'])
    await dht.clock.advance(limits.tellAgainMs)
    await provider.provide(cid, signal())
    expect(dht.told).toHaveLength(10)
  })

  test('is told of another place of this peer', async () => {
    const dht = new FakeDht(10)
    const cid = await cidOf('a model')
    await dht.providers('honest 0').provide(cid, signal())
    dht.net = '198.51.2'
    await dht.providers('honest 0').provide(cid, signal())
    expect(dht.told).toHaveLength(20)
  })

  test('was found by one look-up for all keys where the network is small', async () => {
    const dht = new FakeDht(30)
    for (let n = 0; n < 10; n++) {
      await dht.providers('honest 0').provide(await cidOf(`model ${n}`), signal())
    }
    expect(dht.lookUps).toBe(1)
    expect(dht.told).toHaveLength(10 * limits.closest)
  })

  test('was looked for once for each key where it is not, and no more while nobody is new', async () => {
    const dht = new FakeDht(500)
    for (let round = 0; round < 3; round++) {
      for (let n = 0; n < 4; n++) {
        await dht.providers('honest 0').provide(await cidOf(`model ${n}`), signal())
      }
      await dht.clock.advance(5_000)
    }
    expect(dht.lookUps).toBe(4)
    expect(dht.told).toHaveLength(4 * limits.closest)
  })
})

test('who asks no more is not searched for any longer', async () => {
  const dht = new FakeDht(50)
  const cid = await cidOf('a model')
  dht.surround(cid, 40)
  const stop = new AbortController()
  const found = dht.providers('honest 0').find(cid, { signal: stop.signal, wide: true })
  expect((await found.next()).done).toBe(false)
  stop.abort(new Error('enough'))
  await expect(
    (async () => {
      for await (const _ of found);
    })(),
  ).rejects.toThrow('enough')
})

describe('a region', () => {
  test('is as dense as the surroundings of whoever looks, and all of a small network', () => {
    const own = new Uint8Array(32)
    const at = (byte: number) => Uint8Array.of(byte, ...new Uint8Array(31))
    expect(regionBits(own, Array(19).fill(at(1)))).toBeUndefined()
    expect(regionBits(own, Array(20).fill(at(0x08)))).toBe(3)
    expect(regionBits(own, Array(20).fill(at(0x80)))).toBe(0)
    expect(regionBits(own, Array(20).fill(own))).toBe(12)
  })

  test('is asked in each of its parts', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.nat(8), (place, bits) => {
        const places = keysAround(place, bits, seededRandom(1)).map(placeOf)
        expect(places.every((each) => commonBits(each, place) >= bits)).toBe(true)
        for (const one of places) {
          for (const other of places) {
            if (one !== other) expect(commonBits(one, other)).toBeLessThan(bits + 2)
          }
        }
      }),
      { numRuns: 50 },
    )
  })
})

test('of many hints, those from as many nets as there are come first', () => {
  const hint = (n: number, net: string) => ({ peerId: `${n}`, addresses: [`/ip4/${net}.1/tcp/1`] })
  const crowd = Array.from({ length: 100 }, (_, n) => hint(n, '203.0.113'))
  const few = [hint(100, '198.51.100'), hint(101, '192.0.2')]
  for (let seed = 0; seed < 20; seed++) {
    const drawn = spread([...crowd, ...few], 8, seededRandom(seed)).map(({ peerId }) => peerId)
    expect(drawn).toHaveLength(8)
    expect(drawn).toEqual(expect.arrayContaining(['100', '101']))
  }
})
