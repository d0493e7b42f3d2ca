import type { Clock } from '../../base/clock.ts'
import { hexName } from '../../base/hex.ts'
import { LruMap } from '../../base/lru-map.ts'
import { sameBytes } from '../../wire/octets.ts'
import { type FeedId, feedName, feedsOf } from './feed-id.ts'
import type { FeedStore } from './feed-store.ts'
import { logFull } from './log-errors.ts'
import type { FeedRow } from './rows.ts'
import { costOf, costOfLog, type TotalsKeeper } from './totals.ts'

const MIB = 1024 * 1024

/** Of a peer that keeps the logs of all. */
export const archiveRoom = {
  /** A feed without entries takes 2 KB. */
  feedsMax: 100_000,
  /** Of one author. An honest peer begins a new one after it lost the end of the last. */
  epochsMax: 64,
  /** Of what all entries of others take. */
  bytesMax: 16 * 1024 * MIB,
  /** Of what one author's logs take. Beyond it, the older half of them goes. */
  authorBytesMax: 512 * MIB,
  /** Logs of strangers that one peer may bring: so many, and then some each second. */
  strangersMax: 12_500,
  strangersPerSecond: 1,
}

/** Of a peer that keeps the last part of some: all that it follows together have room. */
export const followerRoom: typeof archiveRoom = {
  ...archiveRoom,
  feedsMax: 4_096,
  bytesMax: 1024 * MIB,
  authorBytesMax: 24 * MIB,
}

/** Authors whose logs are counted again when so much of their share has come. */
const COUNTED_PART = 1 / 8
const REMEMBERED_MAX = 4_096
/** Logs that are compared when one has to give way; where none of them can, some more. */
const COMPARED = 16
const COMPARISONS_MAX = 4
/** Logs that give way to one batch. */
const HALVED_MAX = 8

export interface RoomComponents {
  feeds: FeedStore
  totals: TotalsKeeper
  clock: Clock
  /** This peer's own: its earlier logs stay. */
  publicKey: Uint8Array
  /** Whose logs come first here. All others are strangers. */
  isWanted(author: Uint8Array): boolean
  prune(feed: FeedId, before: number): Promise<void>
  remove(feed: FeedId): Promise<void>
}

/** Some entries that are to come in. */
export interface Arrivers {
  feed: FeedId
  isNew: boolean
  /** What they take, and what this log does without them: as `costOf` counts it. */
  cost: number
  before: number
  /** Who brought them. */
  from: string
}

interface Log {
  feed: FeedId
  row: FeedRow
  isWanted: boolean
}

/** Sees to it that nobody fills the disk, and that whoever is wanted finds room on it. */
export class Room {
  readonly #parts: RoomComponents
  readonly #limits: typeof archiveRoom
  /** By author: what came since its logs were counted. */
  readonly #uncounted = new LruMap<string, number>(REMEMBERED_MAX)
  /** By who brings them: strangers' logs that may still come. */
  readonly #allowances = new LruMap<string, { left: number; at: number }>(REMEMBERED_MAX)
  /** Where the comparing stopped: it goes round and round. */
  #hand: FeedId | undefined

  constructor(parts: RoomComponents, limits: typeof archiveRoom) {
    this.#parts = parts
    this.#limits = limits
  }

  isStranger(author: Uint8Array): boolean {
    return !this.#parts.isWanted(author)
  }

  /** How many logs of strangers this peer may still bring. */
  strangersFrom(peer: string): number {
    const { strangersMax, strangersPerSecond } = this.#limits
    const known = this.#allowances.get(peer)
    if (known === undefined) return strangersMax
    const seconds = (this.#parts.clock.elapsed() - known.at) / 1000
    return Math.floor(Math.min(strangersMax, known.left + seconds * strangersPerSecond))
  }

  /**
   * Throws `log_full` where nothing here may give way to them. Batches that come at the same time do
   * not see each other: together they may take some megabytes more.
   */
  async make(arrivers: Arrivers): Promise<void> {
    if (arrivers.isNew) await this.#admit(arrivers)
    const { totals, prune } = this.#parts
    const { bytesMax } = this.#limits
    for (let halved = 0; (await totals.get()).bytes + arrivers.cost > bytesMax; halved++) {
      const log = halved < HALVED_MAX ? await this.#largest(arrivers) : undefined
      if (log === undefined) throw logFull('entries')
      await prune(log.feed, middleOf(log.row))
    }
  }

  /** After so many entries came: what is too much of one author goes, the oldest first. */
  async trim(author: Uint8Array, { bytes, count }: { bytes: number; count: number }) {
    const { authorBytesMax } = this.#limits
    if (sameBytes(author, this.#parts.publicKey)) return
    const name = hexName(author)
    // One that is not remembered is counted.
    const uncounted =
      (this.#uncounted.get(name) ?? authorBytesMax) + costOf({ bytes, entries: count })
    const isDue = uncounted >= authorBytesMax * COUNTED_PART
    this.#uncounted.set(name, isDue ? 0 : uncounted)
    if (!isDue) return
    for (;;) {
      const logs = await this.#logsOf(author)
      const sum = logs.reduce((all, { row }) => all + costOfLog(row), 0)
      if (sum <= authorBytesMax || logs.every(({ row }) => row.start === row.size)) return
      for (const { feed, row } of logs) await this.#parts.prune(feed, middleOf(row))
    }
  }

  /** Keys and epochs cost nothing: others must not take all places with them. */
  async #admit({ feed, cost, from }: Arrivers): Promise<void> {
    const { feeds, totals, remove } = this.#parts
    const { feedsMax, epochsMax } = this.#limits
    const epochs = await feeds.countEpochs(feed.author, epochsMax)
    if (epochs >= epochsMax) throw logFull('logs of this author')
    const isStranger = this.isStranger(feed.author)
    const left = this.strangersFrom(from)
    if (isStranger && left < 1) throw logFull('logs of strangers')
    if ((await totals.get()).feeds >= feedsMax) {
      // A stranger's gives way to anybody wanted, else to no less than itself.
      const smallest = await this.#choose(feed, (log) =>
        log.isWanted || (isStranger && costOfLog(log.row) > cost) ? undefined : -costOfLog(log.row),
      )
      if (smallest === undefined) throw logFull('logs')
      await remove(smallest.feed)
    }
    if (!isStranger) return
    this.#allowances.set(from, { left: left - 1, at: this.#parts.clock.elapsed() })
  }

  /** Whoever is wanted takes from strangers; besides, only who has less takes from who has more. */
  #largest({ feed, cost, before }: Arrivers): Promise<Log | undefined> {
    const isWanted = this.#parts.isWanted(feed.author)
    return this.#choose(feed, (log) => {
      const its = costOfLog(log.row)
      const hasMore = its > before + cost
      const mayTake = log.isWanted ? isWanted && hasMore : isWanted || hasMore
      return mayTake && its > 0 ? its : undefined
    })
  }

  /** The log of the highest rank among some that are here. */
  async #choose(feed: FeedId, rank: (log: Log) => number | undefined): Promise<Log | undefined> {
    for (let compared = 0; compared < COMPARISONS_MAX; compared++) {
      let best: { log: Log; rank: number } | undefined
      for (const log of await this.#next()) {
        if (feedName(log.feed) === feedName(feed)) continue
        const its = rank(log)
        if (its !== undefined && (best === undefined || its > best.rank)) best = { log, rank: its }
      }
      if (best !== undefined) return best.log
    }
    return undefined
  }

  /** The logs of others that come next. */
  async #next(): Promise<Log[]> {
    const { feeds, publicKey, isWanted } = this.#parts
    const logs: Log[] = []
    const range = { ...(this.#hand && { gt: this.#hand }), limit: COMPARED }
    let rows = 0
    for await (const [feed, row] of feeds.tables.feeds.range(range)) {
      rows += 1
      this.#hand = feed
      if (sameBytes(feed.author, publicKey) || feeds.isOwn(feed)) continue
      logs.push({ feed, row, isWanted: isWanted(feed.author) })
    }
    if (rows < COMPARED) this.#hand = undefined
    return logs
  }

  async #logsOf(author: Uint8Array): Promise<{ feed: FeedId; row: FeedRow }[]> {
    const logs: { feed: FeedId; row: FeedRow }[] = []
    const range = this.#parts.feeds.tables.feeds.range(feedsOf(author))
    for await (const [feed, row] of range)
      if (!this.#parts.feeds.isOwn(feed)) logs.push({ feed, row })
    return logs
  }
}

const middleOf = ({ start, size }: FeedRow): number => start + Math.ceil((size - start) / 2)
