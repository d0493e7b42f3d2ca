import type { Connection, MultiaddrConnection, PeerId } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { expect, test } from 'vitest'
import { gater } from '../../src/network/host/gater.ts'
import { connectionLimits } from '../../src/network/host/limits.ts'

const from = (address: string) => ({ remoteAddr: multiaddr(address) }) as MultiaddrConnection
const peer = (id: string) => ({ toString: () => id }) as PeerId

test('one address has its share of the places, and no more', async () => {
  const open: MultiaddrConnection[] = []
  const door = gater({ isBanned: () => false, connections: () => open as unknown as Connection[] })
  const denied = (address: string) => door.denyInboundConnection?.(from(address))
  for (let port = 1; port <= connectionLimits.connectionsPerHostMax; port++) {
    const address = `/ip4/192.0.2.1/tcp/${port}`
    expect(await denied(address)).toBe(false)
    open.push(from(address))
  }
  expect(await denied('/ip4/192.0.2.1/tcp/9999')).toBe(true)
  expect(await denied('/ip4/192.0.2.2/tcp/9999')).toBe(false)
  expect(await denied('/ip6/2001:db8::1/tcp/9999')).toBe(false)
  open.pop()
  expect(await denied('/ip4/192.0.2.1/tcp/9999')).toBe(false)
})

test('who is banned is not dialled and not let in', async () => {
  const door = gater({ isBanned: (id) => id === 'bad', connections: () => [] })
  expect(await door.denyDialPeer?.(peer('bad'))).toBe(true)
  expect(await door.denyDialPeer?.(peer('good'))).toBe(false)
  const incoming = from('/ip4/192.0.2.1/tcp/1')
  expect(await door.denyInboundEncryptedConnection?.(peer('bad'), incoming)).toBe(true)
  expect(await door.denyInboundEncryptedConnection?.(peer('good'), incoming)).toBe(false)
})

test.each([
  ['/ip4/192.0.2.1/tcp/7463', false],
  ['/ip6/2001:db8::1/tcp/7463/p2p/12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq', false],
  ['/dns4/peer.example/tcp/7463', false],
  ['/unix/%2Fvar%2Frun%2Fdocker.sock', true],
  ['/ip4/192.0.2.1/udp/7463/quic-v1', true],
  ['/ip4/192.0.2.1/tcp/80/ws', true],
])('of what strangers say, TCP addresses alone are dialled: %s', async (address, denied) => {
  const door = gater({ isBanned: () => false, connections: () => [] })
  expect(await door.denyDialMultiaddr?.(multiaddr(address))).toBe(denied)
})
