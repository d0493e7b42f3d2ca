import { PeerError } from '../../base/errors.ts'
import { readHead } from '../../wire/head.ts'
import type { Batch } from '../../wire/log-batch.ts'
import type { FeedId } from '../feeds/feed-id.ts'
import type { Intake } from '../feeds/intake.ts'

/** What became of a batch. */
export type Taken =
  /** `size` entries are here, of `target` that its author has signed. */
  | { type: 'taken'; feed: FeedId; size: number; target: number; added: number }
  /** Something that is not here lies before it. */
  | { type: 'gap'; feed: FeedId }
  /**
   * It does not go on from what is here. With the peaks of what lies before it, it shows whether that
   * is the fault of its sender or of its author.
   */
  | { type: 'unfit'; feed: FeedId }
  /** Its author signed another history, of `size` entries. */
  | { type: 'forked'; feed: FeedId; size: number }
  /** Of an author that is not believed. */
  | { type: 'barred'; feed: FeedId }
  /** Of this peer's own log. */
  | { type: 'own'; feed: FeedId }
  /** It has an entry of a newer version: nobody's fault, and other logs are none the worse. */
  | { type: 'newer'; feed: FeedId }
  /** There is no room for it here. */
  | { type: 'full'; feed: FeedId }

/** Throws what its sender is at fault for, or `overloaded`. `from`: who brought it, where it is known. */
export async function take(
  intake: Pick<Intake, 'ingest'>,
  batch: Batch,
  from?: string,
): Promise<Taken> {
  const { author, epoch, size } = readHead(batch.head)
  const feed = { author, epoch }
  try {
    const ingested = await intake.ingest(batch, from)
    return { type: 'taken', ...ingested, target: Math.max(ingested.target, size) }
  } catch (error) {
    switch (error instanceof PeerError ? error.code : '') {
      case 'log_gap':
        return { type: 'gap', feed }
      case 'log_forked':
        return { type: 'forked', feed, size }
      case 'bad_log':
        // Where nothing lies before it, or it brought all that does, nobody else is at fault.
        if (batch.first === 0 || batch.peaks.length > 0) throw error
        return { type: 'unfit', feed }
      case 'equivocation':
      case 'author_barred':
        return { type: 'barred', feed }
      case 'own_log':
        return { type: 'own', feed }
      case 'unsupported_value':
        return { type: 'newer', feed }
      case 'log_full':
        return { type: 'full', feed }
      default:
        throw error
    }
  }
}
