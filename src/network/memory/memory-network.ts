import type { Clock } from '../../base/clock.ts'
import { type PeerAction, PeerError } from '../../base/errors.ts'
import { silentLogger } from '../../base/logger.ts'
import { noMetrics } from '../../base/metrics.ts'
import { idleMsWith, uncrowded } from '../crowding.ts'
import { checkBootstrap, type Door } from '../host/addresses.ts'
import { keepJoined } from '../host/joiner.ts'
import { netOf } from '../net-of.ts'
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
import { DhtView, placeOf } from './memory-dht.ts'
import { MemoryGossip } from './memory-gossip.ts'
import { MemoryHandling } from './memory-handling.ts'
import type { MemoryHub } from './memory-hub.ts'
import { MemoryLinks, type Side } from './memory-links.ts'
import { MemoryStream } from './memory-stream.ts'
import { roundTrip, unreachable } from './round-trip.ts'

/** A look-up in the DHT asks one peer after the other. */
const LOOKUP_HOPS = 3

export interface MemoryNetworkOptions {
  /** Kind of record → who judges it; other kinds are refused. */
  records?: Readonly<Record<string, RecordCheck>>
  /** Where it is in the internet. */
  ip4?: string
  /** The same after a restart; otherwise each network has its own. */
  port?: number
  /** That of the peer, where it is not the one of all. */
  clock?: Clock
  /** Multiaddrs of peers to join through. */
  bootstrap?: readonly string[]
  /** Of those that each look-up is close to, so many are dialled: whom it asks, it knows from then on. */
  metOnLookUp?: number
  /** More connections are not taken. */
  connectionsMax?: number
}

/** A `Network` between peers of one process; the hub decides what gets through. */
export class MemoryNetwork implements Network {
  readonly peerId: string
  /** Whom `keep` was called for. */
  readonly kept = new Set<string>()
  readonly #wanted = new Map<string, number>()
  readonly #hub: MemoryHub
  readonly #clock: Clock
  readonly address: string
  /** In the DHT. */
  readonly place: number
  readonly #options: MemoryNetworkOptions
  readonly #handlers = new Map<string, MemoryHandling>()
  readonly #listeners = new Set<(event: ConnectionEvent) => void>()
  readonly #known = new Map<string, Set<string>>()
  readonly #banned = new Set<string>()
  readonly #links: MemoryLinks
  readonly #dht: DhtView
  readonly gossip: MemoryGossip
  readonly #joining = new AbortController()
  #state: 'new' | 'running' | 'stopped' | 'vanished' = 'new'

  constructor(hub: MemoryHub, peerId: string, address: string, options: MemoryNetworkOptions) {
    this.peerId = peerId
    this.#hub = hub
    this.#clock = options.clock ?? hub.clock
    this.address = address
    this.place = placeOf(peerId)
    this.#options = options
    this.#links = new MemoryLinks({
      clock: this.#clock,
      tell: (event) => this.#tell(event),
      hangUp: (other, connection) => {
        hub.carry(peerId, other, () => hub.running(other)?.hungUp(peerId, connection))
      },
    })
    this.#dht = new DhtView(hub.dht, {
      peerId,
      address,
      records: options.records ?? {},
      random: hub.random,
      lookUp: (key, signal) => this.#lookUp(key, signal),
    })
    this.gossip = new MemoryGossip({
      peerId,
      nextNumber: () => ++hub.said,
      random: hub.random,
      connected: () => this.connected(),
      neighbour: (other) => (this.isConnected(other) ? hub.running(other)?.gossip : undefined),
      carry: (to, bytes, task) => hub.carry(peerId, to, task, bytes),
      blame: (neighbour, { action = 'ignore', code }) => this.fault(neighbour, action, code),
    })
  }

  get isRunning(): boolean {
    return this.#state === 'running'
  }

  status(): NetworkStatus {
    return {
      peerId: this.peerId,
      addrs: this.isRunning ? [`${this.address}/p2p/${this.peerId}`] : [],
      connections: this.#links.size,
      listening: this.isRunning,
    }
  }

  onAddresses = () => () => {} // its address never changes

  async start({ signal }: Wait): Promise<void> {
    signal.throwIfAborted()
    this.#state = 'running'
    const doors = checkBootstrap(this.#options.bootstrap ?? []).filter(
      (door) => door.peerId !== this.peerId,
    )
    if (doors.length === 0) return
    const components = {
      dial: (door: Door, signal: AbortSignal) =>
        this.connect(door.peerId, door.addresses, { signal }),
      isConnected: (peerId: string) => this.isConnected(peerId),
      dialled: () => this.#links.dialled,
      ...{ clock: this.#clock, logger: silentLogger, metrics: noMetrics },
    }
    void keepJoined(components, doors, this.#joining.signal)
  }

  async stop(): Promise<void> {
    if (this.#state === 'vanished') return
    this.#state = 'stopped'
    this.#joining.abort()
    this.gossip.stop()
    for (const peerId of this.connected()) this.giveUp(peerId)
  }

  /** The process ends, and nothing in it hears of that; the others do where they are told. */
  vanish({ isTold = true } = {}): void {
    if (this.#state === 'vanished') return
    this.#state = 'vanished'
    this.#links.vanish({ isTold })
  }

  connected(): string[] {
    return this.#links.peers()
  }

  isConnected(peerId: string): boolean {
    return this.#links.get(peerId) !== undefined
  }

  isConnectedTo(network: MemoryNetwork | undefined): boolean {
    return network !== undefined && this.#links.get(network.peerId)?.other === network
  }

  openStreams(): { peerId: string; protocol: string; isOwn: boolean }[] {
    return this.#links.openStreams()
  }

  onConnection(listener: (event: ConnectionEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async connect(peerId: string, addresses: readonly string[], { signal }: Wait): Promise<void> {
    this.#assertRunning()
    signal.throwIfAborted()
    this.#learn(peerId, addresses)
    if (this.isConnected(peerId)) return
    const there = this.#hub.running(peerId)
    const known = this.#known.get(peerId)
    if (
      there === undefined ||
      known === undefined ||
      !known.has(there.address) ||
      this.#banned.has(peerId)
    ) {
      throw unreachable(peerId)
    }
    await this.#ask(peerId, signal, () => {
      // A dial that was given up does not connect when the cable is back.
      signal.throwIfAborted()
      if (!this.isRunning) return
      const isWelcome = there.isRunning && !there.#banned.has(this.peerId) && !there.#isFull
      if (!isWelcome || this.#hub.isSilent(peerId, this.peerId)) throw unreachable(peerId)
      if (!this.isConnectedTo(there)) this.#join(there)
    })
    if (!this.isConnected(peerId)) throw unreachable(peerId)
  }

  async disconnect(peerId: string): Promise<void> {
    this.giveUp(peerId)
  }

  async ping(peerId: string, { signal }: Wait): Promise<number> {
    this.#assertConnected(peerId)
    const began = this.#clock.elapsed()
    await this.#ask(peerId, signal, () => this.#hub.running(peerId)?.pinged(this.peerId))
    return this.#clock.elapsed() - began
  }

  pingedAt(peerId: string): number | undefined {
    return this.#links.get(peerId)?.pingedAt
  }

  link(peerId: string): Link | undefined {
    const side = this.#links.get(peerId)
    if (side === undefined) return undefined
    return { net: netOf(side.other.address) ?? 'unknown', dialled: side.dialled }
  }

  keep(peerId: string, wanted: boolean): void {
    const count = (this.#wanted.get(peerId) ?? 0) + (wanted ? 1 : -1)
    this.#wanted.set(peerId, count)
    if (count > 0) this.kept.add(peerId)
    else this.kept.delete(peerId)
  }

  async open(peerId: string, protocol: string, { signal }: Wait): Promise<FrameStream> {
    if (!this.isConnected(peerId)) await this.connect(peerId, [], { signal })
    let opened: MemoryStream | undefined
    try {
      await this.#ask(peerId, signal, () => {
        const there = this.#hub.running(peerId)
        if (there !== undefined && !signal.aborted) opened = there.#accept(this, protocol)
      })
    } catch (error) {
      opened?.reset(new PeerError('stream_reset', 'Nobody waits for this stream any more.'))
      throw error
    }
    if (opened === undefined) throw unreachable(peerId)
    return opened
  }

  handle(protocol: string, handler: StreamHandler, limits: HandlerLimits): void {
    if (this.isRunning) throw new PeerError('already_started', 'Handlers are set before start.')
    const blame = this.fault.bind(this)
    const handling = new MemoryHandling({ clock: this.#clock, blame }, handler, limits)
    this.#handlers.set(protocol, handling)
  }

  fault(peerId: string, action: PeerAction, reason: string): void {
    this.#hub.faults.push({ by: this.peerId, peerId, action, reason })
    if (action !== 'disconnect') return
    this.#banned.add(peerId)
    this.giveUp(peerId)
  }

  async publish(topic: string, message: Uint8Array): Promise<void> {
    this.#assertRunning()
    this.gossip.publish(topic, message)
  }

  subscribe(topic: string, check: MessageCheck): () => void {
    return this.gossip.subscribe(topic, check)
  }

  provide(key: Uint8Array, wait: Wait): Promise<void> {
    return this.#dht.provide(key, wait)
  }

  async unprovide(key: Uint8Array): Promise<void> {
    this.#dht.unprovide(key)
  }

  findProviders(key: Uint8Array, wait: Wait): AsyncIterable<PeerHint> {
    return this.#dht.findProviders(key, wait)
  }

  putRecord(kind: string, value: Uint8Array, wait: Wait): Promise<void> {
    return this.#dht.putRecord(kind, value, wait)
  }

  getRecord(kind: string, peerId: string, wait: Wait): Promise<Uint8Array | undefined> {
    return this.#dht.getRecord(kind, peerId, wait)
  }

  async findPeer(peerId: string, { signal }: Wait): Promise<string[]> {
    await this.#lookUp(peerId, signal)
    const there = this.#hub.running(peerId)
    return there === undefined ? [] : [there.address]
  }

  /** The connection to `peerId` is given up on both sides, without either being told by the other. */
  drop(peerId: string): void {
    const side = this.#links.get(peerId)
    this.#links.closed(peerId)
    if (side !== undefined) side.other.#links.closed(this.peerId, side.connection)
  }

  /** It is closed here, and the other side hears of that when it can. */
  giveUp(peerId: string): void {
    this.#links.giveUp(peerId)
  }

  /** By the other side. */
  pinged = (peerId: string) => this.#links.pinged(peerId)

  /** The other side has closed it. */
  hungUp = (peerId: string, connection: object) => this.#links.closed(peerId, connection)

  get #isFull(): boolean {
    const { connectionsMax = Number.POSITIVE_INFINITY } = this.#options
    if (this.#links.size >= uncrowded(connectionsMax)) {
      this.#links.makeRoom(this.kept, idleMsWith(this.#links.size, connectionsMax))
    }
    return this.#links.size >= connectionsMax
  }

  #join(other: MemoryNetwork): void {
    const connection = {}
    for (const [near, far] of [
      [this, other],
      [other, this],
    ] as const) {
      near.#links.opened(far, { connection, dialled: near === this })
      near.#learn(far.peerId, [far.address])
    }
  }

  #tell(event: ConnectionEvent): void {
    this.gossip.changed()
    for (const listener of this.#listeners) listener(event)
  }

  /** A stream that `from` opens here; returns its end. */
  #accept(from: MemoryNetwork, protocol: string): MemoryStream | undefined {
    const handling = this.#handlers.get(protocol)
    if (handling === undefined) {
      throw new PeerError('unsupported_protocol', `${this.peerId} does not speak ${protocol}.`)
    }
    const [here, there] = [this.#links.get(from.peerId), from.#links.get(this.peerId)]
    if (here === undefined || here.connection !== there?.connection) return undefined
    const end = (sender: MemoryNetwork, receiver: MemoryNetwork, { streams }: Side) => ({
      ...{ peerId: receiver.peerId, protocol, isOwn: sender === from },
      carry: this.#hub.carrier(sender.peerId, receiver.peerId),
      onEnd: (stream: MemoryStream) => void streams.delete(stream),
    })
    const [near, far] = MemoryStream.pair(end(this, from, here), end(from, this, there))
    here.streams.add(near)
    there.streams.add(far)
    from.#links.used(there)
    if (!handling.isIdle) this.#links.used(here)
    handling.begin(near)
    return far
  }

  /** Does `act` over there; resolves when its answer is back here. */
  #ask(peerId: string, signal: AbortSignal, act: () => void): Promise<void> {
    const [hub, from] = [this.#hub, this.peerId]
    return roundTrip(
      {
        go: (task) => hub.carry(from, peerId, task),
        // Nothing happens any more in a process that has ended.
        comeBack: (task) => hub.carry(peerId, from, () => this.#state !== 'vanished' && task()),
      },
      act,
      { clock: this.#clock, what: `Reaching ${peerId}`, signal },
    )
  }

  /** One look-up: it needs somebody to ask. */
  async #lookUp(key: string, signal: AbortSignal): Promise<void> {
    this.#assertRunning()
    signal.throwIfAborted()
    this.#hub.dht.lookups++
    const asked = this.connected().find((peerId) => !this.#hub.isSilent(this.peerId, peerId))
    if (asked === undefined) throw new PeerError('alone', 'No peer is connected to ask.')
    for (const other of this.#hub.closest(key, this.#options.metOnLookUp ?? 0)) {
      if (other === this) continue
      this.connect(other.peerId, [other.address], { signal: this.#joining.signal }).catch(() => {})
    }
    for (let hop = 0; hop < LOOKUP_HOPS; hop++) await this.#ask(asked, signal, () => {})
  }

  #learn(peerId: string, addresses: readonly string[]): void {
    const known = this.#known.get(peerId) ?? new Set()
    for (const address of addresses) known.add(address.replace(/\/p2p\/[^/]*$/, ''))
    this.#known.set(peerId, known)
  }

  #assertRunning(): void {
    if (!this.isRunning) throw new PeerError('not_started', 'The network is not running.')
  }

  #assertConnected(peerId: string): void {
    this.#assertRunning()
    if (!this.isConnected(peerId)) throw unreachable(peerId)
  }
}
