import type { Connection, PeerId } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import type { Clock } from '../../base/clock.ts'
import { within } from '../../base/deadline.ts'
import { messageOf, PeerError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Metrics } from '../../base/metrics.ts'
import { netOf } from '../net-of.ts'
import type { ConnectionEvent, Link, Wait } from '../network.ts'
import type { DialCaution } from './dial-caution.ts'
import { Greeter } from './greeter.ts'
import type { HostNode } from './libp2p-node.ts'
import { connectionLimits as limits } from './limits.ts'
import { isCircuit } from './nat/announced.ts'
import { CircuitChange } from './nat/circuit-change.ts'

/** More than the 52 that the DHT gives to peers it likes; libp2p allows no more. */
const KEEP_VALUE = 100
const KEEP_TAG = 'pinaivu-keep'
/** By this tag the DHT has peers dialled again that have gone. */
const REDIAL_TAG = 'keep-alive-kad-dht'

export interface ConnectionsComponents {
  node: HostNode
  caution: Pick<DialCaution, 'met'>
  /** Peers that `keep` was called for. */
  kept: Set<string>
  clock: Clock
  logger: Logger
  metrics: Metrics
  isBanned(peerId: string): boolean
  /** What would go on for ever on that connection is to end: there is a better one. */
  leave(connection: Connection): void
  tell(event: ConnectionEvent): void
}

/** Peers of this network that are connected: one of their connections has been welcomed. */
export class Connections {
  readonly #components: ConnectionsComponents
  readonly #node: HostNode
  readonly #greeter: Greeter
  /** How many want it kept. */
  readonly #wanted = new Map<string, number>()
  readonly #welcomed = new Map<string, Set<Connection>>()
  readonly #change: CircuitChange
  readonly #gauge

  constructor(components: ConnectionsComponents) {
    this.#components = components
    this.#node = components.node
    this.#gauge = components.metrics.gauge(
      'pinaivu_network_peers',
      'Peers of this network with an open connection.',
    )
    this.#greeter = new Greeter(components, (connection) => this.#add(connection))
    this.#change = new CircuitChange({
      ...components,
      welcomed: (connection) => this.welcomed(connection),
    })
    this.#node.addEventListener('connection:close', ({ detail }) => this.#remove(detail))
  }

  get count(): number {
    return this.#welcomed.size
  }

  /** Of them, those that this peer has dialled. */
  get dialled(): number {
    return this.peers().filter((peerId) => this.link(peerId)?.dialled).length
  }

  peers(): string[] {
    return [...this.#welcomed.keys()]
  }

  has(peerId: string): boolean {
    return this.#welcomed.has(peerId)
  }

  /** A connection that can be used at once; throws when there is none. */
  to(peerId: string): Connection {
    const connections = this.#welcomed.get(peerId)
    const best = connections === undefined ? undefined : this.#change.bestOf(connections)
    if (best === undefined) throw unreachable(peerId)
    return best
  }

  /** Resolves once the other side is known to be a peer of this network; throws when it is none. */
  welcomed(connection: Connection): Promise<void> {
    return this.#greeter.welcomed(connection)
  }

  /** Never asks the DHT: whoever has no address of that peer calls `findPeer` first. */
  async connect(peerId: string, addresses: readonly string[], { signal }: Wait): Promise<void> {
    signal.throwIfAborted()
    if (this.has(peerId)) return
    if (this.#components.isBanned(peerId)) {
      throw new PeerError('peer_banned', `${peerId} is banned for a while for what it did.`)
    }
    const id = parsePeerId(peerId)
    const dialable = toDialable(peerId, [...addresses, ...(await this.#known(id))])
    if (dialable.length === 0) throw unreachable(peerId)
    await this.dial(peerId, dialable, signal)
  }

  /**
   * A peer that is reached through a relay has other addresses of its local network, where only those
   * who are there too get an answer, and at once.
   */
  async dial(peerId: string, addresses: Multiaddr[], signal: AbortSignal): Promise<void> {
    const relayed = addresses.filter(isCircuit)
    const direct = addresses.filter((address) => !isCircuit(address))
    if (relayed.length > 0 && direct.length > 0) {
      try {
        await this.#dial(peerId, direct, limits.besideRelayMs, signal)
        return
      } catch {
        signal.throwIfAborted()
      }
    }
    await this.#dial(peerId, relayed.length > 0 ? relayed : direct, limits.dialMs, signal)
  }

  async #dial(
    peerId: string,
    addresses: Multiaddr[],
    ms: number,
    signal: AbortSignal,
  ): Promise<void> {
    const limit = { ms, what: `Reaching ${peerId}`, signal }
    await within(this.#components.clock, limit, async (soon) => {
      try {
        await this.welcomed(await this.#node.dial(addresses, { signal: soon }))
      } catch (error) {
        soon.throwIfAborted()
        throw error instanceof PeerError ? error : unreachable(peerId, error)
      }
    })
  }

  /** Lets open streams end first, for a moment. */
  async disconnect(peerId: string): Promise<void> {
    const id = parsePeerId(peerId)
    if (this.#node.getConnections(id).length === 0) return
    await this.#node.peerStore.merge(id, { tags: { [REDIAL_TAG]: undefined } })
    await this.#node.hangUp(id)
  }

  /** At once, and whatever runs on it fails. */
  cutOff(peerId: string, reason: Error): void {
    for (const connection of this.#node.getConnections()) {
      if (connection.remotePeer.toString() === peerId) connection.abort(reason)
    }
  }

  link(peerId: string): Link | undefined {
    const all = [...(this.#welcomed.get(peerId) ?? [])]
    const one = all.find(({ direction }) => direction === 'outbound') ?? all[0]
    if (one === undefined) return undefined
    const address = one.remoteAddr.toString()
    return { net: netOf(address) ?? address, dialled: one.direction === 'outbound' }
  }

  keep(peerId: string, wanted: boolean): void {
    const { kept } = this.#components
    const before = this.#wanted.get(peerId) ?? 0
    const now = Math.max(0, before + (wanted ? 1 : -1))
    if (now === 0) this.#wanted.delete(peerId)
    else this.#wanted.set(peerId, now)
    if (before > 0 === now > 0) return
    if (wanted) kept.add(peerId)
    else kept.delete(peerId)
    const tag = wanted ? { value: KEEP_VALUE } : undefined
    this.#node.peerStore
      .merge(parsePeerId(peerId), { tags: { [KEEP_TAG]: tag } })
      .catch((error: unknown) => {
        const data = { peerId, error: messageOf(error) }
        this.#components.logger.warn('a connection could not be marked to be kept', data)
      })
  }

  async #known(id: PeerId): Promise<string[]> {
    if (!(await this.#node.peerStore.has(id))) return []
    const { addresses } = await this.#node.peerStore.get(id)
    return addresses.map((address) => address.multiaddr.toString())
  }

  #add(connection: Connection): void {
    const peerId = connection.remotePeer.toString()
    this.#components.caution.met(connection.remoteAddr)
    const others = this.#welcomed.get(peerId)
    if (others !== undefined) {
      others.add(connection)
      this.#change.came(connection, others)
      return
    }
    this.#welcomed.set(peerId, new Set([connection]))
    this.#gauge.set(this.count)
    this.#components.tell({ peerId, connected: true })
  }

  #remove(connection: Connection): void {
    const peerId = connection.remotePeer.toString()
    const connections = this.#welcomed.get(peerId)
    if (!connections?.delete(connection) || connections.size > 0) return
    this.#welcomed.delete(peerId)
    this.#gauge.set(this.count)
    this.#components.tell({ peerId, connected: false })
  }
}

export function parsePeerId(text: string): PeerId {
  try {
    return peerIdFromString(text)
  } catch (cause) {
    throw new PeerError('bad_peer_id', `"${text.slice(0, 80)}" is no peer id.`, { cause })
  }
}

/** What can be dialled of anybody's claims where `peerId` is to be found; the first few only. */
function toDialable(peerId: string, addresses: readonly string[]): Multiaddr[] {
  const found = new Map<string, Multiaddr>()
  for (const text of addresses) {
    if (found.size === limits.addressesPerPeerMax) break
    const whole = /\/p2p\/[^/]+$/.test(text) ? text : `${text}/p2p/${peerId}`
    if (!whole.endsWith(`/p2p/${peerId}`) || found.has(whole)) continue
    try {
      found.set(whole, multiaddr(whole))
    } catch {
      // Not an address; others may be.
    }
  }
  return [...found.values()]
}

export function unreachable(peerId: string, cause?: unknown): PeerError {
  const message = `${peerId} does not answer at any address known of it.`
  return new PeerError('peer_unreachable', message, { cause })
}
