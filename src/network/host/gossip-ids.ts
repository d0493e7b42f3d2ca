import type { GossipSubComponents } from '@chainsafe/libp2p-gossipsub'
import type { Connection, Stream, Topology } from '@libp2p/interface'

/** The one version spoken: it has back-off in PRUNE, and IDONTWANT for messages on their way. */
export const GOSSIP_VERSION = '/meshsub/1.2.0'

type Registrar = GossipSubComponents['registrar']

/**
 * Gossipsub only knows its features under the public ids, and networks must not share an id.
 * So it is given a registrar, and through that connections and streams, that add the network's
 * prefix on the way out and take it off on the way in.
 */
export function withGossipPrefix(registrar: Registrar, prefix: string): Registrar {
  const wire = (id: string) => `${prefix}${id}`
  const asPlain = (connection: Connection) => plainConnection(connection, wire)
  return proxied(registrar, {
    handle: (id: string, handler: Parameters<Registrar['handle']>[1], options: object) =>
      registrar.handle(
        wire(id),
        (stream, connection) => handler(plainStream(stream), asPlain(connection)),
        options,
      ),
    unhandle: (id: string) => registrar.unhandle(wire(id)),
    register: (id: string, topology: Topology) =>
      registrar.register(wire(id), {
        ...topology,
        onConnect: (peer, connection) => topology.onConnect?.(peer, asPlain(connection)),
      }),
    getTopologies: (id: string) => registrar.getTopologies(wire(id)),
  })
}

function plainConnection(connection: Connection, wire: (id: string) => string): Connection {
  return proxied(connection, {
    newStream: async (ids: string | string[], options: Parameters<Connection['newStream']>[1]) =>
      plainStream(await connection.newStream([ids].flat().map(wire), options)),
  })
}

function plainStream(stream: Stream): Stream {
  return proxied(stream, { protocol: GOSSIP_VERSION })
}

/** `target` with some members replaced; methods still run on `target` itself. */
function proxied<T extends object>(target: T, replaced: { [name: string | symbol]: unknown }): T {
  return new Proxy(target, {
    get(_, name) {
      if (Object.hasOwn(replaced, name)) return replaced[name]
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
    set: (_, name, value) => Reflect.set(target, name, value, target),
  })
}
