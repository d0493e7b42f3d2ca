import fc from 'fast-check'
import { expect, test } from 'vitest'
import { InvalidError } from '../../src/base/errors.ts'
import { checkBootstrap, checkListen } from '../../src/network/host/addresses.ts'

const ID = '12D3KooWBmwkafWE2fqfzS96VoTZgpGp6aJsF4N2W6YJcHhkHUfP'

test.each([
  `/ip4/192.0.2.1/tcp/7463/p2p/${ID}`,
  `/ip6/2001:db8::1/tcp/7463/p2p/${ID}`,
  `/dns4/peer.example/tcp/7463/p2p/${ID}`,
  `/dns/localhost/tcp/1/p2p/${ID}`,
  `/dnsaddr/bootstrap.example/p2p/${ID}`,
])('%s can be joined through', (address) => {
  expect(checkBootstrap([address])).toEqual([{ peerId: ID, addresses: [address] }])
})

test.each([
  ['', 'p2p'],
  ['192.0.2.1:7463', 'p2p'],
  ['/ip4/192.0.2.1/tcp/7463', 'p2p'],
  ['/ip4/192.0.2.1/tcp/7463/p2p', 'p2p'],
  [`/ip4/192.0.2.1/tcp/7463/p2p/${ID}/p2p-circuit/p2p/${ID}`, 'p2p'],
  ['/ip4/192.0.2.1/tcp/7463/p2p/12D3KooW', 'Ed25519'],
  [`/ip4/192.0.2.1/tcp/7463/p2p/${ID.slice(0, -1)}0`, 'Ed25519'],
  ['/ip4/192.0.2.1/tcp/7463/p2p/QmaCpDMGvV2BGHeYERUEnRQAwe3N8SzbUtfsmvsqQLuvuJ', 'Ed25519'],
  [`/ip4/999.0.2.1/tcp/7463/p2p/${ID}`, 'host'],
  [`/ip4/0.0.0.0/tcp/7463/p2p/${ID}`, 'host'],
  [`/dns4/-_-!/tcp/7463/p2p/${ID}`, 'host'],
  [`/ip4/192.0.2.1/tcp/0/p2p/${ID}`, 'port'],
  [`/ip4/192.0.2.1/tcp/65536/p2p/${ID}`, 'port'],
  [`/ip4/192.0.2.1/udp/7463/quic-v1/p2p/${ID}`, 'TCP'],
  [`/ip4/192.0.2.1/tcp/7463/ws/p2p/${ID}`, 'TCP'],
])('%s is refused, the error naming --bootstrap and what is wrong (%s)', (address, word) => {
  expect(() => checkBootstrap([address])).toThrow(
    expect.objectContaining({
      code: 'invalid_value',
      param: 'bootstrap',
      message: expect.stringMatching(new RegExp(`${word}.*--bootstrap`)),
    }),
  )
})

test('two addresses of one peer are one way in, the same address twice as well', () => {
  const one = `/ip4/192.0.2.1/tcp/1/p2p/${ID}`
  const two = `/ip4/192.0.2.2/tcp/1/p2p/${ID}`
  expect(checkBootstrap([one, two, one])).toEqual([{ peerId: ID, addresses: [one, two] }])
})

test('more addresses than anybody needs are refused', () => {
  expect(() => checkBootstrap(Array(65).fill(`/ip4/192.0.2.1/tcp/1/p2p/${ID}`))).toThrow(
    InvalidError,
  )
  expect(() => checkListen(Array(17).fill('/ip4/127.0.0.1/tcp/0'))).toThrow(InvalidError)
})

test.each([
  '',
  '/ip4/127.0.0.1',
  '/ip4/x/tcp/1',
  '/ip4/127.0.0.1/tcp/99999',
  '0.0.0.0:7463',
  '/ip4/127.0.0.1/tcp/0/ws',
  '/ip4/::1/tcp/0',
  '/dns4/localhost/tcp/1',
  '/ip4/127.0.0.1/tcp/-1',
])('%j is refused for --listen', (address) => {
  expect(() => checkListen([address])).toThrow(expect.objectContaining({ param: 'listen' }))
})

test('no text does anything but pass or be refused', () => {
  const part = fc.oneof(
    fc.constantFrom('', 'ip4', 'tcp', 'p2p', 'dns', '1.2.3.4', '1', ID),
    fc.string(),
  )
  fc.assert(
    fc.property(fc.array(part, { maxLength: 10 }), (parts) => {
      for (const check of [checkBootstrap, checkListen]) {
        try {
          check([parts.join('/')])
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidError)
        }
      }
    }),
  )
})
