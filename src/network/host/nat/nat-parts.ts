import type { Connection, ConnectionGater, PeerId, Transport } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Clock } from '../../../base/clock.ts'
import type { Logger } from '../../../base/logger.ts'
import type { Metrics } from '../../../base/metrics.ts'
import type { Random } from '../../../base/random.ts'
import { netOf } from '../../net-of.ts'
import type { NatStatus } from '../../network.ts'
import type { Connections } from '../connections.ts'
import type { Dht } from '../dht.ts'
import type { HostNode } from '../libp2p-node.ts'
import { Rates } from '../rates.ts'
import { announced, isCircuit } from './announced.ts'
import { autoNat } from './autonat.ts'
import { Circuits, HOP_PROTOCOL } from './circuits.ts'
import { holePunch } from './hole-punch.ts'
import { Nat } from './nat.ts'
import { seatLimits as limits } from './nat-limits.ts'
import { type OwnName, ownNames } from './own-protocols.ts'
import { PunchPort } from './punch-port.ts'
import { type Candidate, RelayKeeper } from './relay-keeper.ts'
import { relayQuota } from './relay-quota.ts'
import { RelayServer } from './relay-server.ts'

export interface NatPartsComponents {
  clock: Clock
  random: Random
  logger: Logger
  metrics: Metrics
}

export interface NatPartsOptions {
  network: string
  /** Whether this peer relays for others. */
  relay: boolean
}

/** What stands upon libp2p, and is made after it. */
export interface NatGround {
  node: HostNode
  connections: Connections
  dht: Dht
}

/** What lets peers behind NATs take part: given to libp2p when it is made, and run beside it. */
export class NatParts {
  readonly #components: NatPartsComponents
  readonly #prefix: string
  readonly #name: OwnName
  readonly #port: PunchPort
  readonly #circuits: Circuits
  readonly #server: RelayServer | undefined
  #ground: NatGround | undefined
  #nat: Nat | undefined

  constructor(components: NatPartsComponents, { network, relay }: NatPartsOptions) {
    this.#prefix = `pinaivu/${network}`
    this.#name = ownNames(this.#prefix)
    this.#components = components
    this.#port = new PunchPort(components.random)
    this.#circuits = new Circuits(this.#name, () => this.#nat?.seatsChanged())
    this.#server = relay ? new RelayServer(this.#name, components.metrics) : undefined
  }

  get status(): NatStatus {
    const { relays } = this.#circuits
    return { verdict: this.#nat?.verdict ?? 'unknown', relays }
  }

  /** Whether that peer has a seat at this relay, and is to stay connected. */
  seats(peerId: string): boolean {
    return this.#server?.has(peerId) ?? false
  }

  /** The transport, dialling from where holes are punched. */
  punching<C>(tcp: (components: C) => Transport): (components: C) => Transport {
    return this.#port.transport(tcp)
  }

  /** The transport through relays. */
  get circuits() {
    return this.#circuits.transport
  }

  services(self: string) {
    const addresses = () => this.#nat?.punchable ?? []
    return {
      autonat: autoNat(this.#prefix),
      holePunch: holePunch({ port: this.#port, name: this.#name, self, addresses }),
      ...(this.#server === undefined ? {} : { relay: this.#server.service }),
    }
  }

  /** Whose circuits are refused, here and at this relay. */
  gater(connections: () => readonly Connection[]): ConnectionGater {
    const server = this.#server
    const comes = new Rates(this.#components.clock)
    const isWelcome = (peer: PeerId) => this.#isWelcome(peer)
    return {
      denyInboundRelayedConnection: (relay) => !comes.take(`${relay}`, limits.comes).ok,
      ...(server === undefined
        ? {}
        : relayQuota({ ...this.#components, server, connections, isWelcome })),
    }
  }

  /** What this peer says of where it is. */
  readonly announced = (addresses: Multiaddr[]): Multiaddr[] => {
    const self = this.#ground?.node.peerId
    const circuits = this.#circuits.addresses().map((each) => each.encapsulate(`/p2p/${self}`))
    return announced([...addresses, ...circuits])
  }

  start(ground: NatGround): void {
    const { node, connections, dht } = ground
    this.#ground = ground
    const keeper = new RelayKeeper({
      ...this.#components,
      circuits: this.#circuits,
      relays: () => this.#relays(),
      connect: (peerId, addresses, wait) => connections.connect(peerId, addresses, wait),
      keep: (peerId, wanted) => connections.keep(peerId, wanted),
      findProviders: (key, wait) => dht.findProviders(key, wait),
    })
    const parts = { ...this.#components, node, port: this.#port, circuits: this.#circuits, keeper }
    this.#nat = new Nat(parts)
    this.#nat.start()
  }

  /** While libp2p runs: a router is told that its port is wanted no more. */
  async stop(): Promise<void> {
    await this.#nat?.stop()
  }

  /** Peers that relay for others, and are connected straight. */
  async #relays(): Promise<Candidate[]> {
    const { node, connections } = this.#grounded()
    const found: Candidate[] = []
    for (const { remotePeer: id, remoteAddr } of node.getConnections()) {
      if (isCircuit(remoteAddr) || !connections.has(id.toString())) continue
      if (found.some((each) => each.id.equals(id))) continue
      // It may be gone, and forgotten, by now.
      const known = await node.peerStore.get(id).catch(() => undefined)
      if (known?.protocols.includes(this.#name(HOP_PROTOCOL)))
        found.push({ id, net: netOf(`${remoteAddr}`) ?? '' })
    }
    return found
  }

  async #isWelcome(peer: PeerId): Promise<boolean> {
    const { node, connections } = this.#grounded()
    const [first] = node.getConnections(peer)
    if (first === undefined) return false
    return await connections.welcomed(first).then(
      () => true,
      () => false,
    )
  }

  #grounded(): NatGround {
    if (this.#ground === undefined) throw new Error('Nothing of it runs before libp2p does.')
    return this.#ground
  }
}
