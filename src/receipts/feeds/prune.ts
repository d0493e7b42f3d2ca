import type { Batch } from '../../storage/batch.ts'
import { decodeEntry } from '../../wire/entry.ts'
import type { FeedId } from './feed-id.ts'
import { delEntry } from './feed-rows.ts'
import type { FeedStore } from './feed-store.ts'
import { findingsOf } from './findings.ts'
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
  let { bytes } = row
  for await (const entry of feeds.entries(feed, row.start, end)) {
    const place = { feed, index: entry.index }
    // Ways that were never there are taken back as well, which is nothing.
    const findings = findingsOf(decodeEntry(entry.bytes), feed.author, () => true)
    delEntry(batch, feeds.tables, { place, arrived: entry.arrived, findings })
    bytes -= entry.bytes.length
  }
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
