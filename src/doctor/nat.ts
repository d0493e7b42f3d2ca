import { isIPv4 } from 'node:net'
import { networkInterfaces } from 'node:os'
import { type Found, ok, skip, warn } from './finding.ts'
import type { PeerSeen } from './peer-seen.ts'

export interface NatSources {
  /** Addresses of this machine's interfaces. */
  own: readonly string[]
  /** How bootstrap peers see this machine. */
  seenAs: readonly string[]
  /** Whether the peer is told to join anybody beyond the local network. */
  joins: boolean
}

export function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map((at) => at.address))
}

const forward =
  'Nothing need be done where relays are found. To be reached straight, forward the port ' +
  'that it listens on (TCP 7463 if not chosen otherwise) on the router, or allow UPnP there.'

/** Whether others can dial this peer: as it found out itself, or else as the addresses suggest. */
export function nat(seen: PeerSeen, { own, seenAs, joins }: NatSources): Found {
  const known = seen.type === 'answers' ? seen.peer.network.nat : undefined
  if (known !== undefined && known.verdict !== 'unknown') return verdict(known)
  if (!joins) return ok('The peer is alone: nobody is to reach it from elsewhere.')
  const outer = seenAs.find((host) => isOpenAddress(host))
  if (outer !== undefined && !own.includes(outer)) {
    const cause = `This machine is behind a NAT: others see it as ${outer}, which is none of its own.`
    return warn('nat_translated', cause, forward)
  }
  if (own.some(isOpenAddress)) {
    return ok(
      'This machine has an address of the internet; whether a firewall is in the way shows ' +
        'once a peer runs.',
    )
  }
  return skip(
    'This machine has private addresses only. Whether it is reached shows once a peer runs.',
  )
}

function verdict({ verdict, relays }: { verdict: string; relays: readonly string[] }): Found {
  if (verdict === 'public') return ok('Others reach this peer straight.')
  if (relays.length > 0) {
    const cause = `This peer is behind a NAT or firewall; others reach it through ${relays.length} relay(s).`
    return ok(cause)
  }
  return warn(
    'nat_no_relay',
    'This peer is behind a NAT or firewall, and found no relay: only peers that it dials itself use it.',
    'Forward its TCP port on the router or in the firewall, or join through a peer that relays ' +
      '(--roles relay there).',
  )
}

/** Blocks that are not of the internet: private, shared, link-local, loopback. */
const INNER =
  /^(0\.|10\.|127\.|169\.254\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.)/

const isOpenAddress = (host: string): boolean =>
  isIPv4(host) ? !INNER.test(host) : /^[23]/.test(host)
