import { DeadlineError, type PeerAction, PeerError } from '../../src/base/errors.ts'
import { netOf } from '../../src/network/net-of.ts'
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
} from '../../src/network/network.ts'
import { MemoryGossip } from './memory-gossip.ts'
import type { MemoryHub } from './memory-hub.ts'
import { MemoryStream } from './memory-stream.ts'
import { StreamCounts } from './stream-counts.ts'

const DIAL_MS = 8_000
/** A look-up in the DHT asks one peer after the other. */
const LOOKUP_HOPS = 3

export interface MemoryNetworkOptions {
  /** Kind of record → who judges it; other kinds are refused. */
  records?: Readonly<Record<string, RecordCheck>>
  /** Where it is in the internet. */
  ip4?: string
}

interface Handling {
  handler: StreamHandler
  limits: HandlerLimits
}

/** A `Network` between peers of one process; the hub decides what gets through. */
export class MemoryNetwork implements Network {
  readonly peerId: string
  /** Whom `keep` was called for. */
  readonly kept = new Set<string>()
  readonly #wanted = new Map<string, number>()
  readonly #hub: MemoryHub
  readonly address: string
  readonly #records: Readonly<Record<string, RecordCheck>>
  readonly #handlers = new Map<string, Handling>()
  readonly #listeners = new Set<(event: ConnectionEvent) => void>()
  readonly #known = new Map<string, Set<string>>()
  readonly #banned = new Set<string>()
  readonly #counts: StreamCounts
  /** Peers whose connection this one has dialled. */
  readonly #dialled = new Set<string>()
  /** Peer → the open streams of its connection. */
  readonly #connections = new Map<string, Set<MemoryStream>>()
  /** Kind and peer → the highest sequence of its records that was seen. */
  readonly #newest = new Map<string, number>()
  readonly #gossip: MemoryGossip
  #running = false

  constructor(hub: MemoryHub, peerId: string, address: string, options: MemoryNetworkOptions) {
    this.peerId = peerId
    this.#hub = hub
    this.address = address
    this.#records = options.records ?? {}
    this.#counts = new StreamCounts(hub.clock)
    this.#gossip = new MemoryGossip({
      peerId,
      neighbours: () => this.connected(),
      carry: (to, task) => {
        hub.carry(peerId, to, () => {
          const there = this.isConnected(to) ? hub.running(to) : undefined
          if (there !== undefined) task(there.#gossip)
        })
      },
      blame: (neighbour, { action = 'ignore', code }) => this.fault(neighbour, action, code),
    })
  }

  status(): NetworkStatus {
    return {
      peerId: this.peerId,
      addrs: this.#running ? [`${this.address}/p2p/${this.peerId}`] : [],
      connections: this.#connections.size,
      listening: this.#running,
    }
  }

  onAddresses = () => () => {} // its address never changes

  async start({ signal }: Wait): Promise<void> {
    signal.throwIfAborted()
    this.#running = true
  }

  async stop(): Promise<void> {
    this.die()
  }

  /** What the end of the process does: connections close, nothing is said. */
  die(): void {
    this.#running = false
    this.#gossip.stop()
    for (const peerId of [...this.#connections.keys()]) this.#hangUp(peerId)
  }

  connected(): string[] {
    return [...this.#connections.keys()]
  }

  isConnected(peerId: string): boolean {
    return this.#connections.has(peerId)
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
      if (!there.#running || there.#banned.has(this.peerId)) throw unreachable(peerId)
      if (!this.isConnected(peerId)) this.#dialled.add(peerId)
      there.#connectTo(this)
    })
    if (!this.isConnected(peerId)) throw unreachable(peerId)
  }

  async disconnect(peerId: string): Promise<void> {
    this.#hangUp(peerId)
  }

  async ping(peerId: string, { signal }: Wait): Promise<number> {
    this.#assertConnected(peerId)
    const began = this.#hub.clock.elapsed()
    await this.#ask(peerId, signal, () => {})
    return this.#hub.clock.elapsed() - began
  }

  link(peerId: string): Link | undefined {
    if (!this.isConnected(peerId)) return undefined
    const net = netOf(this.#hub.addressOf(peerId)) ?? 'unknown'
    return { net, dialled: this.#dialled.has(peerId) }
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
    await this.#ask(peerId, signal, () => {
      const there = this.#hub.running(peerId)
      if (there !== undefined) opened = there.#accept(this, protocol)
    })
    if (opened === undefined) throw unreachable(peerId)
    return opened
  }

  handle(protocol: string, handler: StreamHandler, limits: HandlerLimits): void {
    if (this.#running) throw new PeerError('already_started', 'Handlers are set before start.')
    this.#handlers.set(protocol, { handler, limits })
  }

  fault(peerId: string, action: PeerAction, reason: string): void {
    this.#hub.faults.push({ by: this.peerId, peerId, action, reason })
    if (action !== 'disconnect') return
    this.#banned.add(peerId)
    this.#hangUp(peerId)
  }

  async publish(topic: string, message: Uint8Array): Promise<void> {
    this.#assertRunning()
    this.#gossip.publish(topic, message)
  }

  subscribe(topic: string, check: MessageCheck): () => void {
    return this.#gossip.subscribe(topic, check)
  }

  async provide(key: Uint8Array, { signal }: Wait): Promise<void> {
    await this.#lookUp(signal)
    const { providers } = this.#hub.dht
    const name = nameOf(key)
    const ofKey = providers.get(name) ?? new Map<string, string[]>()
    providers.set(name, ofKey.set(this.peerId, [this.address]))
  }

  async unprovide(key: Uint8Array): Promise<void> {
    this.#hub.dht.providers.get(nameOf(key))?.delete(this.peerId)
  }

  async *findProviders(key: Uint8Array, { signal }: Wait): AsyncGenerator<PeerHint> {
    await this.#lookUp(signal)
    for (const [peerId, addresses] of this.#hub.dht.providers.get(nameOf(key)) ?? []) {
      if (peerId !== this.peerId) yield { peerId, addresses: [...addresses] }
    }
  }

  async putRecord(kind: string, value: Uint8Array, { signal }: Wait): Promise<void> {
    await this.#checked(kind, this.peerId, value)
    await this.#lookUp(signal)
    this.#hub.dht.records.set(`${kind}/${this.peerId}`, value.slice())
  }

  async getRecord(kind: string, peerId: string, { signal }: Wait): Promise<Uint8Array | undefined> {
    await this.#lookUp(signal)
    const value = this.#hub.dht.records.get(`${kind}/${peerId}`)
    if (value === undefined) return undefined
    try {
      await this.#checked(kind, peerId, value)
      return value.slice()
    } catch {
      return undefined
    }
  }

  async #checked(kind: string, peerId: string, value: Uint8Array): Promise<void> {
    const refused = (message: string) => new PeerError('record_refused', message)
    const check = this.#records[kind]
    if (check === undefined) throw refused(`No record of ${kind} is kept.`)
    const sequence = await check(peerId, value)
    const name = `${kind}/${peerId}`
    if (sequence < (this.#newest.get(name) ?? 0)) throw refused('There is a newer one.')
    this.#newest.set(name, sequence)
  }

  async findPeer(peerId: string, { signal }: Wait): Promise<string[]> {
    await this.#lookUp(signal)
    const there = this.#hub.running(peerId)
    return there === undefined ? [] : [there.address]
  }

  /** The connection to `peerId` is given up on both sides, without either being told by the other. */
  drop(peerId: string): void {
    this.#disconnected(peerId)
    this.#disconnectThere(peerId)
  }

  #hangUp(peerId: string): void {
    if (!this.#disconnected(peerId)) return
    this.#hub.carry(this.peerId, peerId, () => this.#disconnectThere(peerId))
  }

  #disconnectThere(peerId: string): void {
    const there = this.#hub.running(peerId)
    if (there !== undefined) there.#disconnected(this.peerId)
  }

  #connectTo(other: MemoryNetwork): void {
    for (const [near, far] of [
      [this, other],
      [other, this],
    ] as const) {
      if (near.#connections.has(far.peerId)) continue
      near.#connections.set(far.peerId, new Set())
      near.#learn(far.peerId, [far.address])
      near.#tell({ peerId: far.peerId, connected: true })
    }
  }

  #disconnected(peerId: string): boolean {
    const streams = this.#connections.get(peerId)
    if (streams === undefined) return false
    this.#connections.delete(peerId)
    this.#dialled.delete(peerId)
    const error = new PeerError('connection_lost', `The connection to ${peerId} is gone.`)
    for (const stream of streams) stream.fail(error)
    this.#tell({ peerId, connected: false })
    return true
  }

  #tell(event: ConnectionEvent): void {
    for (const listener of this.#listeners) listener(event)
  }

  /** A stream that `from` opens here; returns its end. */
  #accept(from: MemoryNetwork, protocol: string): MemoryStream | undefined {
    const handling = this.#handlers.get(protocol)
    if (handling === undefined) {
      throw new PeerError('unsupported_protocol', `${this.peerId} does not speak ${protocol}.`)
    }
    const [here, there] = [this.#connections.get(from.peerId), from.#connections.get(this.peerId)]
    if (here === undefined || there === undefined) return undefined
    const [near, far] = MemoryStream.pair(
      { peerId: from.peerId, carry: (task) => this.#hub.carry(this.peerId, from.peerId, task) },
      { peerId: this.peerId, carry: (task) => this.#hub.carry(from.peerId, this.peerId, task) },
    )
    there.add(far)
    far.ended.addEventListener('abort', () => there.delete(far))
    if (this.#counts.tooMany(`${protocol} ${from.peerId}`, handling.limits)) {
      near.reset(new PeerError('too_many_streams', 'That peer opens too many streams.'))
      this.fault(from.peerId, 'penalise', `too many ${protocol} streams`)
      return far
    }
    here.add(near)
    near.ended.addEventListener('abort', () => here.delete(near))
    void this.#serve(near, protocol, handling)
    return far
  }

  async #serve(stream: MemoryStream, protocol: string, { handler }: Handling): Promise<void> {
    const name = `${protocol} ${stream.peerId}`
    this.#counts.began(name)
    try {
      await handler(stream)
      await stream.close()
    } catch (error) {
      stream.reset(error instanceof Error ? error : new Error(String(error)))
      if (error instanceof PeerError && error.action !== undefined) {
        this.fault(stream.peerId, error.action, error.code)
      }
    } finally {
      this.#counts.ended(name)
    }
  }

  /** Does `act` over there; resolves when its answer is back here. */
  async #ask(peerId: string, signal: AbortSignal, act: () => void): Promise<void> {
    signal.throwIfAborted()
    await new Promise<void>((resolve, reject) => {
      const settle = (how: () => void) => {
        signal.removeEventListener('abort', onAbort)
        cancel()
        how()
      }
      const onAbort = () => settle(() => reject(signal.reason))
      const cancel = this.#hub.clock.after(DIAL_MS, () =>
        settle(() => reject(new DeadlineError(`Reaching ${peerId}`, DIAL_MS))),
      )
      signal.addEventListener('abort', onAbort, { once: true })
      this.#hub.carry(this.peerId, peerId, () => {
        let failure: unknown
        try {
          act()
        } catch (error) {
          failure = error
        }
        this.#hub.carry(peerId, this.peerId, () =>
          settle(() => (failure === undefined ? resolve() : reject(failure))),
        )
      })
    })
  }

  /** One look-up: it needs somebody to ask. */
  async #lookUp(signal: AbortSignal): Promise<void> {
    this.#assertRunning()
    signal.throwIfAborted()
    this.#hub.dht.lookups++
    const asked = this.connected().find((peerId) => !this.#hub.isSilent(this.peerId, peerId))
    if (asked === undefined) throw new PeerError('alone', 'No peer is connected to ask.')
    for (let hop = 0; hop < LOOKUP_HOPS; hop++) await this.#ask(asked, signal, () => {})
  }

  #learn(peerId: string, addresses: readonly string[]): void {
    const known = this.#known.get(peerId) ?? new Set()
    for (const address of addresses) known.add(address.replace(/\/p2p\/[^/]*$/, ''))
    this.#known.set(peerId, known)
  }

  #assertRunning(): void {
    if (!this.#running) throw new PeerError('not_started', 'The network is not running.')
  }

  #assertConnected(peerId: string): void {
    this.#assertRunning()
    if (!this.isConnected(peerId)) throw unreachable(peerId)
  }
}

function unreachable(peerId: string): PeerError {
  return new PeerError('peer_unreachable', `${peerId} does not answer at any known address.`)
}

function nameOf(key: Uint8Array): string {
  return Buffer.from(key).toString('hex')
}
