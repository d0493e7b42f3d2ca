import { afterEach, expect, test } from 'vitest'
import type { Libp2pHost } from '../../src/network/host/libp2p-host.ts'
import { rounds } from '../campaign.ts'
import { at, eventually, startHosts, stopHosts } from './hosts.ts'

afterEach(stopHosts)

const TOPIC = '/pinaivu/test/log/1'

interface Inside {
  score: { score(peer: string): number }
  streamsOutbound: Map<string, { protocol: string }>
}
const pubsub = (host: Libp2pHost) => host.node.services.pubsub
const inside = (host: Libp2pHost) => pubsub(host) as unknown as Inside

/** All of them subscribed, and everybody seen by the first as such. */
async function subscribed(hosts: Libp2pHost[], withinMs?: number) {
  const received = hosts.map((host) => {
    const texts: string[] = []
    pubsub(host).addEventListener('message', ({ detail }) => {
      texts.push(new TextDecoder().decode(detail.data))
    })
    pubsub(host).subscribe(TOPIC)
    return texts
  })
  const seenBy = (host: Libp2pHost) => pubsub(host).getSubscribers(TOPIC).length
  await eventually(() => seenBy(at(hosts, 0)) === hosts.length - 1, withinMs)
  await eventually(() => hosts.every((host) => seenBy(host) > 0), withinMs)
  return received
}

const publish = (host: Libp2pHost, text: string) =>
  pubsub(host).publish(TOPIC, new TextEncoder().encode(text))

/**
 * Says it again until everybody but the speaker has heard it: a mesh takes some heartbeats to form,
 * and a message is gossiped about for three of them only.
 */
async function spread(hosts: Libp2pHost[], received: string[][], by: number, withinMs = 15_000) {
  const others = received.filter((_, index) => index !== by)
  const everybody = () => others.every((texts) => texts.length > 0)
  const stop = AbortSignal.timeout(withinMs)
  for (let round = 0; !everybody() && !stop.aborted; round++) {
    await publish(at(hosts, by), `to all ${round}`)
    await eventually(everybody, 1_000).catch(() => {})
  }
  expect(others.filter((texts) => texts.length === 0)).toEqual([])
}

test('a message reaches those that only share a neighbour with its author, and once', async () => {
  const hosts = await startHosts(3)
  const received = await subscribed(hosts)
  await spread(hosts, received, 1)
  expect(received[1]).toEqual([])
  for (const texts of received) expect(texts).toEqual([...new Set(texts)])
})

test('gossipsub sees its own version, the wire that of the network', async () => {
  const hosts = await startHosts(2)
  await subscribed(hosts)
  const [first] = hosts as [Libp2pHost]
  expect([...inside(first).streamsOutbound.values()].map((stream) => stream.protocol)).toEqual([
    '/meshsub/1.2.0',
  ])
  const onTheWire = first.node.getConnections().flatMap(({ streams }) => streams)
  expect(new Set(onTheWire.map((stream) => stream.protocol))).toContain(
    '/pinaivu/test/meshsub/1.2.0',
  )
})

test('a topic that is none of this network is neither remembered nor relayed', async () => {
  const [a, b] = (await startHosts(2)) as [Libp2pHost, Libp2pHost]
  for (let index = 0; index < 10; index++) pubsub(b).subscribe(`/pinaivu/test/junk/${index}`)
  await subscribed([a, b])
  expect(pubsub(a).getSubscribers('/pinaivu/test/junk/0')).toEqual([])
})

// Fifty start within two seconds on the two cores of a test machine, and are slow until they have.
const startMs = rounds(8_000, 240_000)

test('many hosts behind one address all hear each other, and none loses standing for it', {
  timeout: 4 * startMs,
}, async () => {
  const hosts = await startHosts(rounds(12, 50), {}, startMs)
  const received = await subscribed(hosts, startMs)
  await spread(hosts, received, hosts.length - 1, startMs)
  for (const host of hosts) {
    for (const peer of pubsub(host).getPeers()) {
      expect(inside(host).score.score(peer.toString())).toBeGreaterThanOrEqual(0)
    }
  }
})
