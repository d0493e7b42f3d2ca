import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { Store } from '../../storage/store.ts'
import { type Equivocation, openEquivocation } from '../../wire/equivocation.ts'
import { sameBytes } from '../../wire/octets.ts'
import { peerIdOf } from '../../wire/peer-id.ts'
import type { Verifying } from '../../wire/signed.ts'
import { Pace } from '../pace.ts'
import type { FeedStore } from './feed-store.ts'
import { logFull, ownLog } from './log-errors.ts'
import type { Serial } from './serial.ts'
import type { TotalsKeeper } from './totals.ts'

export interface BarsComponents {
  feeds: FeedStore
  store: Store
  clock: Clock
  logger: Logger
  verifying: Verifying
  totals: TotalsKeeper
  serial: Serial
  /** This peer's own. */
  publicKey: Uint8Array
  /** Whether this peer could meet that author now. */
  isThere(author: Uint8Array): boolean
}

/** Proofs about strangers are looked for among so many when one has to give way. */
const COMPARED = 64
/** Of proofs about strangers that are taken in: anybody makes them from nothing, and each is an fsync. */
const STRANGERS = { perSecond: 1, burst: 256 }

/** A peer that is barred from now on. */
export interface BarNews {
  author: Uint8Array
  proof: Equivocation
}

/**
 * Authors that signed two histories of one log, each with the proof of it. For good, but for
 * strangers whose logs are not here: of them, so many are remembered.
 */
export class Bars {
  readonly #parts: BarsComponents
  readonly #barredMax: number
  readonly #ofStrangers: Pace
  readonly #listeners = new Set<(news: BarNews) => void>()
  readonly #forgetting = new Set<(author: Uint8Array) => void>()
  /** That there is a proof about this peer itself was said. */
  #isWarned = false
  /** Where the looking for one to forget stopped: it goes round and round. */
  #hand: Uint8Array | undefined

  constructor(parts: BarsComponents, { barredMax }: { barredMax: number }) {
    this.#parts = parts
    this.#barredMax = barredMax
    this.#ofStrangers = new Pace(parts.clock, STRANGERS)
  }

  /** Hears of each author that is barred from then on, once, wherever the proof came from. */
  onNews(listener: (news: BarNews) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Hears of each author that is not remembered any more. */
  onForgotten(listener: (author: Uint8Array) => void): () => void {
    this.#forgetting.add(listener)
    return () => this.#forgetting.delete(listener)
  }

  async has(author: Uint8Array): Promise<boolean> {
    return (await this.proof(author)) !== undefined
  }

  proof(author: Uint8Array): Promise<Equivocation | undefined> {
    return this.#parts.feeds.tables.barred.get(author)
  }

  /**
   * Bars whom it proves guilty, and says whether that is news, to be passed on. Throws
   * `no_equivocation` when it proves nothing, `own_log` when it is about this peer: others see to that.
   */
  async add(claim: Equivocation): Promise<boolean> {
    const { author } = openEquivocation(claim, this.#parts.verifying)
    if (sameBytes(author, this.#parts.publicKey)) {
      this.#warn()
      throw ownLog()
    }
    return this.#parts.serial.run(() => this.#keep(author, claim))
  }

  #warn(): void {
    if (this.#isWarned) return
    this.#isWarned = true
    this.#parts.logger.error(
      'others can prove that this key signed two histories, and believe it no more: another peer runs with ' +
        'a copy of this data folder. Stop both, and start one of them with a new folder',
    )
  }

  async #keep(author: Uint8Array, proof: Equivocation): Promise<boolean> {
    const { feeds, store, totals, logger } = this.#parts
    if (await this.has(author)) return false
    // Keys cost nothing: proofs about strangers must not fill the disk, nor keep it busy.
    const isStranger = await this.#isStranger(author)
    if (isStranger && this.#ofStrangers.waitMs > 0) throw logFull('proofs about strangers')
    const isFull = (await totals.get()).barred >= this.#barredMax
    const forgotten = isFull ? await this.#stranger() : undefined
    if (isFull && forgotten === undefined && isStranger) throw logFull('proofs about strangers')
    if (isStranger) this.#ofStrangers.take(1)
    const batch = store.batch().put(feeds.tables.barred, author, proof)
    if (forgotten !== undefined) batch.del(feeds.tables.barred, forgotten)
    const change = { barred: forgotten === undefined ? 1 : 0 }
    await totals.write(batch, change, (rows) => store.commit(rows))
    logger.warn('a peer signed two histories of its log and is barred', { peer: peerIdOf(author) })
    if (forgotten !== undefined) for (const listener of this.#forgetting) listener(forgotten)
    for (const listener of this.#listeners) listener({ author, proof })
    return true
  }

  async #isStranger(author: Uint8Array): Promise<boolean> {
    const { feeds, isThere } = this.#parts
    return !isThere(author) && (await feeds.countEpochs(author, 1)) === 0
  }

  /** The next one that is barred. Where it is heard of again, others tell the proof again. */
  async #stranger(): Promise<Uint8Array | undefined> {
    const { barred } = this.#parts.feeds.tables
    for (const gt of [this.#hand, undefined]) {
      for await (const [author] of barred.range({ ...(gt && { gt }), limit: COMPARED })) {
        this.#hand = author
        if (await this.#isStranger(author)) return author
      }
    }
    return undefined
  }
}
