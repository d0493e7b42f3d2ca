import { LruMap } from '../../base/lru-map.ts'
import type { Store } from '../../storage/store.ts'
import type { SealedEntry } from '../../wire/entry.ts'
import type { Signed } from '../../wire/generate.ts'
import { readHead } from '../../wire/head.ts'
import { BATCH_ENTRIES_BYTES_MAX, BATCH_ENTRIES_MAX, type Batch } from '../../wire/log-batch.ts'
import { joinPeaks, type NodeRef } from '../../wire/merkle.ts'
import { peakNodes, proveConsistency, proveInclusion } from '../../wire/merkle-proof.ts'
import { type FeedId, FIRST_FEED, feedName, feedsOf, LAST_FEED, type Place } from './feed-id.ts'
import { OWN } from './findings.ts'
import type { ArrivalKey, Find } from './keys.ts'
import { logPruned } from './log-errors.ts'
import { type Counts, countReceipts } from './receipt-counts.ts'
import type { EntryRow, FeedRow } from './rows.ts'
import { type FeedTables, feedTables } from './tables.ts'
import { Growth, readNodes, type TileRef } from './tiles.ts'

/** What others may see of a feed of this peer. */
export type Visibility =
  | 'shown'
  /** Entries, but no head: others may know a newer one than this peer does. */
  | 'held'
  /** Nothing. */
  | 'private'

/** Entries that stand behind each other in a feed. */
export interface NewEntries {
  feed: FeedId
  first: number
  entries: readonly SealedEntry[]
}

/** What may be shown of a feed from now on. */
export interface HeadChange {
  feed: FeedId
  /** The head, and the entries that came with it. Undefined where none is shown any more. */
  batch: Batch | undefined
}

/** A feed that may be shown. */
export interface FeedHead {
  feed: FeedId
  head: Signed
  /** The first entry that is here. */
  start: number
}

export interface Proof {
  head: Signed
  path: Uint8Array[]
}

/** Of a log: entries from `from` on, and before `to`. */
export interface Part {
  from: number
  to?: number
  /** Whoever asks does not have what stands before `from`. */
  peaks?: boolean
}

export interface EntryAt extends EntryRow {
  index: number
}

export interface FindOptions {
  limit?: number
  withPrivate?: boolean
  /** Only where this peer signed what is found, in its own log. */
  author?: Uint8Array
}

const ALL_FEEDS = { gte: FIRST_FEED, lte: LAST_FEED }
const RANK_MAX = 255
/** Those that another peer may still ask for. */
const FORGOTTEN_MAX = 4_096

/** The logs of many peers. Reads take a few rows, however long the logs are. */
export class FeedStore {
  readonly tables: FeedTables
  readonly #own = new Map<string, Visibility>()
  readonly #forgotten = new LruMap<string, true>(FORGOTTEN_MAX)
  readonly #listeners = new Set<(arrived: NewEntries) => void>()
  readonly #headListeners = new Set<(change: HeadChange) => void>()

  constructor({ store }: { store: Store }) {
    this.tables = feedTables(store)
  }

  /** Says which feeds are this peer's to write, and what of them others may see. */
  setOwn(feed: FeedId, visibility: Visibility): void {
    const name = feedName(feed)
    const isNews = this.#own.get(name) !== visibility
    this.#own.set(name, visibility)
    if (isNews && visibility !== 'shown') this.tellHead({ feed, batch: undefined })
  }

  /** From here on it is like anybody's, with this head. */
  giveUp(feed: FeedId, head: Signed | undefined): void {
    this.#own.delete(feedName(feed))
    if (head !== undefined) this.tellHead({ feed, batch: headAlone(head) })
  }

  /** Nothing of it is here any more. Others may have been told of it just now. */
  forget(feed: FeedId): void {
    this.#forgotten.set(feedName(feed), true)
    this.tellHead({ feed, batch: undefined })
  }

  isOwn(feed: FeedId): boolean {
    return this.#own.has(feedName(feed))
  }

  isPrivate(feed: FeedId): boolean {
    return this.#own.get(feedName(feed)) === 'private'
  }

  /** The newest head of which all entries are here, or were before they were pruned. */
  async head(feed: FeedId): Promise<Signed | undefined> {
    return (await this.#shownRow(feed))?.head
  }

  /** The first entry that is here of a feed that may be shown. */
  async start(feed: FeedId): Promise<number | undefined> {
    return (await this.#shownRow(feed))?.start
  }

  /** Every feed that may be shown, in the order of authors; those of one author when it is given. */
  async *feeds({ author, after }: { author?: Uint8Array; after?: FeedId } = {}) {
    const range = { ...(author && feedsOf(author)), ...(after && { gt: after }) }
    for await (const [feed, row] of this.tables.feeds.range(range)) {
      if (row.head === undefined || !this.#showsHead(feed)) continue
      yield { feed, head: row.head, start: row.start } satisfies FeedHead
    }
  }

  /** How many feeds of this author are here; counts up to `max`. */
  async countEpochs(author: Uint8Array, max: number): Promise<number> {
    let count = 0
    const range = { ...feedsOf(author), limit: max }
    for await (const _row of this.tables.feeds.range(range)) count += 1
    return count
  }

  entry(place: Place): Promise<EntryRow | undefined> {
    return this.tables.entries.get(place)
  }

  /** In the order of `places`; undefined where none is. */
  entriesAt(places: readonly Place[]): Promise<(EntryRow | undefined)[]> {
    return this.tables.entries.getMany(places)
  }

  /** Entries in their order, from `from` and before `to`. */
  async *entries(feed: FeedId, from: number, to: number): AsyncGenerator<EntryAt> {
    const range = { gte: { feed, index: from }, lt: { feed, index: to } }
    for await (const [{ index }, row] of this.tables.entries.range(range)) yield { index, ...row }
  }

  /**
   * Where this is: first in the log of who signed it, or with `author` there alone. Private places
   * only for this peer itself.
   */
  async find(
    find: Find,
    digest: Uint8Array,
    { limit = 8, withPrivate = false, author }: FindOptions = {},
  ): Promise<Place[]> {
    const { gte: first, lte: last } = author === undefined ? ALL_FEEDS : feedsOf(author)
    const rank = author === undefined ? RANK_MAX : OWN
    const range = {
      gte: { find, digest, rank: OWN, place: { feed: first, index: 0 } },
      lte: { find, digest, rank, place: { feed: last, index: Number.MAX_SAFE_INTEGER } },
    }
    const places: Place[] = []
    for await (const [{ place }] of this.tables.finds.range(range)) {
      if (!withPrivate && this.isPrivate(place.feed)) continue
      places.push(place)
      if (places.length >= limit) break
    }
    return places
  }

  /** The public entries that came last, the newest first; `before` the last one of the page before. */
  async recent({ limit, before }: { limit: number; before?: ArrivalKey }): Promise<ArrivalKey[]> {
    const range = { reverse: true, ...(before && { lt: before }) }
    const keys: ArrivalKey[] = []
    for await (const [{ arrived, place }, count] of this.tables.arrivals.range(range)) {
      const { feed, index: first } = place
      // The page before may have ended amid those that came together.
      const isSplit = before?.arrived === arrived && feedName(before.place.feed) === feedName(feed)
      const end = Math.min(first + count, isSplit ? before.place.index : Number.POSITIVE_INFINITY)
      for (let index = end - 1; index >= first && keys.length < limit; index--) {
        keys.push({ arrived, place: { feed, index } })
      }
      if (keys.length >= limit) break
    }
    return keys
  }

  /** That an entry stands in its log; undefined where no head that covers it may be shown. */
  async prove({ feed, index }: Place): Promise<Proof | undefined> {
    const row = await this.#shownRow(feed)
    if (row?.head === undefined) return undefined
    const { size } = readHead(row.head)
    if (index >= size) return undefined
    const path = await proveInclusion(index, size, (nodes) => this.#nodes(feed, row, nodes))
    return { head: row.head, path }
  }

  /**
   * What another peer needs to go on from `from`: as many entries as one frame holds, with the proof
   * that they belong to the newest head. Undefined when there is nothing to show from there on.
   */
  async batch(feed: FeedId, { from, to, peaks }: Part): Promise<Batch | undefined> {
    const row = await this.#shownRow(feed)
    if (row === undefined && this.#forgotten.get(feedName(feed))) throw logPruned()
    if (row?.head === undefined) return undefined
    const { size } = readHead(row.head)
    if (from >= size) return undefined
    if (from < row.start) throw logPruned()
    const entries = await this.#entriesOfFrame(feed, from, Math.min(to ?? size, size))
    const end = from + entries.length
    const read = (nodes: readonly NodeRef[]) => this.#nodes(feed, row, nodes)
    return {
      head: row.head,
      first: from,
      entries,
      path: end === size ? [] : await proveConsistency(end, size, read),
      peaks: peaks === true ? await read(peakNodes(from)) : [],
    }
  }

  /** Of the log as it was when it had this many entries. Throws `log_pruned` where that is gone. */
  async peaksAt(feed: FeedId, size: number): Promise<Uint8Array[]> {
    const row = await this.tables.feeds.get(feed)
    if (row === undefined || size > row.size) throw logPruned()
    return this.#nodes(feed, row, peakNodes(size))
  }

  async rootAt(feed: FeedId, size: number): Promise<Uint8Array> {
    return joinPeaks(await this.peaksAt(feed, size))
  }

  /** That the log of one size is the beginning of that of another. */
  async proveGrowth(feed: FeedId, from: number, to: number): Promise<Uint8Array[]> {
    const row = await this.#shownRow(feed)
    if (row === undefined || to > row.size) throw logPruned()
    return await proveConsistency(from, to, (nodes) => this.#nodes(feed, row, nodes))
  }

  /** What it takes to append to a feed. */
  growth(feed: FeedId, { size, base }: FeedRow): Promise<Growth> {
    return Growth.load(size, (tiles) => this.#tiles(feed, tiles), base)
  }

  /** Public receipts that came to this peer, in its own log and in those of others. */
  countReceipts(at: number): Promise<Counts> {
    return countReceipts(this.tables.counts, at)
  }

  /** Hears of all entries that come, once they are here; of its own ones, on the disk. */
  onEntries(listener: (arrived: NewEntries) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  tell(arrived: NewEntries): void {
    for (const listener of this.#listeners) listener(arrived)
  }

  /** Hears of each head that may be shown from then on, and of feeds that may not be any more. */
  onHead(listener: (change: HeadChange) => void): () => void {
    this.#headListeners.add(listener)
    return () => this.#headListeners.delete(listener)
  }

  tellHead(change: HeadChange): void {
    for (const listener of this.#headListeners) listener(change)
  }

  /** Throws `log_pruned` where one of them is gone. */
  async #nodes(feed: FeedId, row: FeedRow, nodes: readonly NodeRef[]): Promise<Uint8Array[]> {
    const hashes = await readNodes(nodes, (tiles) => this.#tiles(feed, tiles), row.base)
    if (hashes === undefined) throw logPruned()
    return hashes
  }

  #tiles(feed: FeedId, tiles: readonly TileRef[]): Promise<(Uint8Array | undefined)[]> {
    return this.tables.tiles.getMany(tiles.map((tile) => ({ feed, tile })))
  }

  async #entriesOfFrame(feed: FeedId, from: number, to: number): Promise<Uint8Array[]> {
    const entries: Uint8Array[] = []
    let room = BATCH_ENTRIES_BYTES_MAX
    for await (const { index, bytes } of this.entries(feed, from, to)) {
      if (index !== from + entries.length) break
      room -= bytes.length
      if (room < 0) break
      entries.push(bytes)
      if (entries.length === BATCH_ENTRIES_MAX) break
    }
    // They were thrown away just now.
    if (entries.length === 0) throw logPruned()
    return entries
  }

  async #shownRow(feed: FeedId): Promise<FeedRow | undefined> {
    return this.#showsHead(feed) ? this.tables.feeds.get(feed) : undefined
  }

  #showsHead(feed: FeedId): boolean {
    return (this.#own.get(feedName(feed)) ?? 'shown') === 'shown'
  }
}

/** Whoever wants the entries under it asks for them. */
export const headAlone = (head: Signed): Batch => ({
  head,
  first: readHead(head).size,
  entries: [],
  path: [],
  peaks: [],
})
