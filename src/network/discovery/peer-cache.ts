import { backoffMs } from '../../base/backoff.ts'
import type { Clock } from '../../base/clock.ts'
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Metrics } from '../../base/metrics.ts'
import type { Random } from '../../base/random.ts'
import type { Network } from '../network.ts'
import type { AdvertExchange } from './advert-exchange.ts'
import { ANCHORS, anchorsAmong, whoIsForgotten } from './anchors.ts'
import type { DirectoryEntry } from './directory.ts'
import { draw } from './draw.ts'
import type { MemoryDirectory } from './memory-directory.ts'
import { Rounds } from './rounds.ts'
import { Turns } from './turns.ts'

/** Enough to find the way back after a long outage of some. */
const PEERS_MAX = 128
/** Soon, as a machine may lose its power right after it joined. */
const WRITE_EVERY_MS = 2_000
/** For the order in which they are tried again, minutes are exact enough. */
const HEARD_EXACT_MS = 600_000
/** With so many connections of its own making a peer finds the others through them. */
const JOINED_AT = 8
/** One that was meant to be an anchor and did not answer; others may be in its place by then. */
const FAILED_MS = 60_000
const DIALS_AT_ONCE = 4
/** After the first round. Most that do not answer have gone for good, and none of them need wait. */
const DIALS_PER_ROUND = 8
/** Twice as long after each round, as long as nobody is lost. */
const ROUND_MS_MIN = 5_000
/** When the cable is back after an hour, so is this peer within a minute. */
const ROUND_MS_MAX = 60_000

export interface KnownPeer {
  addresses: string[]
  /** Milliseconds since the epoch. */
  lastHeardAt: number
  /** The same, of the first time. */
  since: number
  /** The part of the internet where it was. */
  net: string
}

/** Where known peers outlive the process. */
export interface KnownPeerStore {
  range(): AsyncIterable<[peerId: string, known: KnownPeer]>
  put(peerId: string, known: KnownPeer): Promise<void>
  del(peerId: string): Promise<void>
}

export interface PeerCacheComponents {
  store: KnownPeerStore
  network: Pick<Network, 'connected' | 'isConnected' | 'link' | 'keep'>
  directory: MemoryDirectory
  exchange: Pick<AdvertExchange, 'ask'>
  clock: Clock
  random: Random
  logger: Logger
  metrics: Metrics
}

/**
 * The peers that were heard of lately: neither a restart nor a cut depends on those it began with. To
 * a few of them it holds on, so that strangers, however many they are, never are its only company.
 */
export class PeerCache {
  readonly #components: PeerCacheComponents
  readonly #known = new Map<string, KnownPeer>()
  /** Whose rows are to be written, or deleted. */
  readonly #dirty = new Set<string>()
  readonly #writing: Rounds
  readonly #joining: Rounds
  readonly #anchors = new Set<string>()
  /** Peer → when it may be tried again. */
  readonly #failed = new Map<string, number>()
  readonly #gauge
  /** Rounds since it last lost somebody. */
  #rounds = 0

  constructor(components: PeerCacheComponents) {
    this.#components = components
    this.#gauge = components.metrics.gauge(
      'pinaivu_directory_anchors',
      'Peers known for long, each in its own part of the internet, that this one is connected to.',
    )
    this.#writing = new Rounds(components.clock, async () => {
      this.#noteListed()
      await this.#write()
      return HEARD_EXACT_MS
    })
    this.#joining = new Rounds(components.clock, (signal) => this.#join(signal))
    components.directory.onChange(({ entry, previous }) => {
      if (entry === undefined) {
        this.#rounds = 0
        this.#joining.soon(ROUND_MS_MIN)
      } else if (entry.advert !== previous?.advert) {
        this.#note(entry)
        this.#writing.soon(WRITE_EVERY_MS)
      }
    })
  }

  async open(): Promise<void> {
    const { store, logger } = this.#components
    try {
      for await (const [peerId, known] of store.range()) this.#known.set(peerId, known)
    } catch (error) {
      logger.warn('known peers cannot be read', { error: messageOf(error) })
    }
    this.#forget()
  }

  /** Writes what changes, now and then. */
  run(signal: AbortSignal): Promise<void> {
    return this.#writing.run(signal)
  }

  /**
   * Asks those to hold on to first, and then those who were there last, a few at a time, until there is company enough, and again when
   * there is not: all peers to join through may be gone for good, and a cut ends every connection.
   */
  async rejoin(signal: AbortSignal): Promise<void> {
    const latest = [...this.#known].toSorted(([, a], [, b]) => b.lastHeardAt - a.lastHeardAt)
    await this.#anchor(signal)
    await this.#ask(latest, signal)
    this.#joining.soon(ROUND_MS_MIN)
    await this.#joining.run(signal)
  }

  /** How long ago each was heard of is exact then. */
  async close(): Promise<void> {
    for (const entry of this.#components.directory.all()) this.#note(entry)
    await this.#write()
  }

  async #join(signal: AbortSignal): Promise<number> {
    const { network, random } = this.#components
    await this.#anchor(signal)
    const away = [...this.#known].filter(([peerId]) => !network.isConnected(peerId))
    await this.#ask(draw(away, DIALS_PER_ROUND, random), signal)
    return backoffMs(this.#rounds++, ROUND_MS_MIN, ROUND_MS_MAX)
  }

  /** Connects to the anchors; in the place of one that does not answer comes the next. */
  async #anchor(signal: AbortSignal): Promise<void> {
    const { network, clock, exchange } = this.#components
    const now = clock.elapsed()
    for (const [peerId, until] of this.#failed) if (until <= now) this.#failed.delete(peerId)
    for (let tries = 0; tries <= ANCHORS && !signal.aborted; tries++) {
      const wanted = this.#wantedAnchors()
      const missing = wanted.filter((peerId) => !network.isConnected(peerId))
      if (missing.length === 0) break
      await Promise.all(
        missing.map(async (peerId) => {
          const addresses = this.#known.get(peerId)?.addresses ?? []
          await exchange.ask(peerId, { addresses, signal }).catch(() => {
            if (network.isConnected(peerId)) return
            this.#failed.set(peerId, clock.elapsed() + FAILED_MS)
          })
        }),
      )
    }
    this.#holdOn(this.#wantedAnchors().filter((peerId) => network.isConnected(peerId)))
  }

  #wantedAnchors(): string[] {
    const { clock } = this.#components
    const isOut = (peerId: string) => this.#failed.has(peerId)
    return anchorsAmong(this.#known, { now: clock.now(), isOut })
  }

  #holdOn(anchors: readonly string[]): void {
    const { network } = this.#components
    for (const peerId of this.#anchors) {
      if (anchors.includes(peerId)) continue
      this.#anchors.delete(peerId)
      network.keep(peerId, false)
    }
    for (const peerId of anchors) {
      if (this.#anchors.has(peerId)) continue
      this.#anchors.add(peerId)
      network.keep(peerId, true)
    }
    this.#gauge.set(this.#anchors.size)
  }

  /** Of those that came by themselves there may be any number. */
  #hasCompany(): boolean {
    const { network } = this.#components
    const dialled = network.connected().filter((peerId) => network.link(peerId)?.dialled)
    return dialled.length >= JOINED_AT
  }

  async #ask(peers: readonly [peerId: string, known: KnownPeer][], signal: AbortSignal) {
    const { exchange } = this.#components
    const turns = new Turns(DIALS_AT_ONCE)
    await Promise.all(
      peers.map(([peerId, { addresses }]) =>
        turns.take(signal, async () => {
          if (signal.aborted || this.#hasCompany()) return
          await exchange.ask(peerId, { addresses, signal }).catch(() => {})
        }),
      ),
    )
  }

  /** Those that are listed were heard of all the time. */
  #noteListed(): void {
    const { directory, clock } = this.#components
    for (const entry of directory.all()) {
      const known = this.#known.get(entry.peerId)
      if (known !== undefined && clock.now() - known.lastHeardAt >= HEARD_EXACT_MS) {
        this.#note(entry)
      }
    }
  }

  #note({ peerId, advert, heardAt }: DirectoryEntry): void {
    const { clock, network } = this.#components
    const lastHeardAt = clock.now() - Math.round(clock.elapsed() - heardAt)
    const before = this.#known.get(peerId)
    const since = before?.since ?? lastHeardAt
    const net = network.link(peerId)?.net ?? before?.net ?? 'unknown'
    this.#known.set(peerId, { addresses: advert.addresses, lastHeardAt, since, net })
    this.#dirty.add(peerId)
    this.#forget()
  }

  #forget(): void {
    while (this.#known.size > PEERS_MAX) {
      const forgotten = whoIsForgotten(this.#known, this.#components.clock.now())
      if (forgotten === undefined) return
      this.#known.delete(forgotten)
      this.#dirty.add(forgotten)
    }
  }

  async #write(): Promise<void> {
    const { store, logger } = this.#components
    const dirty = [...this.#dirty]
    this.#dirty.clear()
    try {
      for (const peerId of dirty) {
        const known = this.#known.get(peerId)
        await (known === undefined ? store.del(peerId) : store.put(peerId, known))
      }
    } catch (error) {
      logger.warn('known peers cannot be written', { error: messageOf(error) })
    }
  }
}
