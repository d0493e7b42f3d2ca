import { isLoopback, isPrivate } from '@libp2p/utils'
import type { Multiaddr } from '@multiformats/multiaddr'

/** Of each relay; the rest of its addresses lead to the same place. */
const PER_RELAY_MAX = 2

/** Whether an address leads through a relay. */
export function isCircuit(address: Multiaddr | string): boolean {
  return address.toString().includes('/p2p-circuit')
}

/** Whether it is one of the whole internet, and leads straight to its peer. */
export function isOpen(address: Multiaddr): boolean {
  return !isCircuit(address) && !isPrivate(address)
}

/**
 * What a peer says of where it is, the best first, as others read a few only: addresses of the
 * internet, those through relays, those of its local network. A relay has local addresses too, which
 * are of use to nobody who does not stand beside it.
 */
export function announced(addresses: readonly Multiaddr[]): Multiaddr[] {
  const direct = addresses.filter((address) => !isCircuit(address))
  const relays = Map.groupBy(addresses.filter(isCircuit), relayOf)
  return [
    ...direct.filter(isOpen),
    ...[...relays.values()].flatMap((all) => best(all).slice(0, PER_RELAY_MAX)),
    ...direct.filter((address) => !isOpen(address)),
  ]
}

/** The peer id of the relay that an address leads through. */
export function relayOf(address: Multiaddr | string): string | undefined {
  return /\/p2p\/([^/]+)\/p2p-circuit/.exec(address.toString())?.[1]
}

function best(circuits: readonly Multiaddr[]): readonly Multiaddr[] {
  const open = circuits.filter((address) => !isPrivate(address))
  if (open.length > 0) return open
  const outer = circuits.filter((address) => !isLoopback(address))
  return outer.length > 0 ? outer : circuits
}
