import type { Batch } from '../../storage/batch.ts'
import type { FeedId } from './feed-id.ts'
import { delEntries } from './feed-rows.ts'
import type { EntryAt, FeedStore } from './feed-store.ts'
import type { FeedRow } from './rows.ts'
import { tileLeaves } from './tiles.ts'

/** Of one batch; more would make others wait for it. */
const PRUNED_AT_ONCE = 256

/**
 * Takes the oldest entries of a feed, those before `before`, and the part of its tree that only
 * proofs of them need. What is left still appends, verifies and proves. Returns the row as it is
 * then; there may be more to prune.
 */
export async function putPruned(
  batch: Batch,
  feeds: FeedStore,
  { feed, row, before }: { feed: FeedId; row: FeedRow; before: number },
): Promise<FeedRow> {
  const end = Math.min(before, row.size, row.start + PRUNED_AT_ONCE)
  if (end <= row.start) return row
  const entries: EntryAt[] = []
  for await (const entry of feeds.entries(feed, row.start, end)) entries.push(entry)
  await delEntries(batch, feeds.tables, feed, entries)
  const bytes = entries.reduce((left, entry) => left - entry.bytes.length, row.bytes)
  for (let level = 0; tileLeaves(level) <= end; level++) {
    const leaves = tileLeaves(level)
    for (let index = Math.floor(row.start / leaves); (index + 1) * leaves <= end; index++) {
      batch.del(feeds.tables.tiles, { feed, tile: { level, index } })
    }
  }
  const pruned = { ...row, start: end, bytes }
  batch.put(feeds.tables.feeds, feed, pruned)
  return pruned
}
