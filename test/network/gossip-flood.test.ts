import { RPC } from '@chainsafe/libp2p-gossipsub/message'
import { afterEach, expect, test } from 'vitest'
import type { Libp2pHost } from '../../src/network/host/libp2p-host.ts'
import { conductLimits, gossipLimits } from '../../src/network/host/limits.ts'
import { FakeClock } from '../base/fake-clock.ts'
import { rounds } from '../campaign.ts'
import { eventually, newHost, recorder, startHost, stopHosts } from './hosts.ts'

afterEach(stopHosts)

const TOPIC = '/pinaivu/test/log/1'
const wait = () => ({ signal: AbortSignal.timeout(8_000) })

interface Inside {
  score: { score(peer: string): number }
  streamsOutbound: Map<string, { push(data: Uint8Array): void }>
  mcache: { msgs: Map<string, unknown> }
  seenCache: { size: number }
  topics: Map<string, Set<string>>
  iasked: Map<string, number>
  encodeRpc(rpc: RPC): Uint8Array
}
const pubsub = (host: Libp2pHost) => host.node.services.pubsub
const inside = (host: Libp2pHost) => pubsub(host) as unknown as Inside
const idOf = (host: Libp2pHost) => host.status().peerId

/** A host on a clock of the test's, an attacker and an honest one, all of them subscribed. */
async function attacked() {
  const clock = new FakeClock()
  const { logger, lines } = recorder()
  const victim = await newHost({}, { clock, logger })
  await victim.start(wait())
  const heard: string[] = []
  pubsub(victim).addEventListener('message', ({ detail }) => {
    heard.push(new TextDecoder().decode(detail.data.subarray(0, 32)))
  })
  const [attacker, honest] = [await startHost(), await startHost()]
  for (const host of [victim, attacker, honest]) pubsub(host).subscribe(TOPIC)
  for (const host of [attacker, honest]) {
    await host.connect(idOf(victim), victim.status().addrs, wait())
  }
  const linked = (host: Libp2pHost) => inside(host).streamsOutbound.has(idOf(victim))
  await eventually(() => linked(attacker) && linked(honest))
  await eventually(() => pubsub(victim).getSubscribers(TOPIC).length === 2)
  await eventually(() => pubsub(honest).getSubscribers(TOPIC).length > 0)

  /** Straight onto the wire, past whatever the attacker's own gossipsub would hold back. */
  const send = (rpc: Partial<RPC>) => {
    const encoded = RPC.encode({ subscriptions: [], messages: [], ...rpc })
    inside(attacker).streamsOutbound.get(idOf(victim))?.push(encoded)
  }
  let said = 0
  const served = async () => {
    const text = `honest ${++said}`
    await pubsub(honest).publish(TOPIC, new TextEncoder().encode(text))
    await eventually(() => heard.includes(text))
  }
  const faults = () =>
    lines.filter(({ message }) => message === 'fault of a peer').map(({ data }) => data)
  return { victim, attacker, clock, send, served, heard, linked, faults }
}

function unsigned(index: number, bytes = 16): RPC.Message {
  const data = new Uint8Array(bytes)
  new DataView(data.buffer).setUint32(0, index)
  return { topic: TOPIC, data, from: new Uint8Array(38), seqno: new Uint8Array(8) }
}

test('unique and well signed messages are taken at the rate; who goes on is banned', async () => {
  const { victim, attacker, clock, send, served, heard, linked } = await attacked()
  const { messages } = gossipLimits
  for (let index = 0; index < rounds(messages.burst + 200, 10_000); index++) {
    await pubsub(attacker).publish(TOPIC, new TextEncoder().encode(`flood ${index}`))
  }
  await served()
  const flooded = heard.filter((text) => text.startsWith('flood'))
  expect(flooded.length).toBeLessThanOrEqual(messages.burst)
  const { mcache, seenCache } = inside(victim)
  expect(mcache.msgs.size).toBeLessThan(messages.burst + 10)
  expect(seenCache.size).toBeLessThan(messages.burst + 10)

  for (let second = 0; second < conductLimits.pointsMax; second++) {
    await clock.advance(1_000)
    // Its own host drops the stream when the flood is more than goes out, and opens it again.
    await eventually(() => linked(attacker))
    for (let index = 0; index < messages.perSecond + 64; index++) send({})
    await served()
  }
  await eventually(() => !victim.isConnected(idOf(attacker)))
  await served()
})

test('messages with no signature cost their sender its standing', async () => {
  const { victim, attacker, send, served } = await attacked()
  for (let index = 0; index < 20; index++) send({ messages: [unsigned(index)] })
  await eventually(() => inside(victim).score.score(idOf(attacker)) < -80)
  await served()
})

test('megabytes of well signed messages are dropped beyond the rate', async () => {
  const { attacker, served, heard, faults } = await attacked()
  const bytes = 60 * 1024
  const room = Math.floor(gossipLimits.bytes.burst / bytes)
  const flooded = () => heard.filter((text) => text.startsWith('flood')).length
  const say = async (index: number) => {
    const message = new Uint8Array(bytes)
    message.set(new TextEncoder().encode(`flood ${index} `))
    await pubsub(attacker).publish(TOPIC, message)
  }
  for (let index = 0; index < room; index++) {
    await say(index)
    // One by one: its own host would drop a stream that has more to send than that takes.
    await eventually(() => flooded() > index)
  }
  expect(faults()).toEqual([])
  await say(room)
  await eventually(() => faults().length > 0)
  expect(faults()).toMatchObject([{ peerId: idOf(attacker), reason: 'a flood of gossip' }])
  await served()
})

test.each<[string, () => Partial<RPC>]>([
  ['is too large', () => ({ messages: [unsigned(0, gossipLimits.rpcBytesMax)] })],
  [
    'names a hundred thousand topics',
    () => ({ subscriptions: Array.from({ length: 100_000 }, topicOf) }),
  ],
])('an RPC that %s ends the gossip of its sender only', async (_, rpc) => {
  const { victim, attacker, send, served } = await attacked()
  send(rpc())
  await eventually(() => !pubsub(victim).getSubscribers(TOPIC).some(isPeer(attacker)))
  expect([...inside(victim).topics.keys()]).toEqual([TOPIC])
  await served()
})

function topicOf(_: unknown, index: number) {
  return { subscribe: true, topic: `${index}` }
}

test('an RPC of more messages than one may have is not looked at', async () => {
  const { victim, attacker, send, served } = await attacked()
  const length = gossipLimits.messagesMax + 1
  send({ messages: Array.from({ length }, (_, index) => unsigned(index)) })
  await served()
  // One message of them would have cost it this.
  expect(inside(victim).score.score(idOf(attacker))).toBeGreaterThanOrEqual(0)
})

test('a hundred thousand topics, a few at a time, are none of them remembered', async () => {
  const { victim, send, served } = await attacked()
  for (let batch = 0; batch < 200; batch++) {
    const topic = (index: number) => `/pinaivu/test/${batch}/${index}/${'x'.repeat(100)}`
    send({
      subscriptions: Array.from({ length: gossipLimits.subscriptionsMax }, (_, index) => ({
        subscribe: true,
        topic: topic(index),
      })),
    })
  }
  await served()
  expect([...inside(victim).topics.keys()]).toEqual([TOPIC])
})

test('promises and requests of messages that do not exist are answered within bounds', async () => {
  const { victim, attacker, send, served } = await attacked()
  const ids = (from: number) =>
    Array.from({ length: 1000 }, (_, index) => {
      const id = new Uint8Array(20)
      new DataView(id.buffer).setUint32(0, from + index)
      return id
    })
  for (let round = 0; round < 30; round++) {
    const messageIDs = ids(round * 1000)
    const control = { graft: [], prune: [], idontwant: [], ihave: [], iwant: [] }
    send({ control: { ...control, ihave: [{ topicID: TOPIC, messageIDs }] } })
    send({ control: { ...control, iwant: [{ messageIDs }] } })
  }
  await served()
  expect(inside(victim).iasked.get(idOf(attacker)) ?? 0).toBeLessThanOrEqual(5000)
})

function isPeer(host: Libp2pHost) {
  return (peer: { toString(): string }) => peer.toString() === idOf(host)
}
