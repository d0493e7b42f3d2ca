import type { Connection, PeerInfo } from '@libp2p/interface'
import type { Clock } from '../../base/clock.ts'
import { DeadlineError, PeerError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Metrics } from '../../base/metrics.ts'
import type { Network, NetworkStatus } from '../network.ts'
import { checkBootstrap, checkListen, checkNetworkName, type Door } from './addresses.ts'
import { Greeter } from './greeter.ts'
import { keepJoined } from './joiner.ts'
import type { HostNode } from './libp2p-node.ts'
import { listenError } from './listen-error.ts'

export interface HostComponents {
  identity: { readonly peerId: string; privateKeySeed(): Uint8Array }
  logger: Logger
  metrics: Metrics
  clock: Clock
}

export interface HostOptions {
  /** Goes into every protocol id and topic: peers of different networks never understand each other. */
  network: string
  listen: readonly string[]
  /** Multiaddrs of peers to join through, each ending in `/p2p/<peer id>`. */
  bootstrap: readonly string[]
  /** Whether to look for peers on the local network, and be found there. */
  mdns: boolean
  /** Gossip topics of this network, without its prefix; others are not relayed. */
  topics: readonly string[]
  /** This program's version, as others see it. */
  version: string
}

export const defaultHost: HostOptions = {
  network: 'main',
  listen: ['/ip4/0.0.0.0/tcp/7463', '/ip6/::/tcp/7463'],
  bootstrap: [],
  mdns: false,
  topics: ['log/1'],
  version: '0.0.0',
}

/** From the last word to the last socket; then whatever is still open is cut. */
const STOP_MS_MAX = 3_000
/** A LAN party: more peers than that are found through the DHT. */
const LAN_PEERS_MAX = 32
/** Any host on the LAN can answer to mDNS with any number of peers. */
const LAN_DIALS_MAX = 4

/** The network over libp2p: TCP, noise, yamux, identify, ping, a DHT and gossip of its own. */
export class Libp2pHost implements Network {
  readonly #components: HostComponents
  readonly #options: HostOptions
  readonly #doors: Door[]
  readonly #listen: string[]
  #node: HostNode | undefined
  #joining: Promise<void> = Promise.resolve()
  #stopped = new AbortController()
  #lanDials = 0

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
  }

  status(): NetworkStatus {
    const addrs = this.#node?.getMultiaddrs().map((address) => address.toString()) ?? []
    return {
      peerId: this.#components.identity.peerId,
      addrs,
      connections: this.#node?.getPeers().length ?? 0,
      listening: addrs.length > 0,
    }
  }

  /** The libp2p node, for what is built upon it within `network/`. */
  get node(): HostNode {
    if (this.#node === undefined) {
      throw new PeerError('not_started', 'The network is not running; start the peer first.')
    }
    return this.#node
  }

  /** The name that a topic has on the wire. */
  topic(name: string): string {
    return `/pinaivu/${this.#options.network}/${name}`
  }

  /** Listens; joining goes on in the background and never fails a start. */
  async start({ signal }: { signal: AbortSignal }): Promise<void> {
    const { identity, logger, metrics } = this.#components
    this.#stopped = new AbortController()
    const { network, topics, version, mdns } = this.#options
    // Some 45 MB and most of the time of a start: the rest of the peer need not wait for it.
    const { createNode } = await import('./libp2p-node.ts')
    signal.throwIfAborted()
    const node = await createNode({
      seed: identity.privateKeySeed(),
      peerId: identity.peerId,
      listen: this.#listen,
      network,
      topics: topics.map((name) => this.topic(name)),
      version,
      ...(mdns ? { onLanPeer: (peer: PeerInfo) => void this.#meet(peer) } : {}),
    })
    const greeter = new Greeter({ node, logger, metrics })
    this.#countConnections(node)
    try {
      await node.start()
      signal.throwIfAborted()
    } catch (error) {
      await node.stop()
      throw signal.aborted ? signal.reason : listenError(error)
    }
    this.#node = node
    this.#joining = this.#join(node, greeter)
    logger.info('listening', { peerId: identity.peerId, network, addrs: this.status().addrs })
  }

  async stop(): Promise<void> {
    const node = this.#node
    if (node === undefined) return
    this.#node = undefined
    this.#stopped.abort()
    const late = Promise.withResolvers<never>()
    const cancel = this.#components.clock.after(STOP_MS_MAX, () => {
      const error = new DeadlineError('Stopping the network', STOP_MS_MAX)
      for (const connection of node.getConnections()) connection.abort(error)
      late.reject(error)
    })
    try {
      await Promise.race([Promise.all([node.stop(), this.#joining]), late.promise])
    } finally {
      cancel()
    }
  }

  #join(node: HostNode, greeter: Greeter): Promise<void> {
    const { clock, logger, metrics } = this.#components
    if (this.#doors.length === 0) return Promise.resolve()
    const joiner = {
      dial: async (door: Door, signal: AbortSignal) =>
        greeter.welcomed(await dial(node, door.addresses, signal)),
      isConnected: (peerId: string) =>
        node.getPeers().some((connected) => connected.toString() === peerId),
      peers: () => node.getPeers().length,
      clock,
      logger,
      metrics,
    }
    return keepJoined(joiner, this.#doors, this.#stopped.signal)
  }

  /** A peer on the LAN said that it is there. It says so again: one that is passed over now comes back. */
  async #meet(peer: PeerInfo): Promise<void> {
    const node = this.#node
    if (node === undefined || this.#lanDials >= LAN_DIALS_MAX) return
    if (node.getPeers().length >= LAN_PEERS_MAX || node.getConnections(peer.id).length > 0) return
    this.#lanDials++
    try {
      const addresses = peer.multiaddrs.map((address) => `${address}/p2p/${peer.id}`)
      await dial(node, addresses, this.#stopped.signal)
    } catch (error) {
      const data = { peerId: peer.id.toString(), error: String(error) }
      this.#components.logger.debug('peer on the local network not reached', data)
    } finally {
      this.#lanDials--
    }
  }

  #countConnections(node: HostNode): void {
    const gauge = this.#components.metrics.gauge(
      'pinaivu_network_peers',
      'Peers with an open connection.',
    )
    const count = () => gauge.set(node.getPeers().length)
    node.addEventListener('peer:connect', count)
    node.addEventListener('peer:disconnect', count)
  }
}

async function dial(node: HostNode, addresses: string[], signal: AbortSignal): Promise<Connection> {
  const { multiaddr } = await import('@multiformats/multiaddr')
  return await node.dial(
    addresses.map((address) => multiaddr(address)),
    { signal },
  )
}
