import type { PeerId, PeerInfo } from '@libp2p/interface'
import type { KadDHT } from '@libp2p/kad-dht'
import { multiaddr } from '@multiformats/multiaddr'
import { expect, test } from 'vitest'
import { heedNews } from '../../src/network/host/hearsay.ts'
import { dhtLimits } from '../../src/network/host/limits.ts'
import { FakeClock } from '../base/fake-clock.ts'

const said = (name: string, ...addresses: string[]): PeerInfo => ({
  id: { toString: () => name } as PeerId,
  multiaddrs: addresses.map((address) => multiaddr(address)),
})

test('what many say of a peer is heard once, and again when it is elsewhere or after a while', async () => {
  const clock = new FakeClock()
  const heard: string[] = []
  const network = {
    safeDispatchEvent: (name: string, { detail }: { detail: PeerInfo }) => {
      heard.push(`${name} ${detail.id} ${detail.multiaddrs}`)
      return true
    },
  }
  heedNews({ network } as unknown as KadDHT, clock)
  const say = (name: string, info: PeerInfo) => network.safeDispatchEvent(name, { detail: info })
  for (let n = 0; n < 20; n++) say('peer', said('a', '/ip4/1.2.3.4/tcp/1'))
  say('peer', said('b', '/ip4/1.2.3.4/tcp/1'))
  say('peer', said('a', '/ip4/1.2.3.4/tcp/2'))
  await clock.advance(dhtLimits.newsMs)
  say('peer', said('a', '/ip4/1.2.3.4/tcp/1'))
  expect(heard).toEqual([
    'peer a /ip4/1.2.3.4/tcp/1',
    'peer b /ip4/1.2.3.4/tcp/1',
    'peer a /ip4/1.2.3.4/tcp/2',
    'peer a /ip4/1.2.3.4/tcp/1',
  ])
  // Nothing but hearsay is passed over, and none that would fill the memory is kept.
  for (let n = 0; n < 2; n++) say('other', said('a', '/ip4/1.2.3.4/tcp/1'))
  const everywhere = Array.from({ length: 100 }, (_, n) => `/ip4/1.2.3.4/tcp/${n + 1}`)
  for (let n = 0; n < 2; n++) say('peer', said('c', ...everywhere))
  expect(heard.slice(4)).toHaveLength(4)
})
