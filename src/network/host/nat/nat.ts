import type { Connection, IdentifyResult } from '@libp2p/interface'
import type { AddressManager, NodeAddress } from '@libp2p/interface-internal'
import { getNetConfig, isLoopback, isPrivate } from '@libp2p/utils'
import type { Multiaddr } from '@multiformats/multiaddr'
import { multiaddr } from '@multiformats/multiaddr'
import type { Clock } from '../../../base/clock.ts'
import { messageOf } from '../../../base/errors.ts'
import type { Logger } from '../../../base/logger.ts'
import type { Metrics } from '../../../base/metrics.ts'
import type { Random } from '../../../base/random.ts'
import { Rounds } from '../../discovery/rounds.ts'
import type { HostNode } from '../libp2p-node.ts'
import { isCircuit, isOpen } from './announced.ts'
import { AutoNat } from './autonat.ts'
import type { Circuits } from './circuits.ts'
import { natLimits as limits } from './nat-limits.ts'
import type { PunchPort } from './punch-port.ts'
import { judge, type Observation, outerHost, outerPort, type Reachability } from './reachability.ts'
import type { RelayKeeper } from './relay-keeper.ts'
import type { OpenPort, Upnp } from './upnp.ts'

export interface NatComponents {
  node: HostNode
  port: PunchPort
  circuits: Circuits
  keeper: RelayKeeper
  clock: Clock
  random: Random
  logger: Logger
  metrics: Metrics
}

/** What libp2p's class has as public and its exported type has not. */
interface Inside {
  components: { addressManager: AddressManager }
}

/**
 * Finds out whether others can dial this peer, and sees to it that they reach it: by a port that the
 * router opens, or through relays.
 */
export class Nat {
  readonly #components: NatComponents
  readonly #addresses: AddressManager
  readonly #autoNat: AutoNat
  readonly #observations = new Map<Connection, Observation>()
  readonly #rounds: Rounds
  readonly #seating: Rounds
  readonly #routing: Rounds
  readonly #stopped = new AbortController()
  readonly #gauge
  #running: Promise<unknown> = Promise.resolve()
  #verdict: Reachability = 'unknown'
  #cameInAt = Number.NEGATIVE_INFINITY
  /** A peer has tried to dial this one in vain, and nobody came in since. */
  #refused = false
  #forgotAt: number
  #upnp: Upnp | undefined
  /** As a router or the guess of one has it. */
  #mapped: OpenPort | undefined
  #isGuess = false

  constructor(components: NatComponents) {
    const { node, clock, metrics } = components
    this.#components = components
    this.#addresses = (node as unknown as Inside).components.addressManager
    this.#autoNat = new AutoNat(node.services.autonat)
    this.#forgotAt = clock.elapsed()
    this.#rounds = new Rounds(clock, async () => await this.#look(), { gapMs: limits.settleMs })
    this.#seating = new Rounds(clock, (signal) => this.#seat(signal))
    this.#routing = new Rounds(clock, (signal) => this.#askRouter(signal))
    this.#gauge = metrics.gauge(
      'pinaivu_network_relays',
      'Relays through which peers reach this one.',
    )
  }

  get verdict(): Reachability {
    return this.#verdict
  }

  /** Where a hole can be punched, and where this peer can be dialled anyway. */
  get punchable(): Multiaddr[] {
    const { node } = this.#components
    const outer = outerPort([...this.#observations.values()])
    const hole =
      outer === undefined
        ? []
        : [multiaddr(`/ip4/${outer.host}/tcp/${outer.port}/p2p/${node.peerId}`)]
    return [...node.getMultiaddrs().filter(isOpen), ...hole]
  }

  start(): void {
    const { node } = this.#components
    const { signal } = this.#stopped
    node.addEventListener('connection:open', ({ detail }) => this.#meet(detail))
    node.addEventListener('peer:identify', ({ detail }) => this.#hear(detail))
    node.addEventListener('connection:close', ({ detail }) => this.#observations.delete(detail))
    // Whoever has an address of the internet says so, until it turns out that nobody gets in.
    for (const { multiaddr } of this.#own().filter((each) => isOpen(each.multiaddr))) {
      this.#addresses.confirmObservedAddr(multiaddr, { type: 'transport', ttl: 0 })
    }
    const rounds = [this.#rounds, this.#seating, this.#routing]
    this.#running = Promise.all(rounds.map((each) => each.run(signal)))
  }

  async stop(): Promise<void> {
    this.#stopped.abort()
    await this.#running
    await this.#upnp?.close()
  }

  /** There is another seat at a relay, or one less. */
  seatsChanged(): void {
    const { circuits, keeper } = this.#components
    this.#gauge.set(circuits.relays.length)
    keeper.changed()
    this.#announce()
    this.#seating.soon(0)
  }

  /** Whoever dials back because it was asked to is gone before it was asked anything. */
  #meet(connection: Connection): void {
    const { port, clock } = this.#components
    const isOurs = connection.direction === 'outbound' || port.answers(connection)
    if (isOurs || !isStraight(connection)) return
    this.#cameInAt = clock.elapsed()
    this.#rounds.soon(0)
  }

  /** What that peer says of this one. */
  #hear({ connection, observedAddr }: IdentifyResult): void {
    const { port } = this.#components
    if (!isStraight(connection) || !port.made(connection)) return
    const seen = observedAddr === undefined ? undefined : getNetConfig(observedAddr)
    if (observedAddr === undefined || !isOpen(observedAddr) || seen?.type !== 'ip4') return
    const observation = { host: seen.host, port: seen.port ?? 0 }
    this.#observations.set(connection, { ...observation, fromPunchPort: port.from(connection) })
    this.#guess()
    this.#rounds.soon(limits.settleMs)
    this.#seating.soon(0)
  }

  /** Resolves to the milliseconds until the next look. */
  async #look(): Promise<number> {
    const { clock } = this.#components
    // On this machine alone there is nothing to find out.
    if (!this.#own().some(({ multiaddr }) => !isLoopback(multiaddr)))
      return Number.POSITIVE_INFINITY
    if (clock.elapsed() - this.#forgotAt >= limits.forgetMs) {
      this.#forgotAt = clock.elapsed()
      this.#autoNat.forget()
    }
    this.#guess()
    this.#drop()
    this.#settle(
      judge({
        cameIn: clock.elapsed() - this.#cameInAt < limits.provedMs,
        translated: this.#isTranslated(),
        refused: this.#refused,
      }),
    )
    await this.#ask()
    const isKnown = this.#verdict !== 'unknown' || this.#observations.size > 0
    return isKnown ? limits.lookEveryMs : Number.POSITIVE_INFINITY
  }

  #settle(verdict: Reachability): void {
    // Whoever has lost all its connections is still where it was.
    const isStill = verdict === 'unknown' && this.#verdict === 'private'
    if (verdict === this.#verdict || isStill) return
    const { node, logger } = this.#components
    logger.info('how others reach this peer', { verdict, addrs: node.getMultiaddrs().map(String) })
    this.#verdict = verdict
    // Whoever asks a peer that it cannot dial waits in vain.
    const mode = verdict === 'private' ? 'client' : 'server'
    node.services.dht.setMode(mode).catch((error: unknown) => {
      logger.warn('the mode of the DHT stays', { mode, error: messageOf(error) })
    })
    if (verdict === 'private') {
      this.#routing.soon(0)
    }
    this.#seating.soon(0)
  }

  /** Seats are for whoever needs them; one may come when it is not needed any more. */
  async #seat(signal: AbortSignal): Promise<number> {
    const { keeper } = this.#components
    if (this.#verdict === 'private') return await keeper.look(signal)
    keeper.release()
    return Number.POSITIVE_INFINITY
  }

  /** A few peers are asked to dial this one, at an address that nobody came in by yet. */
  async #ask(): Promise<void> {
    const { node, logger } = this.#components
    const straight = node.getConnections().filter(isStraight)
    for (const connection of straight.slice(0, limits.askedAtOnce)) {
      await this.#autoNat.ask(connection).catch((error: unknown) => {
        logger.debug('not asked to dial back', { error: messageOf(error) })
      })
    }
  }

  /** What others could not dial is not said to be an address, until somebody comes in. */
  #drop(): void {
    const { clock } = this.#components
    if (clock.elapsed() - this.#cameInAt < limits.provedMs) {
      this.#refused = false
      return
    }
    const open = this.#all().filter(({ multiaddr, verified }) => verified && isOpen(multiaddr))
    for (const { multiaddr } of open) {
      if (!this.#autoNat.refused(multiaddr)) continue
      this.#refused = true
      this.#addresses.removeObservedAddr(multiaddr)
      this.#announce()
    }
  }

  /** A port that is forwarded by hand is most likely the same on both sides. */
  #guess(): void {
    if (this.#mapped !== undefined && !this.#isGuess) return
    const outerHost = this.#isTranslated() ? outerHostOf(this.#observations) : undefined
    const [inner] = this.#inner()
    if (outerHost === undefined || inner === undefined) return
    const { host: innerHost, port } = inner
    this.#map({ innerHost, innerPort: port, outerHost, outerPort: port }, true)
  }

  /** One way in at a time: libp2p takes all ports of a host for proved when one of them is. */
  #map(open: OpenPort | undefined, isGuess = false): void {
    const before = this.#mapped
    this.#mapped = open
    this.#isGuess = isGuess
    if (JSON.stringify(before) === JSON.stringify(open)) return
    if (before !== undefined) {
      const { innerHost, innerPort, outerHost, outerPort } = before
      this.#addresses.removePublicAddressMapping(innerHost, innerPort, outerHost, outerPort)
    }
    if (open === undefined) return
    const { innerHost, innerPort, outerHost, outerPort } = open
    this.#addresses.addPublicAddressMapping(innerHost, innerPort, outerHost, outerPort)
  }

  #isTranslated(): boolean {
    const host = outerHostOf(this.#observations)
    const own = this.#own().map(({ multiaddr }) => getNetConfig(multiaddr).host)
    return host !== undefined && !own.includes(host)
  }

  /** Those of this machine's interfaces. */
  #own(): NodeAddress[] {
    return this.#all().filter(
      ({ type, multiaddr }) => type === 'transport' && !isCircuit(multiaddr),
    )
  }

  #all(): NodeAddress[] {
    return this.#addresses.getAddressesWithMetadata()
  }

  /** Once this peer is found to be behind a NAT; a port that was opened is kept open from then on. */
  async #askRouter(signal: AbortSignal): Promise<number> {
    if (this.#upnp === undefined) {
      // Few peers ever need it.
      const [{ Upnp }, { findRouters }] = await Promise.all([
        import('./upnp.ts'),
        import('./upnp-search.ts'),
      ])
      this.#upnp = new Upnp({
        ...this.#components,
        find: findRouters,
        inner: () => this.#inner(),
        onPort: (open) => {
          this.#map(open)
          // It may be the one that was guessed, and tried in vain until now.
          this.#autoNat.forget()
          this.#rounds.soon(0)
        },
      })
    }
    return await this.#upnp.look(signal)
  }

  /** Where this peer listens on its local networks. */
  #inner(): { host: string; port: number }[] {
    return this.#own().flatMap(({ multiaddr: address }) => {
      const { type, host, port } = getNetConfig(address)
      const isInner = type === 'ip4' && isPrivate(address) && !isLoopback(address)
      return isInner && port !== undefined ? [{ host, port }] : []
    })
  }

  /** Tells those that are connected where this peer is now. */
  #announce(): void {
    const { node, logger } = this.#components
    const multiaddrs = node.getMultiaddrs().map((address) => address.decapsulateCode(P2P_CODE))
    node.peerStore.patch(node.peerId, { multiaddrs }).catch((error: unknown) => {
      logger.warn('new addresses are not told', { error: messageOf(error) })
    })
  }
}

const P2P_CODE = 421

/** Whether it leads over the internet, and through no relay. */
function isStraight({ remoteAddr }: Connection): boolean {
  return isOpen(remoteAddr)
}

function outerHostOf(observations: ReadonlyMap<Connection, Observation>): string | undefined {
  return outerHost([...observations.values()])
}
