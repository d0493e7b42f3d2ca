import { generateKeyPair, publicKeyToProtobuf } from '@libp2p/crypto/keys'
import type { PeerId, PeerInfo } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { CID } from 'multiformats/cid'
import { sha256 } from 'multiformats/hashes/sha2'
import { afterEach, expect, test } from 'vitest'
import { PeerError } from '../../src/base/errors.ts'
import { KadInside } from '../../src/network/host/kad-inside.ts'
import type { Libp2pHost } from '../../src/network/host/libp2p-host.ts'
import { storeLimits } from '../../src/network/host/limits.ts'
import type { RecordCheck } from '../../src/network/network.ts'
import { rounds } from '../campaign.ts'
import { eventually, startHosts, stopHosts } from './hosts.ts'

afterEach(stopHosts)

const text = new TextEncoder()
const signal = () => AbortSignal.timeout(5_000)

/** A record is its sequence and the id of the peer that it is of. */
const check: RecordCheck = (peerId, value) => {
  const [sequence, author] = new TextDecoder().decode(value).split(' ')
  if (author !== peerId) throw new PeerError('bad_signature', 'not by that peer')
  return Number(sequence)
}

async function twoInTheDht() {
  const hosts = (await startHosts(2, { records: { note: check } })) as [Libp2pHost, Libp2pHost]
  const sizes = () =>
    hosts.map(
      ({ node }) =>
        (node.services.dht as unknown as { routingTable: { size: number } }).routingTable.size,
    )
  await eventually(() => sizes().every((size) => size === 1))
  return hosts
}

async function put(host: Libp2pHost, key: Uint8Array, value: Uint8Array) {
  const events = []
  for await (const event of host.node.services.dht.put(key, value, { signal: signal() })) {
    events.push(event.name)
  }
  return events
}

async function valuesOf(host: Libp2pHost, key: Uint8Array) {
  const values = []
  for await (const event of host.node.services.dht.get(key, { signal: signal() })) {
    if (event.name === 'VALUE') values.push(event.value)
  }
  return values
}

test('a record of an unknown namespace is refused by whoever is asked to keep it', async () => {
  const [a, b] = await twoInTheDht()
  const key = text.encode('/anything/key')
  expect(await put(b, key, text.encode('value'))).toContain('QUERY_ERROR')
  expect(await valuesOf(a, key).catch(() => [])).toEqual([])
  expect(await valuesOf(b, key).catch(() => [])).toEqual([])
})

test('a public key, which libp2p would keep for anybody, is refused as well', async () => {
  const [a, b] = await twoInTheDht()
  const { publicKey } = await generateKeyPair('Ed25519')
  const key = Uint8Array.from([...text.encode('/pk/'), ...publicKey.toMultihash().bytes])
  expect(await put(b, key, publicKeyToProtobuf(publicKey))).toContain('QUERY_ERROR')
  expect(await valuesOf(a, key).catch(() => [])).toEqual([])
})

test('records that are forged, too large or under another spelling of an id are refused', async () => {
  const [a, b] = await twoInTheDht()
  const idOf = (host: Libp2pHost) => host.status().peerId
  const honest = text.encode(`1 ${idOf(a)}`)
  const keyOf = (peerId: string) => text.encode(`/pinaivu-note/${peerId}`)
  const asCid = a.node.peerId.toCID().toString()
  const large = new Uint8Array(storeLimits.valueBytesMax + 1).fill(0x20)
  large.set(text.encode(`1 ${idOf(b)} `))
  const refused: [Uint8Array, Uint8Array][] = [
    [keyOf(idOf(a)), text.encode(`1 ${idOf(b)}`)],
    [keyOf(idOf(b)), honest],
    [keyOf(asCid), honest],
    [keyOf(`${idOf(a)}/`), honest],
    [keyOf(''), honest],
    [Uint8Array.from([...keyOf(idOf(a)), 0xff]), honest],
    [keyOf(idOf(b)), large],
  ]
  for (const [key, value] of refused) {
    // Its own store is the attacker's own affair, and here it may even refuse itself.
    const events = await put(b, key, value).catch(() => ['QUERY_ERROR'])
    expect(events).toContain('QUERY_ERROR')
    expect(await valuesOf(a, key).catch(() => [])).toEqual([])
  }
  await a.putRecord('note', honest, { signal: signal() })
  expect(await b.getRecord('note', idOf(a), { signal: signal() })).toEqual(honest)
})

test('however many records come for one peer, one is kept, and never an older one', {
  timeout: rounds(30_000, 300_000),
}, async () => {
  const [a, b] = await twoInTheDht()
  const { peerId } = b.status()
  const key = text.encode(`/pinaivu-note/${peerId}`)
  const record = (sequence: number) => text.encode(`${sequence} ${peerId}`)
  await put(b, key, record(2))
  expect(await put(b, key, record(1))).toContain('QUERY_ERROR')
  for (let sequence = 3; sequence < rounds(100, 10_000); sequence++) {
    // So many streams are more than one peer may open: some of it may be refused.
    await put(b, key, record(sequence)).catch(() => {})
  }
  const kept: string[] = []
  const { datastore } = (a.node as unknown as { components: { datastore: Queried } }).components
  for (const { value } of datastore.query({ prefix: '/dht/record/' })) {
    kept.push(new TextDecoder().decode(value))
  }
  expect(kept).toEqual([expect.stringContaining(` ${peerId}`)])
})

interface Queried {
  query(query: { prefix: string }): Iterable<{ value: Uint8Array }>
}

test('one that names whole answers of others keeps nobody from being found', async () => {
  const [liar, keeper, provider, asker] = (await startHosts(4)) as Four
  const sizes = () => [liar, keeper, provider, asker].map((host) => inside(host).routingTable.size)
  await eventually(() => sizes().every((size) => size === 3))
  const key = text.encode('a model')
  const cid = CID.createV1(0x55, await sha256.digest(key))
  await provider.provide(key, { signal: signal() })
  await told(asker, keeper, cid, 1)
  await told(keeper, asker, cid, 1)
  await inside(asker).providers.removeProvider(cid, provider.node.peerId)
  const ghosts = await Promise.all(Array.from({ length: 20 }, () => generateKeyPair('Ed25519')))
  const providers = ghosts.map(({ publicKey }) => ({
    id: publicKey.toMultihash().bytes,
    multiaddrs: [multiaddr('/ip4/203.0.113.7/tcp/1').bytes],
  }))
  inside(liar).rpc.handlers.GET_PROVIDERS.handle = async (_, message) => ({
    ...message,
    closer: [],
    providers,
  })
  const found: string[] = []
  for await (const hint of asker.findProviders(key, { signal: signal() })) found.push(hint.peerId)
  expect(found).toContain(provider.status().peerId)
  expect(found.length).toBeGreaterThan(1)
})

/** Those that `keeper` knows to provide it, once they are so many: what was sent is not yet read. */
async function told(by: Libp2pHost, keeper: Libp2pHost, cid: CID, count: number) {
  let known: PeerInfo[] = []
  for (const soon = signal(); known.length < count && !soon.aborted; ) {
    known = await insideOf(by).providersAt(keeper.node.peerId, cid, signal())
  }
  return known
}

test('a peer that is told directly is asked directly, and tells what it has an address of', async () => {
  const [keeper, forgotten, other] = (await startHosts(3)) as Four
  const others = [forgotten, other]
  const cid = CID.createV1(0x55, await sha256.digest(text.encode('a model')))
  const to = keeper.node.peerId
  for (const by of others) {
    const self = { id: by.node.peerId, addresses: by.node.getMultiaddrs() }
    expect(await insideOf(by).tell(to, cid, self, signal())).toBe(true)
  }
  const known = await told(other, keeper, cid, 2)
  expect(idsOf(known)).toEqual(others.map((host) => host.status().peerId).toSorted())
  expect(known[0]?.multiaddrs.length).toBeGreaterThan(0)
  await keeper.node.peerStore.delete(forgotten.node.peerId)
  expect(idsOf(await told(other, keeper, cid, 1))).toEqual([other.status().peerId])
})

type Four = [Libp2pHost, Libp2pHost, Libp2pHost, Libp2pHost]

function idsOf(known: readonly PeerInfo[]): string[] {
  return known.map(({ id }) => id.toString()).toSorted()
}

interface Inside {
  routingTable: { size: number }
  providers: { removeProvider(cid: CID, peer: PeerId): Promise<void> }
  rpc: { handlers: { GET_PROVIDERS: { handle(from: unknown, message: object): Promise<object> } } }
}

function inside({ node }: Libp2pHost): Inside {
  return node.services.dht as unknown as Inside
}

function insideOf({ node }: Libp2pHost): KadInside {
  return new KadInside(node.services.dht)
}
