import type { Clock } from '../../base/clock.ts'
import { messageOf } from '../../base/errors.ts'
import type { Service } from '../../base/lifecycle.ts'
import type { Logger } from '../../base/logger.ts'
import type { Metrics } from '../../base/metrics.ts'
import type { Random } from '../../base/random.ts'
import type { Verify } from '../../wire/signed.ts'
import type { ModelLoad } from '../../wire/status.ts'
import type { ConnectionEvent, Network } from '../network.ts'
import { AdvertExchange } from './advert-exchange.ts'
import { Announcer } from './announcer.ts'
import { Background } from './background.ts'
import { Crawl } from './crawl.ts'
import type { Directory, DirectoryChange } from './directory.ts'
import { LookUp } from './look-up.ts'
import { MemoryDirectory } from './memory-directory.ts'
import { type AdvertFacts, OwnAdvert, type SequenceStore, type Signer } from './own-advert.ts'
import { type KnownPeerStore, PeerCache } from './peer-cache.ts'
import { Prober } from './prober.ts'
import { isNoPlace, Roster } from './roster.ts'
import { StatusPublisher } from './status-publisher.ts'
import { StatusWatcher } from './status-watcher.ts'
import { Vigil } from './vigil.ts'

/** With so few connections each new one makes this peer better known. */
const YOUNG_CONNECTIONS = 4

/** The other side may still be starting. */
const GREET_AGAIN_MS = 1_000

export interface DiscoveryComponents {
  network: Network
  identity: Signer
  verify: Verify
  /** What this peer says of itself; `changed` says that it is different now. */
  describe(): AdvertFacts
  /** Of each model in the advert; `loadChanged` says that it is different now. */
  load(): ModelLoad[]
  known: KnownPeerStore
  sequences: SequenceStore
  clock: Clock
  random: Random
  logger: Logger
  metrics: Metrics
}

export interface DiscoveryOptions {
  /** The network's name, which every signature binds. */
  network: string
  /** Whether to join through the peers of the last time. */
  rejoin: boolean
}

/**
 * Knows which peers there are and what they can do, and lets them know the same of this one.
 * Made before the network starts, as it handles `advert/1` and `status/1`; started after it.
 */
export class Discovery implements Service {
  readonly directory: Directory
  readonly #components: DiscoveryComponents
  readonly #options: DiscoveryOptions
  readonly #directory = new MemoryDirectory()
  readonly #background: Background
  readonly #own: OwnAdvert
  readonly #exchange: AdvertExchange
  readonly #roster: Roster
  readonly #prober: Prober
  readonly #vigil: Vigil
  readonly #publisher: StatusPublisher
  readonly #watcher: StatusWatcher
  readonly #announcer: Announcer
  readonly #crawl: Crawl
  readonly #lookUp: LookUp
  readonly #cache: PeerCache
  #unlisten = () => {}
  #started = false
  #stopping: Promise<void> | undefined

  constructor(components: DiscoveryComponents, options: DiscoveryOptions) {
    const self = components.identity.peerId
    const logger = components.logger.child('discovery')
    const directory = this.#directory
    const background = new Background(logger)
    const own = new OwnAdvert({ ...components, logger }, options)
    const base = { ...components, logger, directory, background, own, self }
    const roster = new Roster({ ...base, stays: (peerId) => this.#watcher.watches(peerId) })
    const exchange = new AdvertExchange({ ...base, roster }, options)
    const prober = new Prober({ ...base, roster, exchange })
    this.directory = directory
    this.#components = components
    this.#options = options
    this.#background = background
    this.#own = own
    this.#exchange = exchange
    this.#roster = roster
    this.#prober = prober
    this.#vigil = new Vigil({ ...base, roster, prober })
    this.#publisher = new StatusPublisher(base)
    this.#watcher = new StatusWatcher({ ...base, exchange })
    this.#announcer = new Announcer(base)
    this.#crawl = new Crawl({ ...base, exchange, roster })
    this.#lookUp = new LookUp({ ...base, exchange })
    this.#cache = new PeerCache({ ...base, exchange, store: components.known })
    own.onSigned(() => {
      this.#announcer.soon()
      this.#publisher.changed()
    })
  }

  async start({ signal }: { signal: AbortSignal }): Promise<void> {
    signal.throwIfAborted()
    const { network } = this.#components
    const background = this.#background
    this.#started = true
    await this.#own.open()
    await this.#cache.open()
    for (const part of [this.#own, this.#vigil, this.#announcer, this.#crawl, this.#cache]) {
      background.run((signal) => part.run(signal))
    }
    const unlisten = [
      network.onConnection((event) => this.#onConnection(event)),
      network.onAddresses(() => this.#own.checkAddresses()),
    ]
    this.#unlisten = () => {
      for (const each of unlisten) each()
    }
    for (const peerId of network.connected()) this.#onConnection({ peerId, connected: true })
    if (this.#options.rejoin) background.run((signal) => this.#cache.rejoin(signal))
  }

  /** Says good-bye, so the network must still be running. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  /**
   * Looks in the DHT for peers with a model that is not in the directory, for 2 s at most; the
   * directory has those that were found. One that was missed is not looked for again for a minute.
   */
  lookUp(nameOrId: string, { signal }: { signal: AbortSignal }): Promise<void> {
    return this.#lookUp.find(nameOrId, signal)
  }

  /** It failed somebody: this peer, or `reporter`. It is asked, and leaves when it is not there. */
  suspect(peerId: string, reporter?: string): void {
    this.#prober.suspect(peerId, reporter)
  }

  /** `describe` says something else now. */
  changed(): void {
    this.#own.changed()
  }

  /** `load` says something else now. */
  loadChanged(): void {
    this.#publisher.changed()
  }

  /** This peer takes no new jobs from here on; whoever watches it is told. */
  drain(): void {
    this.#publisher.drain()
  }

  /** Peers that are likely to be used, the likeliest first: kept connected, their load followed. */
  watch(peerIds: readonly string[]): void {
    this.#watcher.watch(peerIds)
  }

  /** Called with every change of the directory; returns how to end that. */
  onChange(listener: (change: DirectoryChange) => void): () => void {
    return this.#directory.onChange(listener)
  }

  #onConnection({ peerId, connected }: ConnectionEvent): void {
    this.#directory.update(peerId, { connected })
    if (!connected) {
      this.#lost(peerId)
      return
    }
    this.#crawl.came(peerId)
    this.#background.run((signal) => this.#greet(peerId, signal))
    if (this.#components.network.connected().length > YOUNG_CONNECTIONS) return
    this.#announcer.soon()
    this.#crawl.soon()
  }

  #lost(peerId: string): void {
    const entry = this.#directory.get(peerId)
    if (entry === undefined) return
    if (this.#roster.canSpare(entry)) this.#roster.lose(peerId, 'let go')
    else this.#prober.probe(peerId, 'connection lost')
  }

  /** Asks a new connection who it is, and once more when it was not ready to say. */
  async #greet(peerId: string, signal: AbortSignal): Promise<void> {
    const { clock, network, logger } = this.#components
    try {
      await this.#exchange.ask(peerId, { signal })
    } catch (error) {
      // It has said it, and there is no place for it.
      if (isNoPlace(error)) return
      logger.debug('a connected peer does not say who it is', { peerId, error: messageOf(error) })
      await clock.sleep(GREET_AGAIN_MS, signal)
      if (!network.isConnected(peerId)) return
      await this.#exchange.ask(peerId, { signal }).catch(() => {})
    }
  }

  async #stop(): Promise<void> {
    this.#unlisten()
    if (this.#started) await this.#exchange.depart()
    this.#watcher.stop()
    this.#publisher.stop()
    await this.#background.stop()
    if (this.#started) await this.#cache.close()
  }
}
