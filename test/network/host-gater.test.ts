import type { Connection, MultiaddrConnection, PeerId } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { expect, test } from 'vitest'
import { Doorkeeper } from '../../src/network/host/doorkeeper.ts'
import { gater } from '../../src/network/host/gater.ts'
import { connectionLimits } from '../../src/network/host/limits.ts'
import { FakeClock } from '../base/fake-clock.ts'

const from = (address: string) => ({ remoteAddr: multiaddr(address) }) as MultiaddrConnection
const open = { isBanned: () => false, connections: () => [] }
const peer = (id: string) => ({ toString: () => id }) as PeerId

test.each([
  ['an address', (n: number) => `/ip4/192.0.2.1/tcp/${n}`, '/ip4/192.0.2.2/tcp/9999'],
  [
    'a machine with a net of its own',
    (n: number) => `/ip6/2001:db8:0:1:${n.toString(16)}::7/tcp/1`,
    '/ip6/2001:db8:0:2::7/tcp/1',
  ],
])('%s has its share of the places, and no more', async (_, addressOf, another) => {
  const open: MultiaddrConnection[] = []
  const door = gater({
    isBanned: () => false,
    connections: () => open as unknown as Connection[],
  })
  const denied = (address: string) => door.denyInboundConnection?.(from(address))
  for (let n = 1; n <= connectionLimits.connectionsPerMachineMax; n++) {
    const address = addressOf(n)
    expect(await denied(address)).toBe(false)
    open.push(from(address))
  }
  expect(await denied(addressOf(9999))).toBe(true)
  expect(await denied(another)).toBe(false)
  open.pop()
  expect(await denied(addressOf(9999))).toBe(false)
})

test('a machine comes as often as it may, whichever of its addresses it uses', async () => {
  const clock = new FakeClock()
  const doorkeeper = new Doorkeeper(clock)
  const denied = (n: number) => doorkeeper.check(`2001:db8:0:1::${n.toString(16)}`, 'ipv6')
  for (let n = 0; n < connectionLimits.inbound.burst; n++) expect(denied(n)).toBe(false)
  expect(denied(9999)).toBe(true)
  expect(doorkeeper.check('2001:db8:0:2::1', 'ipv6')).toBe(false)
  expect(doorkeeper.check('192.0.2.1', 'ipv4')).toBe(false)
  await clock.advance(1_000)
  expect(denied(9999)).toBe(false)
})

const relay = '12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5'
const target = '12D3KooWRndVhVZPCiQwHBBBdg769GyrPUW13zxwqQyf9r3ANaba'

test.each([
  [`/ip4/192.0.2.1/tcp/1/p2p/${target}`, false],
  [`/ip4/192.0.2.1/tcp/1/p2p/${relay}/p2p-circuit/p2p/${target}`, false],
  [`/dns4/relay.example/tcp/1/p2p/${relay}/p2p-circuit/p2p/${target}`, false],
  [`/ip4/192.0.2.1/tcp/1/p2p/${target}/p2p-circuit/p2p/${target}`, true],
  [`/ip4/192.0.2.1/tcp/1/p2p/${relay}/p2p-circuit/p2p/${relay}/p2p-circuit/p2p/${target}`, true],
  [`/p2p/${relay}/p2p-circuit/p2p/${target}`, true],
  [`/unix/tmp%2Fx/p2p/${target}`, true],
  [`/unix/tmp%2Fx/p2p/${relay}/p2p-circuit/p2p/${target}`, true],
])('%s is not dialled: %s', async (address, isDenied) => {
  expect(await gater(open).denyDialMultiaddr?.(multiaddr(address))).toBe(isDenied)
})

test('who is banned is not dialled and not let in', async () => {
  const door = gater({ ...open, isBanned: (id) => id === 'bad' })
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
  const door = gater(open)
  expect(await door.denyDialMultiaddr?.(multiaddr(address))).toBe(denied)
})
