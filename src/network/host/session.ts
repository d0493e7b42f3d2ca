import { multiaddr } from '@multiformats/multiaddr'
import type { Clock } from '../../base/clock.ts'
import { within } from '../../base/deadline.ts'
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Metrics } from '../../base/metrics.ts'
import type { Random } from '../../base/random.ts'
import type { ConnectionEvent, MessageCheck, Wait } from '../network.ts'
import type { Door } from './addresses.ts'
import type { Conduct } from './conduct.ts'
import { Connections } from './connections.ts'
import { Dht } from './dht.ts'
import { DialCaution } from './dial-caution.ts'
import { GossipGate } from './gossip-gate.ts'
import { keepJoined } from './joiner.ts'
import { Lan } from './lan.ts'
import { createNode, type HostNode, type NodeOptions } from './libp2p-node.ts'
import { connectionLimits } from './limits.ts'
import { isCircuit } from './nat/announced.ts'
import { NatParts } from './nat/nat-parts.ts'
import { ping } from './ping.ts'
import { Pings } from './pings.ts'
import { Places } from './places.ts'
import { type Handling, Streams } from './streams.ts'
import { Topics } from './topics.ts'

/** A LAN party: more peers than that are found through the DHT. */
const LAN_PEERS_MAX = 32
/** Any host on the LAN can answer to mDNS with any number of peers. */
const LAN_DIALS_MAX = 4

export interface SessionComponents {
  clock: Clock
  random: Random
  logger: Logger
  metrics: Metrics
  conduct: Conduct
  tell(event: ConnectionEvent): void
}

type Own = 'isBanned' | 'standing' | 'gossipGate' | 'clock' | 'caution' | 'nat' | 'pings'

export interface SessionOptions extends Omit<NodeOptions, Own | 'topics'> {
  /** Names of topics, without the network's prefix. */
  topics: readonly string[]
  checks: ReadonlyMap<string, MessageCheck>
  mdns: boolean
  /** Whether this peer relays for others. */
  relay: boolean
  doors: readonly Door[]
  handlers: ReadonlyMap<string, Handling>
}

interface SessionParts extends SessionComponents {
  node: HostNode
  caution: DialCaution
  kept: Set<string>
  nat: NatParts
  pings: Pings
}

/** One run of the host, from start to stop. Loads libp2p, so it is imported when that begins. */
export class Session {
  readonly node: HostNode
  readonly connections: Connections
  readonly streams: Streams
  readonly dht: Dht
  readonly topics: Topics
  readonly nat: NatParts
  readonly pings: Pings
  readonly #components: SessionComponents
  readonly #options: SessionOptions
  readonly #places: Places
  readonly #stopped = new AbortController()
  /** With `--mdns` only. */
  readonly #lan: Lan | undefined
  #joining: Promise<void> = Promise.resolve()
  #lanDials = 0

  private constructor(components: SessionParts, options: SessionOptions) {
    const { conduct, node, nat, pings } = components
    this.node = node
    this.nat = nat
    this.pings = pings
    this.#components = components
    this.#options = options
    this.#places = new Places({
      ...components,
      isKept: (peerId) => components.kept.has(peerId) || nat.seats(peerId),
      taken: () => node.getConnections().length,
      letGo: (peerId) => this.connections.disconnect(peerId),
    })
    const places = this.#places
    this.connections = new Connections({
      ...components,
      tell: (event) => {
        places.changed(event)
        components.tell(event)
      },
      isBanned: (peerId) => conduct.isBanned(peerId),
      leave: (connection) => this.streams.leave(connection),
    })
    const { connections } = this
    const { network, peerId } = options
    const prefix = prefixOf(network)
    this.streams = new Streams({ ...components, connections, places }, prefix)
    this.topics = new Topics(
      { ...components, pubsub: node.services.pubsub },
      { prefix, checks: options.checks },
    )
    this.dht = new Dht({
      ...components,
      peerId,
      records: options.records,
      peers: () => connections.count,
    })
    const addresses = () => node.getMultiaddrs().map(String).filter(isDirect)
    const onPeer = (id: string, at: string[]) => void this.#meet(id, at)
    this.#lan = options.mdns
      ? new Lan(components, { network, peerId, addresses, onPeer })
      : undefined
  }

  static async open(components: SessionComponents, options: SessionOptions): Promise<Session> {
    const { conduct, clock } = components
    const doors = new Set(options.doors.map(({ peerId }) => peerId))
    const kept = new Set<string>()
    const isExcepted = (peerId: string) => doors.has(peerId) || kept.has(peerId)
    const caution = new DialCaution({ clock, isExcepted })
    const nat = new NatParts(components, options)
    const pings = new Pings(clock)
    const node = await createNode({
      ...options,
      topics: options.topics.map((topic) => prefixOf(options.network) + topic),
      isBanned: (peerId) => conduct.isBanned(peerId),
      standing: (peerId) => conduct.standing(peerId),
      gossipGate: new GossipGate(components),
      clock,
      caution,
      nat,
      pings,
    })
    return new Session({ ...components, node, caution, kept, nat, pings }, options)
  }

  async start(): Promise<void> {
    const { handlers } = this.#options
    for (const [protocol, handling] of handlers) await this.streams.handle(protocol, handling)
    await this.node.start()
    this.nat.start(this)
    this.topics.start()
    await this.#lan?.start()
  }

  /** Goes on in the background until `stop`. */
  join(): void {
    const { doors } = this.#options
    if (doors.length === 0) return
    const joiner = {
      ...this.#components,
      dial: ({ peerId, addresses }: Door, signal: AbortSignal) =>
        this.connections.dial(
          peerId,
          addresses.map((text) => multiaddr(text)),
          signal,
        ),
      isConnected: (peerId: string) => this.connections.has(peerId),
      dialled: () => this.connections.dialled,
    }
    this.#joining = keepJoined(joiner, doors, this.#stopped.signal)
  }

  async ping(peerId: string, { signal }: Wait): Promise<number> {
    const connection = this.connections.to(peerId)
    const { pingMs: ms } = connectionLimits
    const limit = { ms, what: `The ping of ${peerId}`, signal }
    const protocol = `/pinaivu/${this.#options.network}/ping/1.0.0`
    return await within(this.#components.clock, limit, (soon) =>
      ping({ ...this.#components, connection }, protocol, soon),
    )
  }

  async stop(): Promise<void> {
    this.#stopped.abort()
    this.#places.stop()
    this.topics.stop()
    await this.nat.stop()
    await Promise.all([this.node.stop(), this.#joining, this.#lan?.stop()])
  }

  /** A peer on the LAN said that it is there. It says so again: one that is passed over now comes back. */
  async #meet(peerId: string, addresses: string[]): Promise<void> {
    const { connections } = this
    if (this.#lanDials >= LAN_DIALS_MAX || connections.count >= LAN_PEERS_MAX) return
    this.#lanDials++
    try {
      await connections.connect(peerId, addresses, { signal: this.#stopped.signal })
    } catch (error) {
      const data = { peerId, error: messageOf(error) }
      this.#components.logger.debug('peer on the local network not reached', data)
    } finally {
      this.#lanDials--
    }
  }
}

/** Of every protocol and topic on the wire. */
function prefixOf(network: string): string {
  return `/pinaivu/${network}/`
}

const isDirect = (address: string): boolean => !isCircuit(address)
