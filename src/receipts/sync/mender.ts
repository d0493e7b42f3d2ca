import { PeerError } from '../../base/errors.ts'
import type { Batch } from '../../wire/log-batch.ts'
import type { Verifying } from '../../wire/signed.ts'
import type { Range } from '../../wire/sync.ts'
import type { FeedId } from '../feeds/feed-id.ts'
import type { FeedStore } from '../feeds/feed-store.ts'
import { huntFork } from '../feeds/fork-hunt.ts'
import type { Intake } from '../feeds/intake.ts'
import { logPruned } from '../feeds/log-errors.ts'
import { RangeCheck } from './range-check.ts'
import type { SyncClient } from './sync-client.ts'
import { type Taken, take } from './taking.ts'

export interface MenderComponents {
  feeds: FeedStore
  intake: Pick<Intake, 'ingest' | 'bars'>
  verifying: Verifying
}

/** Finds out who is at fault where a log does not go on from what is here. */
export class Mender {
  readonly #components: MenderComponents

  constructor(components: MenderComponents) {
    this.#components = components
  }

  /**
   * Asks the peer that sent it. Bars the author that signed two histories; throws where it was the
   * peer's own fault. That peer may not be able to help: others get to see it as well.
   */
  async mend(client: SyncClient, taken: Taken): Promise<void> {
    try {
      if (taken.type === 'unfit') await this.#askWithPeaks(client, taken.feed)
      else if (taken.type === 'forked') await this.#hunt(client, taken.feed, taken.size)
    } catch (error) {
      if (!(error instanceof PeerError) || error.action !== 'ignore') throw error
    }
  }

  /** The same entries again, with what the peer says lies before them. */
  async #askWithPeaks(client: SyncClient, feed: FeedId): Promise<void> {
    const { feeds, intake } = this.#components
    const from = (await feeds.tables.feeds.get(feed))?.size ?? 0
    const batch = await this.#one(client, feed, from)
    const taken = batch && (await take(intake, batch))
    if (taken?.type === 'forked') await this.#hunt(client, feed, taken.size)
  }

  async #hunt(client: SyncClient, feed: FeedId, size: number): Promise<void> {
    const ask = async (index: number): Promise<Batch> => {
      const batch = await this.#one(client, feed, index)
      if (batch === undefined) throw logPruned()
      return batch
    }
    const proof = await huntFork(this.#components, { feed, size, ask })
    if (proof !== undefined) await this.#components.intake.bars.add(proof)
  }

  /** One entry, with the peaks of what lies before it; undefined where the peer has only a proof. */
  async #one(client: SyncClient, feed: FeedId, index: number): Promise<Batch | undefined> {
    const range: Range = { ...feed, from: index, to: index + 1, peaks: true }
    let batch: Batch | undefined
    for await (const piece of client.ranges([range], new RangeCheck([range]))) {
      if (piece.type === 'batch') batch = piece.batch
      else if (piece.type === 'equivocation') await this.#components.intake.bars.add(piece)
    }
    return batch
  }
}
