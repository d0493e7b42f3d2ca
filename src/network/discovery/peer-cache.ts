import type { Clock } from '../../base/clock.ts'
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Random } from '../../base/random.ts'
import type { Network } from '../network.ts'
import type { AdvertExchange } from './advert-exchange.ts'
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
/** With so many connections the others are found through them. */
const JOINED_AT = 8
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
}

/** Where known peers outlive the process. */
export interface KnownPeerStore {
  range(): AsyncIterable<[peerId: string, known: KnownPeer]>
  put(peerId: string, known: KnownPeer): Promise<void>
  del(peerId: string): Promise<void>
}

export interface PeerCacheComponents {
  store: KnownPeerStore
  network: Pick<Network, 'connected' | 'isConnected'>
  directory: MemoryDirectory
  exchange: Pick<AdvertExchange, 'ask'>
  clock: Clock
  random: Random
  logger: Logger
}

/**
 * The peers that were heard of lately: neither a restart nor a cut depends on those it began with.
 */
export class PeerCache {
  readonly #components: PeerCacheComponents
  readonly #known = new Map<string, KnownPeer>()
  /** Whose rows are to be written, or deleted. */
  readonly #dirty = new Set<string>()
  readonly #writing: Rounds
  readonly #joining: Rounds
  #pauseMs = ROUND_MS_MIN

  constructor(components: PeerCacheComponents) {
    this.#components = components
    this.#writing = new Rounds(components.clock, async () => {
      this.#noteListed()
      await this.#write()
      return HEARD_EXACT_MS
    })
    this.#joining = new Rounds(components.clock, (signal) => this.#join(signal))
    components.directory.onChange(({ entry, previous }) => {
      if (entry === undefined) {
        this.#pauseMs = ROUND_MS_MIN
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
    this.#forgetOldest()
  }

  /** Writes what changes, now and then. */
  run(signal: AbortSignal): Promise<void> {
    return this.#writing.run(signal)
  }

  /**
   * Asks those who were there last, a few at a time, until there is company enough, and again when
   * there is not: all peers to join through may be gone for good, and a cut ends every connection.
   */
  async rejoin(signal: AbortSignal): Promise<void> {
    const latest = [...this.#known].toSorted(([, a], [, b]) => b.lastHeardAt - a.lastHeardAt)
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
    const away = [...this.#known].filter(([peerId]) => !network.isConnected(peerId))
    await this.#ask(draw(away, DIALS_PER_ROUND, random), signal)
    const pauseMs = this.#pauseMs
    this.#pauseMs = Math.min(ROUND_MS_MAX, pauseMs * 2)
    return pauseMs
  }

  async #ask(peers: readonly [peerId: string, known: KnownPeer][], signal: AbortSignal) {
    const { network, exchange } = this.#components
    const turns = new Turns(DIALS_AT_ONCE)
    await Promise.all(
      peers.map(([peerId, { addresses }]) =>
        turns.take(signal, async () => {
          if (signal.aborted || network.connected().length >= JOINED_AT) return
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
    const { clock } = this.#components
    const lastHeardAt = clock.now() - Math.round(clock.elapsed() - heardAt)
    this.#known.set(peerId, { addresses: advert.addresses, lastHeardAt })
    this.#dirty.add(peerId)
    this.#forgetOldest()
  }

  #forgetOldest(): void {
    while (this.#known.size > PEERS_MAX) {
      const [oldest] = [...this.#known].reduce((a, b) =>
        a[1].lastHeardAt <= b[1].lastHeardAt ? a : b,
      )
      this.#known.delete(oldest)
      this.#dirty.add(oldest)
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
