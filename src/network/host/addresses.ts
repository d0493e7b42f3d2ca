import { isIPv4, isIPv6 } from 'node:net'
import { base58btc } from 'multiformats/bases/base58'
import { InvalidError } from '../../base/errors.ts'

/** A peer to join through, and every address it was named with. */
export interface Door {
  peerId: string
  addresses: string[]
}

/** Each one is dialled while the peer has few connections; nobody needs more ways in. */
const BOOTSTRAP_MAX = 64
/** Each one is a socket. */
const LISTEN_MAX = 16
/** The name stands in every protocol id and in a DNS label, which has 63 bytes and knows no case. */
const NETWORK_NAME = /^[a-z0-9][a-z0-9_-]{0,39}$/
const DNS_NAME = /^(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?$/i
/** Identity multihash of 36 bytes: protobuf of key type Ed25519 and 32 bytes of key. */
const ED25519_ID = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20]
const ED25519_ID_BYTES = 38

export function checkNetworkName(name: string): string {
  if (!NETWORK_NAME.test(name)) {
    throw new InvalidError(
      'network',
      `"${name}" is no network name. Use 1 to 40 of a-z, 0-9, "-" and "_" for --network.`,
    )
  }
  return name
}

/** What `--bootstrap` names, by peer: two addresses of one peer are two ways to one connection. */
export function checkBootstrap(addresses: readonly string[]): Door[] {
  if (addresses.length > BOOTSTRAP_MAX) {
    throw new InvalidError('bootstrap', `Give at most ${BOOTSTRAP_MAX} --bootstrap addresses.`)
  }
  const doors = new Map<string, Door>()
  for (const address of addresses) {
    const { peerId } = parseBootstrap(address)
    const door = doors.get(peerId) ?? { peerId, addresses: [] }
    if (!door.addresses.includes(address)) door.addresses.push(address)
    doors.set(peerId, door)
  }
  return [...doors.values()]
}

export function checkListen(addresses: readonly string[]): string[] {
  if (addresses.length > LISTEN_MAX) {
    throw new InvalidError('listen', `Give at most ${LISTEN_MAX} --listen addresses.`)
  }
  for (const address of addresses) {
    const [start, family, host = '', tcp, port = '', ...rest] = address.split('/')
    const ok = start === '' && rest.length === 0 && tcp === 'tcp'
    if (!ok || !isIp(family, host) || !isPort(port, 0)) {
      throw new InvalidError(
        'listen',
        `"${address}" can't be listened on. Give --listen an address such as ` +
          '/ip4/0.0.0.0/tcp/7463 (port 0: any free one).',
      )
    }
  }
  return [...new Set(addresses)]
}

/** `/<ip4|ip6|dns…>/<host>/tcp/<port>/p2p/<peer id>`, or `/dnsaddr/<host>/p2p/<peer id>`. */
function parseBootstrap(address: string): { peerId: string } {
  const refuse = (why: string) =>
    new InvalidError(
      'bootstrap',
      `"${address}" can't be joined through: ${why}. Give --bootstrap a whole address as ` +
        'printed by that peer, such as /ip4/192.0.2.1/tcp/7463/p2p/12D3KooW….',
    )
  const parts = address.split('/')
  const at = parts.indexOf('p2p')
  const peerId = parts[at + 1]
  if (parts[0] !== '' || at < 0 || peerId === undefined || parts.length > at + 2) {
    throw refuse('it must end in /p2p/<peer id>, so that nobody else can answer for that peer')
  }
  if (!isPeerId(peerId)) throw refuse('its peer id is not one of an Ed25519 key')
  const [family, host = '', tcp, port = '', ...rest] = parts.slice(1, at)
  if (family === 'dnsaddr' && tcp === undefined && DNS_NAME.test(host)) return { peerId }
  if (tcp !== 'tcp' || rest.length > 0 || !isPort(port, 1)) {
    throw refuse('this peer dials TCP only, and a port from 1 to 65535')
  }
  const named = ['dns', 'dns4', 'dns6'].includes(family ?? '') && DNS_NAME.test(host)
  if (!named && !isIp(family, host)) throw refuse('its host is neither an IP address nor a name')
  if (host === '0.0.0.0' || host === '::') throw refuse('nobody can be reached at that host')
  return { peerId }
}

function isPeerId(text: string): boolean {
  try {
    const bytes = base58btc.decode(`z${text}`)
    return (
      bytes.length === ED25519_ID_BYTES && ED25519_ID.every((byte, index) => bytes[index] === byte)
    )
  } catch {
    return false
  }
}

function isIp(family: string | undefined, host: string): boolean {
  return family === 'ip4' ? isIPv4(host) : family === 'ip6' && isIPv6(host)
}

function isPort(text: string, lowest: number): boolean {
  return /^(0|[1-9][0-9]{0,4})$/.test(text) && Number(text) >= lowest && Number(text) <= 65_535
}
