import type { GossipSub } from '@chainsafe/libp2p-gossipsub'
import type { Connection, PeerId } from '@libp2p/interface'
import { expect, test } from 'vitest'
import { mendStreams } from '../../src/network/host/gossip-streams.ts'
import { gossipLimits } from '../../src/network/host/limits.ts'
import { FakeClock } from '../base/fake-clock.ts'

const { reopenMs } = gossipLimits

class FakeStream extends EventTarget {
  status = 'open'
  end() {
    this.status = 'closed'
    this.dispatchEvent(new Event('close'))
  }
}

const link = () => ({ status: 'open' }) as unknown as Connection & { status: string }

/** As much of gossipsub as opens streams; peers in `silent` never answer. */
function fakeGossip() {
  const clock = new FakeClock()
  const opened: { peer: string; over: Connection; stream: FakeStream }[] = []
  const silent = new Set<string>()
  const gossip = {
    peers: new Map(['a', 'b'].map((peer) => [peer, {}])),
    streamsOutbound: new Map<string, { rawStream: FakeStream }>(),
    async createOutboundStream(peerId: PeerId, over: Connection) {
      const peer = String(peerId)
      if (silent.has(peer)) await new Promise(() => {})
      const stream = new FakeStream()
      gossip.streamsOutbound.set(peer, { rawStream: stream })
      stream.addEventListener('close', () => gossip.streamsOutbound.delete(peer))
      opened.push({ peer, over, stream })
    },
    async stop() {},
  }
  mendStreams(gossip as unknown as GossipSub, clock)
  const connect = async (peer: string, over: Connection) => {
    await gossip.createOutboundStream(peer as unknown as PeerId, over)
    await clock.advance(0)
  }
  return { gossip, clock, opened, silent, connect, peers: () => opened.map(({ peer }) => peer) }
}

test('a neighbour that does not answer holds up nobody', async () => {
  const { silent, connect, peers } = fakeGossip()
  silent.add('a')
  await connect('a', link())
  await connect('b', link())
  expect(peers()).toEqual(['b'])
})

test('a stream that is gone is opened again after a pause, while there is a connection', async () => {
  const { clock, connect, opened, peers } = fakeGossip()
  const over = link()
  await connect('a', over)
  opened[0]?.stream.end()
  await clock.advance(reopenMs - 1)
  expect(peers()).toEqual(['a'])
  await clock.advance(1)
  expect(peers()).toEqual(['a', 'a'])
  over.status = 'closed'
  opened[1]?.stream.end()
  await clock.advance(10 * reopenMs)
  expect(peers()).toEqual(['a', 'a'])
  expect(clock.pending).toBe(0)
})

test('one stream is enough, and the second connection takes the place of the first', async () => {
  const { clock, connect, opened } = fakeGossip()
  const [first, second] = [link(), link()]
  await connect('a', first)
  await connect('a', second)
  expect(opened.map(({ over }) => over)).toEqual([first])
  first.status = 'closed'
  opened[0]?.stream.end()
  await clock.advance(reopenMs)
  expect(opened.map(({ over }) => over)).toEqual([first, second])
})

test('a new connection is not kept waiting, and a stop ends it all', async () => {
  const { gossip, clock, connect, opened, peers } = fakeGossip()
  await connect('a', link())
  opened[0]?.stream.end()
  await clock.advance(1)
  await connect('a', link())
  expect(peers()).toEqual(['a', 'a'])
  opened[1]?.stream.end()
  await clock.advance(1)
  await gossip.stop()
  await clock.advance(10 * reopenMs)
  expect(peers()).toEqual(['a', 'a'])
})
