import type { Connection, ConnectionGater, MultiaddrConnection, PeerId } from '@libp2p/interface'
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
