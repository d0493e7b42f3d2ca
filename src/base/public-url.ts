import { isIP, type LookupFunction } from 'node:net'
import { isPublicAddress } from './public-address.ts'

/** Where a URL that a stranger gave may lead. */
export interface UrlRules {
  /** For development: plain HTTP, any port, and addresses of this machine and its networks. */
  allowPrivate: boolean
  /** Those that may be asked otherwise. */
  ports: readonly number[]
}

/** An address that was checked, and is the one to connect to. */
export interface Address {
  address: string
  family: 4 | 6
}

/** Every address of a name. Rejects when there is none. */
export type Resolve = (name: string, signal: AbortSignal) => Promise<Address[]>

const URL_CHARS_MAX = 2048
/** DNS answers with this many at most that are worth a look; one would do. */
const ADDRESSES_MAX = 64

/** Names that lead into this machine or its own network, wherever DNS says they lead. */
const PRIVATE_NAME =
  /(^|\.)(localhost|localdomain|local|internal|intranet|private|lan|home|corp|home\.arpa)$/

/** What is wrong with such a URL; its message ends the sentence "The URL …". */
export class UnsafeUrlError extends Error {}

/** The URL as it is meant, whatever its spelling; where its name leads is not asked here. */
export function checkUrl(text: string, { allowPrivate, ports }: UrlRules): URL {
  if (text.length > URL_CHARS_MAX) throw new UnsafeUrlError(`is longer than ${URL_CHARS_MAX}`)
  // The parser drops some of these and takes a backslash for a slash: others may read it otherwise.
  if (/[\s\\\p{C}]/u.test(text)) throw new UnsafeUrlError('has spaces, backslashes or controls')
  const url = URL.parse(text)
  const protocols = allowPrivate ? ['https:', 'http:'] : ['https:']
  if (url === null || !/^https?:\/\/[^/]/i.test(text)) throw new UnsafeUrlError('is not a URL')
  if (!protocols.includes(url.protocol)) throw new UnsafeUrlError('must begin with https://')
  // Where both are empty, the parsed URL shows no trace of them.
  const authority = /^[^/]*\/\/([^/?#]*)/.exec(text)?.[1] ?? ''
  if (authority.includes('@')) throw new UnsafeUrlError('must not hold a user or a password')
  if (text.includes('#')) throw new UnsafeUrlError('must not hold a fragment (#)')
  if (allowPrivate) return url
  if (!ports.includes(Number(url.port || 443))) {
    throw new UnsafeUrlError(`must lead to port ${ports.join(' or ')}`)
  }
  checkHost(hostOf(url))
  return url
}

/** Without the brackets of an IPv6 address, and the dot that ends a full name; some take more dots. */
export const hostOf = (url: URL): string => url.hostname.replace(/^\[|\]$|\.+$/g, '')

function checkHost(host: string): void {
  // The parser turned every spelling of an IPv4 address (hex, octal, one number) into dots.
  if (isIP(host) !== 0) checkAddress(host)
  else if (!host.includes('.') || PRIVATE_NAME.test(host)) {
    throw new UnsafeUrlError('names a host of a private network')
  }
}

function checkAddress(address: string): void {
  if (isPublicAddress(address)) return
  // Not which: it would tell a stranger what is in this peer's network.
  throw new UnsafeUrlError('leads to an address that is not on the public internet')
}

/** Where to connect to: all that the name leads to, of which none may be private. */
export async function addressesOf(
  url: URL,
  rules: UrlRules & { resolve: Resolve },
  signal: AbortSignal,
): Promise<Address[]> {
  const host = hostOf(url)
  const family = isIP(host)
  const found: Address[] =
    family === 0
      ? (await rules.resolve(host, signal)).slice(0, ADDRESSES_MAX)
      : [{ address: host, family: family === 6 ? 6 : 4 }]
  if (!rules.allowPrivate) for (const { address } of found) checkAddress(address)
  return found
}

/** In place of asking for the name again: what it leads to a moment later does not matter. */
export const pinned =
  (addresses: readonly Address[]): LookupFunction =>
  (_name, { all }, callback) => {
    const [first] = addresses
    if (first === undefined) callback(new Error('no address'), '', 0)
    else if (all) callback(null, [...addresses])
    else callback(null, first.address, first.family)
  }
