import type { Batch } from '../../storage/batch.ts'
import { decodeEntry, type SealedEntry } from '../../wire/entry.ts'
import type { FeedId } from './feed-id.ts'
import type { EntryAt } from './feed-store.ts'
import { type Finding, findingsOf } from './findings.ts'
import { type FeedTables, NOTHING } from './tables.ts'
import { edgeTiles, type Growth } from './tiles.ts'

/** An entry on its way into a feed, and by what it will be found. */
export interface Arrival {
  sealed: SealedEntry
  findings: readonly Finding[]
}

export interface Arriving {
  feed: FeedId
  /** The index of the first of them. */
  first: number
  arrived: number
  /** Among what came last; a private feed's are not. */
  listed: boolean
}

/** The rows of entries that come behind each other; those of the tree are `putTiles`. */
export function putEntries(
  batch: Batch,
  tables: FeedTables,
  { feed, first, arrived, listed }: Arriving,
  arrivals: readonly Arrival[],
): void {
  for (const [at, { sealed, findings }] of arrivals.entries()) {
    const place = { feed, index: first + at }
    batch.put(tables.entries, place, { arrived, bytes: sealed.bytes })
    for (const { find, digest, rank } of findings) {
      batch.put(tables.finds, { find, digest, rank, place }, NOTHING)
    }
  }
  const key = { arrived, place: { feed, index: first } }
  if (listed) batch.put(tables.arrivals, key, arrivals.length)
}

export function putTiles(batch: Batch, tables: FeedTables, feed: FeedId, growth: Growth): void {
  for (const { tile, row } of growth.takeChanged()) batch.put(tables.tiles, { feed, tile }, row)
}

/** Those that are left of a tree of this size when all its entries are pruned. */
export function delTiles(batch: Batch, tables: FeedTables, feed: FeedId, size: number): void {
  for (const tile of edgeTiles(size)) batch.del(tables.tiles, { feed, tile })
}

/**
 * Takes back what `putEntries` put for these entries, which stand behind each other, but for their
 * places in the tree. Those that came together with the first stand from it on.
 */
export async function delEntries(
  batch: Batch,
  tables: FeedTables,
  feed: FeedId,
  entries: readonly EntryAt[],
): Promise<void> {
  const end = (entries[0]?.index ?? 0) + entries.length
  let listedTo = 0
  for (const { index, arrived, bytes } of entries) {
    const place = { feed, index }
    batch.del(tables.entries, place)
    // Ways that were never there are taken back as well, which is nothing.
    for (const finding of findingsOf(decodeEntry(bytes), feed.author, () => true)) {
      batch.del(tables.finds, { ...finding, place })
    }
    if (index < listedTo) continue
    const key = { arrived, place }
    listedTo = index + ((await tables.arrivals.get(key)) ?? 1)
    batch.del(tables.arrivals, key)
    const rest = { arrived, place: { feed, index: end } }
    if (listedTo > end) batch.put(tables.arrivals, rest, listedTo - end)
  }
}
