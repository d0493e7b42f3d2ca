import type { Connection, ConnectionGater, MultiaddrConnection, PeerId } from '@libp2p/interface'
import { tcpAddress } from '../../wire/rules.ts'
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
      const host = hostOf(incoming)
      const others = connections().filter((connection) => hostOf(connection) === host)
      return others.length >= limits.connectionsPerHostMax
    },
  }
}

function hostOf({ remoteAddr }: Pick<MultiaddrConnection, 'remoteAddr'>): string | undefined {
  return remoteAddr.getComponents()[0]?.value
}
