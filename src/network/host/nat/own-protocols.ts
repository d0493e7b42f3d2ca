import type { Connection } from '@libp2p/interface'
import type { ConnectionManager, Registrar } from '@libp2p/interface-internal'
import { facade } from './facade.ts'

interface Components {
  registrar: Registrar
  connectionManager: ConnectionManager
}

/** As this network calls what libp2p gives one name everywhere. */
export type OwnName = (protocol: string) => string

export const ownNames =
  (prefix: string): OwnName =>
  (protocol) =>
    protocol.replace(/^\/libp2p\//, `/${prefix}/`)

/** The same, for a part of libp2p whose protocols cannot be named: peers of other networks share none. */
export function ownProtocols<C extends Components>(components: C, name: OwnName): C {
  const { registrar, connectionManager } = components
  const own = (connection: Connection): Connection =>
    facade(connection, {
      newStream: (protocols, options) =>
        connection.newStream([protocols].flat().map(name), options),
    })
  return facade<Components>(components, {
    registrar: facade(registrar, {
      handle: (protocol, handler, options) =>
        registrar.handle(
          name(protocol),
          (stream, connection) => handler(stream, own(connection)),
          options,
        ),
      unhandle: (protocol, options) => registrar.unhandle(name(protocol), options),
      register: (protocol, topology) =>
        registrar.register(name(protocol), {
          ...topology,
          onConnect: (peer, connection) => topology.onConnect?.(peer, own(connection)),
        }),
    }),
    connectionManager: facade(connectionManager, {
      getConnections: (peer) => connectionManager.getConnections(peer).map(own),
      openConnection: async (where, options) =>
        own(await connectionManager.openConnection(where, options)),
    }),
  }) as C
}
