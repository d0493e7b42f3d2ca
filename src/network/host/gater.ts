import type { Connection, ConnectionGater, PeerId } from '@libp2p/interface'
import type { Clock } from '../../base/clock.ts'
import { tcpAddress } from '../../wire/rules.ts'
import { machineOf } from '../net-of.ts'
import { connectionLimits as limits } from './limits.ts'
import { Rates } from './rates.ts'

export interface GaterComponents {
  clock: Clock
  isBanned(peerId: string): boolean
  connections(): readonly Connection[]
}

/** Who is turned away at the door, before anything is spent on it. */
export function gater({ clock, isBanned, connections }: GaterComponents): ConnectionGater {
  const comes = new Rates(clock)
  const deny = (peer: PeerId) => isBanned(peer.toString())
  return {
    denyDialPeer: deny,
    // Where a peer is, the DHT has from strangers. libp2p's TCP would also knock at sockets in this
    // machine's file system, behind which are programs that trust whoever gets that far.
    denyDialMultiaddr(address) {
      const [where = ''] = address.toString().split('/p2p/')
      return !tcpAddress.test(where)
    },
    denyInboundEncryptedConnection: deny,
    denyInboundConnection(incoming) {
      const machine = machineOf(incoming.remoteAddr.toString())
      // libp2p counts by address, of which a machine with IPv6 has more than there are in all of IPv4.
      if (!comes.take(machine ?? '', limits.inbound).ok) return true
      const others = connections().filter(
        ({ remoteAddr }) => machineOf(remoteAddr.toString()) === machine,
      )
      return others.length >= limits.connectionsPerMachineMax
    },
  }
}
