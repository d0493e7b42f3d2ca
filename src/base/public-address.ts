import { BlockList, isIPv4, isIPv6 } from 'node:net'

/**
 * Whether an IP address is one of the public internet: what a stranger's URL may lead to.
 * IPv4: everything but IANA's special purposes. IPv6: global unicast (2000::/3) but for the special
 * purposes in it; what carries an IPv4 address inside (mapped, 6to4, Teredo) is refused whatever it
 * is, but for NAT64, by which networks without IPv4 reach all others: there the inner one counts.
 */
export function isPublicAddress(address: string): boolean {
  if (isIPv4(address)) return !specialV4.check(address, 'ipv4')
  // A zone (`fe80::1%eth0`) names a link of this machine.
  if (!isIPv6(address) || address.includes('%')) return false
  if (nat64.check(address, 'ipv6')) return isPublicAddress(lastFourBytes(address))
  return globalV6.check(address, 'ipv6') && !specialV6.check(address, 'ipv6')
}

type Ranges = readonly (readonly [net: string, prefix: number])[]

function listOf(family: 'ipv4' | 'ipv6', ranges: Ranges): BlockList {
  const list = new BlockList()
  for (const [net, prefix] of ranges) list.addSubnet(net, prefix, family)
  return list
}

const specialV4 = listOf('ipv4', [
  ['0.0.0.0', 8], // this network: Linux takes it for the machine itself
  ['10.0.0.0', 8],
  ['100.64.0.0', 10], // carrier-grade NAT; Alibaba's metadata
  ['127.0.0.0', 8],
  ['168.63.129.16', 32], // Azure's services to its machines
  ['169.254.0.0', 16], // link-local; most clouds' metadata
  ['172.16.0.0', 12],
  ['192.0.0.0', 24], // protocol assignments; Oracle's metadata
  ['192.0.2.0', 24], // documentation
  ['192.31.196.0', 24], // AS112
  ['192.52.193.0', 24], // AMT
  ['192.88.99.0', 24], // 6to4 relays
  ['192.168.0.0', 16],
  ['192.175.48.0', 24], // AS112
  ['198.18.0.0', 15], // benchmarks
  ['198.51.100.0', 24], // documentation
  ['203.0.113.0', 24], // documentation
  ['224.0.0.0', 4], // multicast
  ['240.0.0.0', 4], // reserved, and broadcast
])

const globalV6 = listOf('ipv6', [['2000::', 3]])

const specialV6 = listOf('ipv6', [
  ['2001::', 23], // protocol assignments; Teredo, ORCHID, benchmarks
  ['2001:db8::', 32], // documentation
  ['2002::', 16], // 6to4
  ['2620:4f:8000::', 48], // AS112
  ['3fff::', 20], // documentation
])

const nat64 = listOf('ipv6', [['64:ff9b::', 96]])

/** The IPv4 address at the end of an IPv6 address. */
function lastFourBytes(address: string): string {
  const dotted = address.slice(address.lastIndexOf(':') + 1)
  if (isIPv4(dotted)) return dotted
  // In canonical form: the last two groups, of which a zero may be left out.
  const [tail = ''] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::').slice(-1)
  const groups = tail.split(':').map((group) => Number.parseInt(group || '0', 16))
  const [high, low] = [groups.at(-2) ?? 0, groups.at(-1) ?? 0]
  return [high >> 8, high & 255, low >> 8, low & 255].join('.')
}
