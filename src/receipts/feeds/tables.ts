import { bytesKey, bytesValue, integerKey, textKey } from '../../storage/codec.ts'
import type { Store } from '../../storage/store.ts'
import type { Table } from '../../storage/table.ts'
import type { Equivocation } from '../../wire/equivocation.ts'
import type { FeedId, Place } from './feed-id.ts'
import {
  type ArrivalKey,
  arrivalKey,
  type FindKey,
  feedKey,
  findKey,
  type OwnKey,
  ownKey,
  placeKey,
  type TileKey,
  tileKey,
} from './keys.ts'
import { type CountKey, countKey } from './receipt-counts.ts'
import {
  type EntryRow,
  entryRow,
  equivocationRow,
  type FeedRow,
  feedRow,
  type OwnRow,
  ownRow,
  totalsRow,
} from './rows.ts'
import type { Totals } from './totals.ts'

export interface FeedTables {
  feeds: Table<FeedId, FeedRow>
  entries: Table<Place, EntryRow>
  tiles: Table<TileKey, Uint8Array>
  /** Where a thing is, by its digest. */
  finds: Table<FindKey, Uint8Array>
  /** How many public entries came together, in the order in which they came. */
  arrivals: Table<ArrivalKey, number>
  /** Authors that signed two histories, and the proof of it. */
  barred: Table<Uint8Array, Equivocation>
  totals: Table<string, Totals>
  counts: Table<CountKey, number>
  own: Table<OwnKey, OwnRow>
}

export const feedTables = (store: Store): FeedTables => ({
  feeds: store.table('feeds', { key: feedKey, value: feedRow }),
  entries: store.table('feed-entries', { key: placeKey, value: entryRow }),
  tiles: store.table('feed-tiles', { key: tileKey, value: bytesValue }),
  finds: store.table('feed-finds', { key: findKey, value: bytesValue }),
  arrivals: store.table('feed-arrivals', { key: arrivalKey, value: integerKey }),
  barred: store.table('feed-barred', { key: bytesKey, value: equivocationRow }),
  totals: store.table('feed-totals', { key: textKey, value: totalsRow }),
  counts: store.table('feed-counts', { key: countKey, value: integerKey }),
  own: store.table('feed-own', { key: ownKey, value: ownRow }),
})

/** Of rows whose keys say it all. */
export const NOTHING = new Uint8Array()
