import type { Batch } from '../../storage/batch.ts'
import type { SealedEntry } from '../../wire/entry.ts'
import type { FeedId, Place } from './feed-id.ts'
import type { Finding } from './findings.ts'
import { type FeedTables, NOTHING } from './tables.ts'
import type { Growth } from './tiles.ts'

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
    if (listed) batch.put(tables.arrivals, { arrived, place }, NOTHING)
    for (const finding of findings) batch.put(tables.finds, { ...finding, place }, NOTHING)
  }
}

export function putTiles(batch: Batch, tables: FeedTables, feed: FeedId, growth: Growth): void {
  for (const { tile, row } of growth.takeChanged()) batch.put(tables.tiles, { feed, tile }, row)
}

/** Takes back what `putEntries` put for one entry, but for its place in the tree. */
export function delEntry(
  batch: Batch,
  tables: FeedTables,
  { place, arrived, findings }: { place: Place; arrived: number; findings: readonly Finding[] },
): void {
  batch.del(tables.entries, place)
  batch.del(tables.arrivals, { arrived, place })
  for (const finding of findings) batch.del(tables.finds, { ...finding, place })
}
