import type { Connection, ConnectionGater, PeerId } from '@libp2p/interface'
import { tcpAddress } from '../../wire/rules.ts'
import { machineOf } from '../net-of.ts'
import { connectionLimits as limits } from './limits.ts'

export interface GaterComponents {
  isBanned(peerId: string): boolean
  connections(): readonly Connection[]
}

/** Who is turned away at the door, before anything is spent on it. */
export function gater({ isBanned, connections }: GaterComponents): ConnectionGater {
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
      const others = connections().filter(
        ({ remoteAddr }) => machineOf(remoteAddr.toString()) === machine,
      )
      return others.length >= limits.connectionsPerMachineMax
    },
  }
}
