import type { PeerStore } from '@libp2p/interface'
import { isPeerId } from '@libp2p/interface'
import type { ConnectionManager } from '@libp2p/interface-internal'
import { PeerError } from '../../../base/errors.ts'
import { isCircuit } from './announced.ts'
import { facade } from './facade.ts'

interface Components {
  connectionManager: ConnectionManager
  peerStore: PeerStore
}

/**
 * For the DHT, which does not run over circuits: it dials nobody through a relay. Whoever is behind
 * one keeps nothing of it.
 */
export function straight<C extends Components>(components: C): C {
  const { connectionManager, peerStore } = components
  const assertStraight = async (to: unknown): Promise<void> => {
    if (!isPeerId(to)) return
    const all = connectionManager.getConnections(to)
    if (all.some(({ limits }) => limits === undefined)) return
    const { addresses } = await peerStore.get(to).catch(() => ({ addresses: [] }))
    if (all.length === 0 && !addresses.some(({ multiaddr }) => isCircuit(multiaddr))) return
    throw new PeerError('relayed_only', `${to} is reached through relays alone.`)
  }
  return facade<Components>(components, {
    connectionManager: facade(connectionManager, {
      openStream: async (to, protocol, options) => {
        await assertStraight(to)
        return await connectionManager.openStream(to, protocol, options)
      },
    }),
  }) as C
}
