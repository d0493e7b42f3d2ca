import { isIPv4, isIPv6 } from 'node:net'

/**
 * The part of the internet that a multiaddr is in: an IPv4 /24 or an IPv6 /48. What one operator has
 * lies in few of these, whatever it calls itself. Undefined for names.
 */
export function netOf(address: string): string | undefined {
  return prefixOf(address, { ip4Bytes: 3, ip6Groups: 3 })
}

/**
 * Whose machine a multiaddr leads to: with IPv6 the /64, as a single machine has all addresses in its
 * own. Undefined for names.
 */
export function machineOf(address: string): string | undefined {
  return prefixOf(address, { ip4Bytes: 4, ip6Groups: 4 })
}

interface Lengths {
  ip4Bytes: number
  ip6Groups: number
}

function prefixOf(address: string, { ip4Bytes, ip6Groups }: Lengths): string | undefined {
  const parts = address.split('/')
  // A scope such as of fe80::1 may stand in front, as `/ip6zone/eth0`.
  const at = parts.findIndex((part) => part === 'ip4' || part === 'ip6')
  const host = parts[at + 1] ?? ''
  const ip4 = isIPv4(host) ? host : mapped(host)
  if (ip4 !== undefined) return ip4.split('.').slice(0, ip4Bytes).join('.')
  return groupsOf(host)?.slice(0, ip6Groups).join(':')
}

/** The IPv4 address within an IPv6 one of ::ffff:0:0/96: a socket for both may show it so. */
function mapped(host: string): string | undefined {
  const groups = groupsOf(host)
  if (groups?.slice(0, 6).join(':') !== '0:0:0:0:0:ffff') return undefined
  const bytes = groups.slice(6).map((group) => Number.parseInt(group, 16))
  return bytes.flatMap((group) => [group >> 8, group & 0xff]).join('.')
}

/** All eight, in one spelling. */
function groupsOf(host: string): string[] | undefined {
  if (!isIPv6(host)) return undefined
  const plain = new URL(`http://[${host.replace(/%.*/, '')}]`).hostname.slice(1, -1)
  const [front = '', back] = plain.split('::')
  const [first, last] = [front, back ?? ''].map((text) => text.split(':').filter(Boolean))
  if (back === undefined) return first
  const missing = 8 - (first?.length ?? 0) - (last?.length ?? 0)
  return [...(first ?? []), ...Array<string>(missing).fill('0'), ...(last ?? [])]
}
