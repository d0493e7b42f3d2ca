import { expect, test } from 'vitest'
import { machineOf, netOf } from '../../src/network/net-of.ts'

test.each([
  ['/ip4/192.0.2.7/tcp/1', '192.0.2', '192.0.2.7'],
  [
    '/ip4/192.0.2.7/tcp/1/p2p/12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq',
    '192.0.2',
    '192.0.2.7',
  ],
  ['/ip6/2001:db8:1:2:3:4:5:6/tcp/1', '2001:db8:1', '2001:db8:1:2'],
  ['/ip6/2001:DB8::6/tcp/1', '2001:db8:0', '2001:db8:0:0'],
  ['/ip6/::1/tcp/1', '0:0:0', '0:0:0:0'],
  ['/ip6/::/tcp/1', '0:0:0', '0:0:0:0'],
  ['/ip6/1::/tcp/1', '1:0:0', '1:0:0:0'],
  ['/ip6/::ffff:192.0.2.7/tcp/1', '192.0.2', '192.0.2.7'],
  ['/ip6/::ffff:c000:207/tcp/1', '192.0.2', '192.0.2.7'],
  ['/ip6zone/eth0/ip6/fe80::1/tcp/1', 'fe80:0:0', 'fe80:0:0:0'],
  ['/dns4/peer.example/tcp/1', undefined, undefined],
  ['/ip4/1.2.3/tcp/1', undefined, undefined],
  ['', undefined, undefined],
])('%s is in a net and on a machine', (address, net, machine) => {
  expect(netOf(address)).toBe(net)
  expect(machineOf(address)).toBe(machine)
})
