import type { Connection, ConnectionGater, PeerId } from '@libp2p/interface'
import { circuitAddress, tcpAddress } from '../../wire/rules.ts'
import { machineOf } from '../net-of.ts'
import { connectionLimits as limits } from './limits.ts'
import { relayOf } from './nat/announced.ts'

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
      const { relay, where, peerId } = partsOf(address.toString())
      if (relay === undefined) return !tcpAddress.test(where)
      // Through itself a peer is reached by nobody, and the dial would wait for its own end.
      return !circuitAddress.test(where) || relay === peerId
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

interface AddressParts {
  /** Undefined for a direct one. */
  relay: string | undefined
  /** All but whose it is. */
  where: string
  peerId: string | undefined
}

function partsOf(text: string): AddressParts {
  const [, where = text, peerId] = /^(.*)\/p2p\/([^/]+)$/.exec(text) ?? []
  return { relay: relayOf(where), where, peerId }
}
