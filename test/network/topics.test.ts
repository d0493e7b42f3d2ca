import { RPC } from '@chainsafe/libp2p-gossipsub/message'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { afterEach, expect, test } from 'vitest'
import { PeerError } from '../../src/base/errors.ts'
import type { Libp2pHost } from '../../src/network/host/libp2p-host.ts'
import { conductLimits, gossipLimits } from '../../src/network/host/limits.ts'
import type { MessageCheck } from '../../src/network/network.ts'
import { FRAME_BYTES_MAX } from '../../src/wire/protocols.ts'
import { FakeClock } from '../base/fake-clock.ts'
import { rounds } from '../campaign.ts'
import { eventually, newHost, startHost, stopHosts } from './hosts.ts'

afterEach(stopHosts)

const WIRE = '/pinaivu/test/log/1'
const wait = () => ({ signal: AbortSignal.timeout(8_000) })
const idOf = (host: Libp2pHost) => host.status().peerId
const bytes = (text: string) => new TextEncoder().encode(text)

interface Inside {
  score: { score(peer: string): number }
  streamsOutbound: Map<string, { push(data: Uint8Array): void }>
  handleReceivedRpc(from: unknown, rpc: RPC): Promise<void>
  mcache: { msgs: Map<string, { message: RPC.Message }> }
}
const inside = (host: Libp2pHost) => host.node.services.pubsub as unknown as Inside

/** A host that listens, on a clock of the test's, and neighbours that are linked to it. */
async function attacked(neighbours: number, verdict: MessageCheck = async () => 'keep') {
  const clock = new FakeClock()
  const victim = await newHost({}, { clock })
  const heard: { from: string; said: string }[] = []
  const end = victim.subscribe('log/1', async (message, wait) => {
    const said = new TextDecoder().decode(message.data.subarray(0, 64))
    heard.push({ from: message.from, said })
    return await verdict(message, wait)
  })
  await victim.start(wait())
  const others: Libp2pHost[] = []
  for (let index = 0; index < neighbours; index++) {
    const other = await startHost()
    await other.connect(idOf(victim), victim.status().addrs, wait())
    others.push(other)
  }
  const isLinked = (other: Libp2pHost) =>
    inside(other).streamsOutbound.has(idOf(victim)) &&
    other.node.services.pubsub.getSubscribers(WIRE).some((peer) => `${peer}` === idOf(victim))
  await eventually(() => others.every(isLinked))
  return { victim, others, clock, heard, end, said: () => heard.map(({ said }) => said) }
}

/** Straight onto the wire, past what gossipsub itself would hold back. */
function send(by: Libp2pHost, to: Libp2pHost, ...messages: RPC.Message[]): void {
  const encoded = RPC.encode({ subscriptions: [], messages })
  inside(by).streamsOutbound.get(idOf(to))?.push(encoded)
}

/** How many messages each RPC has that comes in from here on, once it has been dealt with. */
function receiving(host: Libp2pHost): number[] {
  const received: number[] = []
  const pubsub = inside(host)
  const receive = pubsub.handleReceivedRpc.bind(pubsub)
  pubsub.handleReceivedRpc = async (from, rpc) => {
    const count = rpc.messages.length
    await receive(from, rpc)
    received.push(count)
  }
  return received
}

let counted = 0n

/** A message in the form of the wire, signed by `key`, in the name of `as`. */
async function message(data: Uint8Array, key: PrivateKey, as = key): Promise<RPC.Message> {
  const seqno = new Uint8Array(8)
  new DataView(seqno.buffer).setBigUint64(0, ++counted)
  const unsigned = { from: as.publicKey.toMultihash().bytes, data, seqno, topic: WIRE }
  const signed = Buffer.concat([bytes('libp2p-pubsub:'), RPC.Message.encode(unsigned)])
  return { ...unsigned, signature: await key.sign(signed) }
}

const ed25519 = () => generateKeyPair('Ed25519')

/** The whole campaign of one who is told off at most. */
const enough = conductLimits.pointsMax + 1
const several = <T>(make: (index: number) => T) =>
  Array.from({ length: enough }, (_, at) => make(at))

test('who passes on what the check refuses loses its standing, and is banned when it goes on', async () => {
  const { victim, others } = await attacked(2, async ({ data }) => {
    if (data[0] === 0) throw new PeerError('bad_log', 'bad', { action: 'penalise' })
    return 'keep'
  })
  const [attacker, honest] = others as [Libp2pHost, Libp2pHost]
  await attacker.publish('log/1', Uint8Array.of(0, 1))
  await eventually(() => inside(victim).score.score(idOf(attacker)) < -20)
  const key = await ed25519()
  send(
    attacker,
    victim,
    ...(await Promise.all(several((at) => message(Uint8Array.of(0, at), key)))),
  )
  await eventually(() => !victim.isConnected(idOf(attacker)))
  expect(inside(victim).score.score(idOf(honest))).toBeGreaterThanOrEqual(0)
})

test.each<[string, () => Promise<RPC.Message>]>([
  [
    'in the name of another',
    async () => await message(bytes('x'), await ed25519(), await ed25519()),
  ],
  [
    'altered after it was signed',
    async () => ({ ...(await message(bytes('x'), await ed25519())), data: bytes('y') }),
  ],
  [
    'larger than a frame',
    async () => message(new Uint8Array(FRAME_BYTES_MAX + 1), await ed25519()),
  ],
  ['empty', async () => message(new Uint8Array(0), await ed25519())],
  ['by a key of another kind', async () => message(bytes('x'), await generateKeyPair('secp256k1'))],
])('a message that is %s is not heard, and who brings such ones is banned', async (_, make) => {
  const { victim, others, said } = await attacked(2)
  const [attacker, honest] = others as [Libp2pHost, Libp2pHost]
  send(attacker, victim, ...(await Promise.all(several(make))))
  await eventually(() => !victim.isConnected(idOf(attacker)))
  await honest.publish('log/1', bytes('honest'))
  await eventually(() => said().includes('honest'))
  expect(said()).toEqual(['honest'])
})

test('what was heard is not heard again, whoever says it again', async () => {
  const { victim, others, said } = await attacked(3)
  const [author, replayer, other] = others as [Libp2pHost, Libp2pHost, Libp2pHost]
  await author.publish('log/1', bytes('once'))
  await eventually(() => said().includes('once'))
  const [kept] = inside(victim).mcache.msgs.values()
  for (const by of [replayer, other, author]) {
    for (let round = 0; round < 10; round++) send(by, victim, kept?.message as RPC.Message)
  }
  for (const by of [replayer, other, author]) {
    await by.publish('log/1', bytes(`after ${idOf(by)}`))
    await eventually(() => said().includes(`after ${idOf(by)}`))
  }
  expect(said().filter((text) => text === 'once')).toEqual(['once'])
})

test('checks that hang hold up those of their neighbour only, and are given up in time', async () => {
  let hanging = 0
  const { victim, others, clock, said } = await attacked(2, async ({ data }, { signal }) => {
    if (data[0] !== 0) return 'keep'
    hanging++
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    hanging--
    return 'keep'
  })
  const [attacker, honest] = others as [Libp2pHost, Libp2pHost]
  const key = await ed25519()
  const { checksPerPeerMax, checkMs } = gossipLimits
  const flood = Array.from({ length: 4 * checksPerPeerMax }, (_, at) => Uint8Array.of(0, at))
  send(attacker, victim, ...(await Promise.all(flood.map((data) => message(data, key)))))
  await eventually(() => hanging === checksPerPeerMax)
  await honest.publish('log/1', bytes('honest'))
  await eventually(() => said().includes('honest'))
  expect(hanging).toBe(checksPerPeerMax)
  expect(inside(victim).mcache.msgs.size).toBe(1)

  await clock.advance(checkMs)
  await eventually(() => hanging === 0)
  await attacker.publish('log/1', Uint8Array.of(0, 255))
  await eventually(() => hanging === 1)
  expect(inside(victim).score.score(idOf(attacker))).toBeGreaterThanOrEqual(0)
  // Nor do they hold up a stop.
  await victim.stop()
  await eventually(() => hanging === 0)
})

test('what a banned peer has signed is not passed on, and whoever brings it is not blamed', async () => {
  const { victim, others, said } = await attacked(1)
  const [neighbour] = others as [Libp2pHost]
  const key = await ed25519()
  const author = peerIdFromPrivateKey(key).toString()
  send(neighbour, victim, await message(bytes('before'), key))
  await eventually(() => said().includes('before'))
  victim.fault(author, 'disconnect', 'it forks its log')
  send(neighbour, victim, await message(bytes('after'), key))
  await neighbour.publish('log/1', bytes('honest'))
  await eventually(() => said().includes('honest'))
  expect(said()).toEqual(['before', 'honest'])
  expect(inside(victim).score.score(idOf(neighbour))).toBeGreaterThanOrEqual(0)
})

test('who does not listen verifies nothing of what it is sent', async () => {
  const { victim, others, end, said } = await attacked(1)
  const [neighbour] = others as [Libp2pHost]
  end()
  const received = receiving(victim)
  const forged = await Promise.all(
    several(async () => message(bytes('x'), await ed25519(), await ed25519())),
  )
  send(neighbour, victim, ...forged)
  await eventually(() => received.includes(forged.length))
  victim.subscribe('log/1', async () => 'keep')
  expect(said()).toEqual([])
  expect(victim.isConnected(idOf(neighbour))).toBe(true)
  expect(inside(victim).score.score(idOf(neighbour))).toBeGreaterThanOrEqual(0)
})

test('who asks for all that was said gets no more than it could take', async () => {
  const { victim, others } = await attacked(1)
  const [asker] = others as [Libp2pHost]
  const { answers, rpcBytesMax } = gossipLimits
  for (let index = 0; index < 24; index++) {
    await victim.publish('log/1', new Uint8Array(FRAME_BYTES_MAX).fill(index))
  }
  const ids = [...inside(victim).mcache.msgs.keys()].map((id) => Buffer.from(id, 'base64'))
  const received = receiving(asker)
  for (let round = 0; round < 5; round++) {
    const control = { graft: [], prune: [], idontwant: [], ihave: [], iwant: [{ messageIDs: ids }] }
    const encoded = RPC.encode({ subscriptions: [], messages: [], control })
    inside(asker).streamsOutbound.get(idOf(victim))?.push(encoded)
  }
  await eventually(() => received.length > 0)
  await asker.ping(idOf(victim), wait())
  const answered = received.map((messages) => messages * FRAME_BYTES_MAX)
  expect(Math.max(...answered)).toBeGreaterThan(0)
  expect(Math.max(...answered)).toBeLessThan(rpcBytesMax)
  expect(answered.reduce((sum, each) => sum + each)).toBeLessThanOrEqual(answers.burst)
})

test('a listener surrounded by those who pass nothing on still hears of what is said', {
  timeout: 90_000,
}, async () => {
  const victim = await startHost()
  const said: string[] = []
  victim.subscribe('log/1', async ({ data }) => {
    said.push(new TextDecoder().decode(data))
    return 'keep'
  })
  for (let n = 0; n < rounds(6, 12); n++) {
    const attacker = await startHost()
    attacker.subscribe('log/1', async () => 'ignore')
    await attacker.connect(idOf(victim), victim.status().addrs, wait())
  }
  const [neighbour, author] = [await startHost(), await startHost()]
  neighbour.subscribe('log/1', async () => 'keep')
  author.fault(idOf(victim), 'disconnect', 'they are not to meet')
  await victim.connect(idOf(neighbour), neighbour.status().addrs, wait())
  await author.connect(idOf(neighbour), neighbour.status().addrs, wait())
  const stop = AbortSignal.timeout(60_000)
  for (let n = 0; said.length === 0 && !stop.aborted; n++) {
    await author.publish('log/1', bytes(`an entry ${n}`))
    await eventually(() => said.length > 0, 500).catch(() => {})
  }
  expect(said[0]).toMatch('an entry')
  expect(victim.isConnected(idOf(author))).toBe(false)
})
