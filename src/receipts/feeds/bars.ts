import type { Logger } from '../../base/logger.ts'
import type { Store } from '../../storage/store.ts'
import { type Equivocation, openEquivocation } from '../../wire/equivocation.ts'
import { peerIdOf } from '../../wire/peer-id.ts'
import type { Verifying } from '../../wire/signed.ts'
import type { FeedStore } from './feed-store.ts'
import { logFull, ownLog } from './log-errors.ts'
import type { Serial } from './serial.ts'
import type { TotalsKeeper } from './totals.ts'

export interface BarsComponents {
  feeds: FeedStore
  store: Store
  logger: Logger
  verifying: Verifying
  totals: TotalsKeeper
  serial: Serial
}

/** A peer that is barred from now on. */
export interface BarNews {
  author: Uint8Array
  proof: Equivocation
}

/** Authors that signed two histories of one log, each with the proof of it, for good. */
export class Bars {
  readonly #parts: BarsComponents
  readonly #barredMax: number
  readonly #listeners = new Set<(news: BarNews) => void>()

  constructor(parts: BarsComponents, { barredMax }: { barredMax: number }) {
    this.#parts = parts
    this.#barredMax = barredMax
  }

  /** Hears of each author that is barred from then on, once, wherever the proof came from. */
  onNews(listener: (news: BarNews) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async has(author: Uint8Array): Promise<boolean> {
    return (await this.proof(author)) !== undefined
  }

  proof(author: Uint8Array): Promise<Equivocation | undefined> {
    return this.#parts.feeds.tables.barred.get(author)
  }

  /**
   * Bars whom it proves guilty, and says whether that is news, to be passed on. Throws
   * `no_equivocation` when it proves nothing, `own_log` when it is about this peer.
   */
  async add(claim: Equivocation): Promise<boolean> {
    const { author, epoch } = openEquivocation(claim, this.#parts.verifying)
    if (this.#parts.feeds.isOwn({ author, epoch })) throw ownLog()
    return this.#parts.serial.run(() => this.keep(author, claim))
  }

  /** Of what was proved before, in its turn among the changes. */
  async keep(author: Uint8Array, proof: Equivocation): Promise<boolean> {
    const { feeds, store, totals, logger } = this.#parts
    if (await this.has(author)) return false
    // Keys cost nothing: proofs about strangers must not fill the disk.
    const isFull = (await totals.get()).barred >= this.#barredMax
    if (isFull && (await feeds.countEpochs(author, 1)) === 0)
      throw logFull('proofs about strangers')
    const batch = store.batch().put(feeds.tables.barred, author, proof)
    await totals.write(batch, { barred: 1 }, (rows) => store.commit(rows))
    logger.warn('a peer signed two histories of its log and is barred', { peer: peerIdOf(author) })
    for (const listener of this.#listeners) listener({ author, proof })
    return true
  }
}
