import type { Connection, ConnectionGater, PeerId } from '@libp2p/interface'
import type { Clock } from '../../../base/clock.ts'
import { machineOf } from '../../net-of.ts'
import { Rates } from '../rates.ts'
import { relayLimits as limits } from './nat-limits.ts'
import type { RelayServer } from './relay-server.ts'

export interface RelayQuotaComponents {
  clock: Clock
  server: Pick<RelayServer, 'circuits' | 'seats'>
  /** That are open. */
  connections(): readonly Connection[]
  /** Resolves to whether it is a peer of this network: any other gets nothing here. */
  isWelcome(peer: PeerId): Promise<boolean>
}

type Quota = Required<
  Pick<ConnectionGater, 'denyInboundRelayReservation' | 'denyOutboundRelayedConnection'>
>

/** Who is refused a seat at this relay, or a circuit through it. */
export function relayQuota(components: RelayQuotaComponents): Quota {
  const { server, connections, isWelcome } = components
  const rates = new Rates(components.clock)
  const machineOfPeer = (peer: PeerId) =>
    connections()
      .filter(({ remotePeer }) => remotePeer.equals(peer))
      .map(({ remoteAddr }) => machineOf(remoteAddr.toString()))[0]
  return {
    async denyInboundRelayReservation(peer) {
      if (!rates.take(`reserve ${peer}`, limits.reserves).ok) return true
      if (!(await isWelcome(peer))) return true
      const machine = machineOfPeer(peer)
      const neighbours = server
        .seats()
        .filter((seat) => !seat.peer.equals(peer) && machineOf(seat.address) === machine)
      return neighbours.length >= limits.reservationsPerMachineMax
    },
    async denyOutboundRelayedConnection(source, destination) {
      const [from, to] = [source.toString(), destination.toString()]
      if (!(await isWelcome(source)) || !(await isWelcome(destination))) return true
      const all = server.circuits.all()
      const counts = [
        [all.length, limits.circuitsMax],
        [all.filter((each) => each.from === from).length, limits.circuitsPerPeerMax],
        [all.filter((each) => each.to === to).length, limits.circuitsPerPeerMax],
      ] as const
      if (counts.some(([count, max]) => count >= max)) return true
      const isOften = !rates.take(`open ${from}`, limits.opens).ok
      return isOften || !rates.take(`open ${from} ${to}`, limits.opensPerPair).ok
    },
  }
}
