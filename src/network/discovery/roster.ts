import type { Clock } from '../../base/clock.ts'
import { PeerError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Metrics } from '../../base/metrics.ts'
import type { Advert } from '../../wire/advert.ts'
import type { Network } from '../network.ts'
import type { DirectoryEntry } from './directory.ts'
import { isSpare, whoMakesRoom } from './make-room.ts'
import type { MemoryDirectory } from './memory-directory.ts'
import { Sequences } from './sequences.ts'

/**
 * Choice enough, and the figures of each are a few kilobytes. Nearly each takes a connection, of which a
 * peer has 300: the rest is for those who come, whom this peer does not list.
 */
export const ENTRIES_MAX = 192
/** With so many others nobody is missed who has ended its connection. */
const PLENTY = 128
/** Who does not look after its advert for so long is taken for gone, whatever ttl it wishes for. */
const EVIDENCE_MS_MAX = 27_000
/** Enough to ask it twice before. */
const EVIDENCE_MS_MIN = 20_000

export type LossReason = 'connection lost' | 'silent' | 'suspected' | 'crowded out' | 'let go'

export interface RosterComponents {
  directory: MemoryDirectory
  network: Pick<Network, 'isConnected' | 'disconnect' | 'link'>
  clock: Clock
  logger: Logger
  metrics: Metrics
  /** Whether this peer must not be crowded out. */
  stays(peerId: string): boolean
}

/** Of who was not listed: there was no place for it. */
export const isNoPlace = (error: unknown): boolean =>
  error instanceof PeerError && error.code === 'directory_full'

/** The one place where peers come into the directory and leave it. */
export class Roster {
  readonly #components: RosterComponents
  readonly #sequences = new Sequences()
  /** Listed peers that others had to make room for. */
  readonly #guests = new Set<string>()
  readonly #size
  readonly #removals

  constructor(components: RosterComponents) {
    this.#components = components
    const { metrics } = components
    this.#size = metrics.gauge('pinaivu_directory_peers', 'Peers that are listed.')
    this.#removals = metrics.counter(
      'pinaivu_directory_removals_total',
      'Peers that were listed and are not any more.',
      ['reason'],
    )
  }

  /** Whether anything was ever heard of it. */
  knows(peerId: string): boolean {
    return this.#sequences.knows(peerId)
  }

  /** Lists a peer by the advert that it gave itself, just now and over its own connection. */
  admit(advert: Advert): void {
    const { directory, network, clock, logger } = this.#components
    const { peerId } = advert
    const verdict = this.#sequences.advert(peerId, advert.sequence)
    if (verdict === 'stale' || verdict === 'departed') {
      throw new PeerError(`${verdict}_advert`, 'That peer has signed a newer one.', {
        action: 'ignore',
      })
    }
    const fresh = { heardAt: clock.elapsed(), connected: network.isConnected(peerId) }
    const known = directory.get(peerId)
    if (known !== undefined) {
      directory.put({ ...known, ...fresh, advert: verdict === 'same' ? known.advert : advert })
      return
    }
    const net = network.link(peerId)?.net ?? 'unknown'
    this.#makeRoom(advert, net)
    directory.put({ peerId, advert, net, status: undefined, rttMs: undefined, ...fresh })
    this.#size.set(directory.size)
    const { models, region, version } = advert
    logger.info('peer found', { peerId, models: models.map(({ name }) => name), region, version })
  }

  /** Whether it was listed until now. The departure has been checked; it says so itself. */
  depart(peerId: string, sequence: number, signed: Uint8Array): boolean {
    // Many other peers make its sequence forgotten, but not while it is listed.
    const listed = this.#components.directory.get(peerId)
    if (listed !== undefined && sequence < listed.advert.sequence) return false
    if (!this.#sequences.departure(peerId, sequence, signed)) return false
    if (this.#remove(peerId, 'departed') === undefined) return false
    this.#components.logger.info('peer left', { peerId })
    return true
  }

  /** The newest word of a peer, when that was its good-bye. */
  departureOf(peerId: string): Uint8Array | undefined {
    return this.#sequences.departureOf(peerId)
  }

  /** It did not answer this peer's own question, or said nothing for too long. */
  lose(peerId: string, reason: LossReason): void {
    const { clock, logger, network } = this.#components
    const entry = this.#remove(peerId, reason)
    if (entry === undefined) return
    const heardAgoMs = Math.round(clock.elapsed() - entry.heardAt)
    logger.info('peer lost', { peerId, reason, heardAgoMs })
    // A connection that hangs would only be found dead much later, and is in the way of a new one.
    if (reason !== 'crowded out') network.disconnect(peerId).catch(() => {})
  }

  /** Only a newcomer that is rare is still listed. */
  get isFull(): boolean {
    return this.#components.directory.size >= ENTRIES_MAX
  }

  /**
   * Whether a peer that has ended its connection may just as well be forgotten. Whoever is full lets go
   * of those it can spare: if each of them came back at once, its door would be shut to everybody else.
   */
  canSpare(entry: DirectoryEntry): boolean {
    const { directory, stays } = this.#components
    return directory.size > PLENTY && isSpare(entry, { directory, stays })
  }

  /** How long the newest evidence of a peer counts, in milliseconds. */
  evidenceMs({ advert }: DirectoryEntry): number {
    return Math.min(EVIDENCE_MS_MAX, Math.max(EVIDENCE_MS_MIN, advert.ttlS * 1000))
  }

  #makeRoom(advert: Advert, net: string): void {
    const { directory, stays } = this.#components
    if (!this.isFull) return
    const room = { directory, guests: this.#guests, stays }
    const made = whoMakesRoom(room, { advert, net })
    if (made === undefined) {
      throw new PeerError('directory_full', `${ENTRIES_MAX} peers are listed.`, {
        action: 'ignore',
      })
    }
    this.lose(made.leaves, 'crowded out')
    if (made.isGuest) this.#guests.add(advert.peerId)
  }

  #remove(peerId: string, reason: string): DirectoryEntry | undefined {
    const { directory } = this.#components
    const entry = directory.remove(peerId)
    if (entry === undefined) return undefined
    this.#guests.delete(peerId)
    this.#size.set(directory.size)
    this.#removals.add(1, { reason })
    return entry
  }
}
