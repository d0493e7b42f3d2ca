import { dcutr } from '@libp2p/dcutr'
import type { Connection } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { facade } from './facade.ts'
import { natLimits as limits } from './nat-limits.ts'
import { type OwnName, ownProtocols } from './own-protocols.ts'
import type { PunchPort } from './punch-port.ts'

type Make = ReturnType<typeof dcutr>
type Components = Parameters<Make>[0]

export interface HolePunchComponents {
  port: PunchPort
  name: OwnName
  /** This peer's own id. */
  self: string
  /** Where the other side is to dial this one. */
  addresses(): Multiaddr[]
}

/**
 * DCUtR: two peers that met through a relay go on without it. libp2p's own tells the other side of no
 * port that a hole could be punched to, has both sides speak first, and cuts what is under way.
 */
export function holePunch(own: HolePunchComponents): Make {
  const make = dcutr({ timeout: limits.punchMs, retries: limits.punchTries })
  return (original) => {
    const components = ownProtocols(original, own.name)
    const { registrar, addressManager } = components
    return make(
      facade<Components>(components, {
        addressManager: facade(addressManager, { getAddresses: () => own.addresses() }),
        connectionManager: dialling(components, own.port),
        registrar: facade(registrar, {
          register: (protocol, topology) =>
            registrar.register(protocol, {
              ...topology,
              onConnect: (peer, connection) => {
                if (isOurs(components, own.self, connection)) {
                  topology.onConnect?.(peer, uncut(connection))
                }
              },
            }),
          handle: (protocol, handler, options) =>
            registrar.handle(
              protocol,
              (stream, connection) => handler(stream, uncut(connection)),
              options,
            ),
        }),
      }),
    )
  }
}

/** The other side begins to speak when this one is told to answer; and a hole is no address to keep. */
function dialling({ connectionManager, peerStore }: Components, port: PunchPort) {
  return facade(connectionManager, {
    openConnection: async (where, options = {}) => {
      const open = () => connectionManager.openConnection(where, options)
      if (!Array.isArray(where)) return await open()
      const connection = await (options.initiator === false ? port.answering(where, open) : open())
      const { addresses } = await peerStore.get(connection.remotePeer)
      const kept = addresses.filter(
        ({ multiaddr }) => !`${connection.remoteAddr}`.startsWith(`${multiaddr}`),
      )
      await peerStore.patch(connection.remotePeer, { addresses: kept })
      return connection
    },
  })
}

/** Two that have dialled each other through relays would punch twice, and at the same place. */
function isOurs({ connectionManager }: Components, self: string, circuit: Connection): boolean {
  const all = connectionManager.getConnections(circuit.remotePeer)
  if (all.some(({ limits }) => limits === undefined)) return false
  const isBothWays = all.some(({ direction }) => direction === 'outbound')
  return !isBothWays || self < circuit.remotePeer.toString()
}

/** It is left to end with what runs on it. */
function uncut(connection: Connection): Connection {
  return facade(connection, { close: async () => {} })
}
