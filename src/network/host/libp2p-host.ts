import type { Clock } from '../../base/clock.ts'
import { DeadlineError, type PeerAction, PeerError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Metrics } from '../../base/metrics.ts'
import type { Random } from '../../base/random.ts'
import type {
  ConnectionEvent,
  FrameStream,
  HandlerLimits,
  Link,
  MessageCheck,
  Network,
  NetworkStatus,
  PeerHint,
  RecordCheck,
  StreamHandler,
  Wait,
} from '../network.ts'
import { checkBootstrap, checkListen, checkNetworkName, type Door } from './addresses.ts'
import type { BanStore } from './bans.ts'
import { Conduct } from './conduct.ts'
import { checkFrame } from './frame-codec.ts'
import type { HostNode } from './libp2p-node.ts'
import { listenError } from './listen-error.ts'
import { Records } from './records.ts'
import type { Session } from './session.ts'
import type { Handling } from './streams.ts'

export interface HostComponents {
  identity: { readonly peerId: string; privateKeySeed(): Uint8Array }
  bans: BanStore
  logger: Logger
  metrics: Metrics
  clock: Clock
  random: Random
}

export interface HostOptions {
  /** Goes into every protocol id and topic: peers of different networks never understand each other. */
  network: string
  listen: readonly string[]
  /** Multiaddrs of peers to join through, each ending in `/p2p/<peer id>`. */
  bootstrap: readonly string[]
  /** Whether to look for peers on the local network, and be found there. */
  mdns: boolean
  /** Whether this peer relays for others that cannot be dialled. */
  relay: boolean
  /** Gossip topics of this network, without its prefix; others are not relayed. */
  topics: readonly string[]
  /** Kinds of record that the DHT keeps, and who judges them; others are refused. */
  records: Readonly<Record<string, RecordCheck>>
  /** This program's version, as others see it. */
  version: string
}

export const defaultHost: HostOptions = {
  network: 'main',
  listen: ['/ip4/0.0.0.0/tcp/7463', '/ip6/::/tcp/7463'],
  bootstrap: [],
  mdns: false,
  relay: false,
  topics: ['log/1'],
  records: {},
  version: '0.0.0',
}

/** From the last word to the last socket; then whatever is still open is cut. */
const STOP_MS_MAX = 3_000

/** The network over libp2p: TCP, noise, yamux, identify, ping, a DHT and gossip of its own. */
export class Libp2pHost implements Network {
  readonly #components: HostComponents
  readonly #options: HostOptions
  readonly #doors: Door[]
  readonly #listen: string[]
  readonly #conduct: Conduct
  readonly #records: Records
  readonly #handlers = new Map<string, Handling>()
  /** By topic. */
  readonly #checks = new Map<string, MessageCheck>()
  readonly #listeners = new Set<(event: ConnectionEvent) => void>()
  readonly #addressListeners = new Set<() => void>()
  #session: Session | undefined

  /** Throws an InvalidError when the network's name or an address is not usable. */
  constructor(components: HostComponents, options: HostOptions) {
    this.#components = components
    this.#options = options
    checkNetworkName(options.network)
    this.#listen = checkListen(options.listen)
    // The same list may be given to every peer of a testnet, this one's own address among them.
    this.#doors = checkBootstrap(options.bootstrap).filter(
      (door) => door.peerId !== components.identity.peerId,
    )
    this.#records = new Records(options.records)
    this.#conduct = new Conduct({
      ...components,
      cutOff: (peerId, reason) => this.#session?.connections.cutOff(peerId, reason),
    })
  }

  status(): NetworkStatus {
    const session = this.#session
    const addrs = session?.node.getMultiaddrs().map((address) => address.toString()) ?? []
    return {
      peerId: this.#components.identity.peerId,
      addrs,
      connections: session?.connections.count ?? 0,
      listening: addrs.length > 0,
      ...(session === undefined ? {} : { nat: session.nat.status }),
    }
  }

  /** The libp2p node, for what is built upon it within `network/`. */
  get node(): HostNode {
    return this.#running().node
  }

  /** Listens; joining goes on in the background and never fails a start. */
  async start({ signal }: Wait): Promise<void> {
    const { identity, logger } = this.#components
    const { network, topics, version, mdns, relay } = this.#options
    await this.#conduct.load()
    // Some 45 MB and most of the time of a start: the rest of the peer need not wait for it.
    const { Session } = await import('./session.ts')
    signal.throwIfAborted()
    const session = await Session.open(
      { ...this.#components, conduct: this.#conduct, tell: (event) => this.#tell(event) },
      {
        seed: identity.privateKeySeed(),
        peerId: identity.peerId,
        listen: this.#listen,
        network,
        topics,
        checks: this.#checks,
        records: this.#records,
        version,
        mdns,
        relay,
        doors: this.#doors,
        handlers: this.#handlers,
      },
    )
    this.#session = session
    session.node.addEventListener('self:peer:update', () => {
      for (const listener of this.#addressListeners) listener()
    })
    try {
      await session.start()
      signal.throwIfAborted()
    } catch (error) {
      this.#session = undefined
      await session.stop()
      throw signal.aborted ? signal.reason : listenError(error)
    }
    session.join()
    logger.info('listening', { peerId: identity.peerId, network, addrs: this.status().addrs })
  }

  async stop(): Promise<void> {
    const session = this.#session
    if (session === undefined) return
    this.#session = undefined
    const late = Promise.withResolvers<never>()
    const cancel = this.#components.clock.after(STOP_MS_MAX, () => {
      const error = new DeadlineError('Stopping the network', STOP_MS_MAX)
      for (const connection of session.node.getConnections()) connection.abort(error)
      late.reject(error)
    })
    try {
      await Promise.race([session.stop(), late.promise])
    } finally {
      cancel()
    }
  }

  connected(): string[] {
    return this.#session?.connections.peers() ?? []
  }

  isConnected(peerId: string): boolean {
    return this.#session?.connections.has(peerId) ?? false
  }

  onConnection(listener: (event: ConnectionEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  onAddresses(listener: () => void): () => void {
    this.#addressListeners.add(listener)
    return () => this.#addressListeners.delete(listener)
  }

  async connect(peerId: string, addresses: readonly string[], wait: Wait): Promise<void> {
    await this.#running().connections.connect(peerId, addresses, wait)
  }

  async disconnect(peerId: string): Promise<void> {
    await this.#session?.connections.disconnect(peerId)
  }

  async ping(peerId: string, wait: Wait): Promise<number> {
    return await this.#running().ping(peerId, wait)
  }

  pingedAt(peerId: string): number | undefined {
    return this.#session?.pings.lastOf(peerId)
  }

  link(peerId: string): Link | undefined {
    return this.#session?.connections.link(peerId)
  }

  keep(peerId: string, wanted: boolean): void {
    this.#session?.connections.keep(peerId, wanted)
  }

  async open(
    peerId: string,
    protocol: string,
    wait: Wait & { lasting?: boolean },
  ): Promise<FrameStream> {
    const { connections, streams } = this.#running()
    await connections.connect(peerId, [], wait)
    return await streams.open(peerId, protocol, wait)
  }

  handle(protocol: string, handler: StreamHandler, limits: HandlerLimits): void {
    if (this.#session !== undefined) {
      throw new PeerError('already_started', 'Protocols are handled from the start or not at all.')
    }
    this.#handlers.set(protocol, { handler, limits })
  }

  fault(peerId: string, action: PeerAction, reason: string): void {
    this.#conduct.fault(peerId, action, reason)
  }

  async publish(topic: string, message: Uint8Array): Promise<void> {
    this.#assertTopic(topic)
    checkFrame(message)
    await this.#running().topics.publish(topic, message)
  }

  subscribe(topic: string, check: MessageCheck): () => void {
    this.#assertTopic(topic)
    if (this.#checks.has(topic)) {
      throw new PeerError('already_subscribed', `Somebody listens to ${topic} already.`)
    }
    const own: MessageCheck = (message, wait) => check(message, wait)
    this.#checks.set(topic, own)
    this.#session?.topics.listen(topic)
    return () => {
      if (this.#checks.get(topic) !== own) return
      this.#checks.delete(topic)
      this.#session?.topics.leave(topic)
    }
  }

  async provide(key: Uint8Array, wait: Wait): Promise<void> {
    await this.#running().dht.provide(key, wait)
  }

  async unprovide(key: Uint8Array): Promise<void> {
    await this.#running().dht.unprovide(key)
  }

  findProviders(key: Uint8Array, wait: Wait & { wide?: boolean }): AsyncIterable<PeerHint> {
    return this.#running().dht.findProviders(key, wait)
  }

  async putRecord(kind: string, value: Uint8Array, wait: Wait): Promise<void> {
    await this.#running().dht.putRecord(kind, value, wait)
  }

  async getRecord(kind: string, peerId: string, wait: Wait): Promise<Uint8Array | undefined> {
    return await this.#running().dht.getRecord(kind, peerId, wait)
  }

  async findPeer(peerId: string, wait: Wait): Promise<string[]> {
    return await this.#running().dht.findPeer(peerId, wait)
  }

  #assertTopic(topic: string): void {
    if (this.#options.topics.includes(topic)) return
    throw new PeerError('unknown_topic', `This network has no topic ${topic}.`)
  }

  #running(): Session {
    if (this.#session === undefined) {
      throw new PeerError('not_started', 'The network is not running; start the peer first.')
    }
    return this.#session
  }

  #tell(event: ConnectionEvent): void {
    for (const listener of this.#listeners) listener(event)
  }
}
