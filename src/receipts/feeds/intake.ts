import type { Clock } from '../../base/clock.ts'
import { BusyError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { VerifyLater } from '../../identity/verify-native.ts'
import type { Store } from '../../storage/store.ts'
import { headsEquivocation } from '../../wire/equivocation.ts'
import type { Signed } from '../../wire/generate.ts'
import { readHead } from '../../wire/head.ts'
import { type Batch, grow, type OpenBatch, openBatch } from '../../wire/log-batch.ts'
import { leafHash } from '../../wire/merkle.ts'
import { peakNodes } from '../../wire/merkle-proof.ts'
import { sameBytes } from '../../wire/octets.ts'
import { peerIdOf } from '../../wire/peer-id.ts'
import type { Verifying } from '../../wire/signed.ts'
import { Bars } from './bars.ts'
import type { FeedId } from './feed-id.ts'
import { type Arrival, delTiles, putEntries, putTiles } from './feed-rows.ts'
import type { FeedStore } from './feed-store.ts'
import { findingsLater } from './findings.ts'
import { authorBarred, EquivocationError, LogForkError, LogGapError, ownLog } from './log-errors.ts'
import { putPruned } from './prune.ts'
import { ReceiptCounts } from './receipt-counts.ts'
import { archiveRoom, Room } from './room.ts'
import { type FeedRow, feedRow } from './rows.ts'
import { Serial } from './serial.ts'
import { Growth } from './tiles.ts'
import { costOf, costOfLog, TotalsKeeper } from './totals.ts'

export const defaultIntake = {
  ...archiveRoom,
  /** Batches of 64 KiB, so 16 MiB. */
  waitingMax: 256,
  /** Proofs of 600 bytes. */
  barredMax: 10_000,
  /**
   * Whether a log goes on behind a gap, where its author has thrown away what lies between. Then what
   * is here goes; an archive rather keeps it.
   */
  skipsGaps: false,
}

export type IntakeLimits = typeof defaultIntake

export interface IntakeComponents {
  feeds: FeedStore
  store: Store
  clock: Clock
  logger: Logger
  /** Of heads, and of the many receipts under them. */
  verifying: Verifying
  verifyLater: VerifyLater
  /** This peer's own. */
  publicKey: Uint8Array
  /** Whether this peer could meet that author now. */
  isThere(author: Uint8Array): boolean
  /** Whether there is to be room for the logs of this author, if need be in place of others. */
  isWanted(author: Uint8Array): boolean
}

export interface Ingested {
  feed: FeedId
  /** How many of the entries were new. */
  added: number
  /** How many there are now, and how many its author has signed as far as is known. */
  size: number
  target: number
}

/** Takes in what others say of others' logs. Everything that it takes is proved. */
export class Intake {
  readonly bars: Bars
  readonly room: Room
  readonly #feeds: FeedStore
  readonly #store: Store
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #verifying: Verifying
  readonly #verifyLater: VerifyLater
  readonly #options: IntakeLimits
  readonly #totals: TotalsKeeper
  readonly #counts: ReceiptCounts
  /** All changes of others' feeds: what one finds, none changes before it has written. */
  readonly #serial: Serial
  #underWay = 0

  constructor(parts: IntakeComponents, options: Partial<IntakeLimits> = {}) {
    const { feeds, store, clock, logger, verifying, verifyLater } = parts
    this.#options = { ...defaultIntake, ...options }
    this.#feeds = feeds
    this.#store = store
    this.#clock = clock
    this.#logger = logger
    this.#verifying = verifying
    this.#verifyLater = verifyLater
    this.#totals = new TotalsKeeper(feeds.tables.totals)
    this.#counts = new ReceiptCounts(feeds.tables.counts, 'others')
    this.#serial = new Serial(this.#options.waitingMax)
    const shared = { ...parts, totals: this.#totals, serial: this.#serial }
    this.bars = new Bars(shared, this.#options)
    const giving = {
      prune: (feed: FeedId, before: number) => this.prune(feed, before),
      remove: (feed: FeedId) => this.#remove(feed),
    }
    this.room = new Room({ ...shared, ...giving }, this.#options)
  }

  /**
   * Entries of one log, proved by its signed head. What is here already is passed over.
   * Throws `log_gap` when something is missing before them, `bad_log` when they are not what the
   * head was signed for, `log_forked` or `equivocation` when its author signed two histories,
   * `log_full` when there is no room for it. `from`: who brought it, if not its author.
   */
  async ingest(batch: Batch, from = GOSSIP): Promise<Ingested> {
    if (this.#underWay >= this.#options.waitingMax) {
      throw new BusyError('The log is behind with what others send. Ask again in a second.')
    }
    this.#underWay += 1
    try {
      // Checked while others are written; seldom has the feed changed until it is its turn.
      const checked = await this.#check(batch)
      if (checked.growth !== undefined) await this.#makeRoom(checked, from)
      const taken = await this.#serial.run(async () => {
        const row = await this.#feeds.tables.feeds.get(checked.feed)
        return this.#take(isUnchanged(row, checked.known) ? checked : await this.#check(batch))
      })
      const { feed, bytes } = checked
      if (taken.added > 0) await this.room.trim(feed.author, { bytes, count: taken.added })
      return taken
    } catch (error) {
      if (error instanceof EquivocationError) await this.bars.add(error.proof)
      throw error
    } finally {
      this.#underWay -= 1
    }
  }

  /** Takes all entries of a feed before this index. It still appends, verifies and proves. */
  async prune(feed: FeedId, before: number): Promise<void> {
    for (let isMore = true; isMore; ) {
      isMore = await this.#serial.run(() => this.#prune(feed, before))
    }
  }

  /** Resolves when all that was asked for is over. */
  idle(): Promise<void> {
    return this.#serial.idle()
  }

  /** All that can be said of a batch without changing anything. */
  async #check(batch: Batch): Promise<Checked> {
    const { author, epoch } = readHead(batch.head)
    const feed = { author, epoch }
    if (this.#feeds.isOwn(feed)) throw ownLog()
    if (await this.bars.has(author)) throw authorBarred()
    const known = await this.#feeds.tables.feeds.get(feed)
    const isKnown = headsOf(known).some((head) => isSame(head, batch.head))
    const open = openBatch(
      withoutOld(batch, known?.size ?? 0),
      this.#verifying,
      isKnown ? 'known' : undefined,
    )
    if (known !== undefined) await this.#compare(feed, known, open)
    const row = known ?? newRow(feed, open)
    if (open.entries.length === 0) return { feed, known, row, open, arrivals: [], bytes: 0 }
    const begun = open.first > row.size ? this.#begunAgain(feed, row, open) : row
    const growth = await this.#grow(feed, begun, open, batch)
    if (begun !== row) await this.#comparePeaks(feed, row, open)
    // Last, as it costs most: now they are known to be what the author signed.
    const arrivals = await Promise.all(
      open.entries.map(async (sealed) => {
        return { sealed, findings: await findingsLater(sealed, author, this.#verifyLater) }
      }),
    )
    const bytes = open.entries.reduce((sum, entry) => sum + entry.bytes.length, 0)
    return { feed, known, row: begun, open, growth, arrivals, bytes }
  }

  /** Throws when its author has signed something else that is here. */
  async #compare(feed: FeedId, row: FeedRow, { head, signed }: OpenBatch): Promise<void> {
    for (const known of headsOf(row)) {
      const { size, root } = readHead(known)
      if (size !== head.size || sameBytes(root, head.root)) continue
      throw new EquivocationError(headsEquivocation(known, signed))
    }
    if (head.size > row.size || head.size < row.start) return
    if (!sameBytes(await this.#feeds.rootAt(feed, head.size), head.root)) {
      throw new LogForkError(feed)
    }
  }

  /** Behind what was thrown away: of what was known of it, the heads stay. */
  #begunAgain(feed: FeedId, { size, head, target }: FeedRow, open: OpenBatch): FeedRow {
    if (!this.#options.skipsGaps || open.peaks.length === 0) throw new LogGapError(feed, size)
    const isAhead = sizeOf(target) >= open.first
    return { ...newRow(feed, open), ...(head && { head }), ...(isAhead && target && { target }) }
  }

  /**
   * Throws unless the largest subtrees of what is here are those of what goes on: all that shows,
   * across a gap, that it is the same history. Smaller ones are part of others by then.
   */
  async #comparePeaks(feed: FeedId, { size }: FeedRow, { first, peaks }: OpenBatch): Promise<void> {
    const mine = await this.#feeds.peaksAt(feed, size)
    const theirs = peakNodes(first)
    for (const [at, { level, index }] of peakNodes(size).entries()) {
      if (theirs[at]?.level !== level || theirs[at].index !== index) return
      const [here, there] = [mine[at], peaks[at]]
      if (here && there && !sameBytes(here, there)) throw new LogForkError(feed)
    }
  }

  async #makeRoom({ feed, known, row, bytes, arrivals }: Checked, from: string): Promise<void> {
    const isNew = known === undefined
    const cost = costOf({ bytes, entries: arrivals.length })
    await this.room.make({ feed, isNew, cost, before: costOfLog(row), from })
    if (isNew || row === known) return
    const peer = peerIdOf(feed.author)
    const gap = { peer, from: known.size, to: row.size }
    this.#logger.warn('a log goes on behind a gap: its author threw away what lies between', gap)
    await this.prune(feed, known.size)
  }

  async #grow(feed: FeedId, row: FeedRow, open: OpenBatch, batch: Batch): Promise<Growth> {
    const { base, size } = row
    const growth = base?.size === size ? Growth.from(base) : await this.#feeds.growth(feed, row)
    checkOnTheWay(feed, row, growth, open)
    try {
      growth.follow(open)
      return growth
    } catch (error) {
      if (standsAlone(batch, this.#verifying)) throw new LogForkError(feed)
      throw error
    }
  }

  async #take({ feed, known, row, open, growth, arrivals, bytes }: Checked): Promise<Ingested> {
    if (growth === undefined) return resultOf(feed, row, 0)
    const isBegunAgain = known !== undefined && row !== known
    // More came meanwhile of what is to go.
    if (isBegunAgain && known.start < known.size) throw new LogGapError(feed, known.size)
    const { tables } = this.#feeds
    const batch = this.#store.batch()
    const arrived = this.#clock.now()
    if (isBegunAgain) delTiles(batch, tables, feed, known.size)
    putEntries(batch, tables, { feed, first: open.first, arrived, listed: true }, arrivals)
    putTiles(batch, tables, feed, growth)
    const next = rowAfter(row, open, bytes)
    batch.put(tables.feeds, feed, next)
    const cost = costOf({ bytes, entries: arrivals.length })
    const change = { feeds: known === undefined ? 1 : 0, bytes: cost }
    const counted = await this.#counts.put(batch, arrived, arrivals)
    // What is lost in a crash of the machine is somewhere else as well.
    await this.#totals.write(batch, change, (rows) => this.#store.write(rows))
    counted.written()
    this.#feeds.tell({ feed, first: open.first, entries: open.entries })
    if (next.head === open.signed) this.#feeds.tellHead({ feed, batch: batchOf(open) })
    return resultOf(feed, next, open.entries.length)
  }

  /** All that is here of a feed, as if it had never been. */
  async #remove(feed: FeedId): Promise<void> {
    for (let isMore = true; isMore; ) {
      isMore = await this.#serial.run(() => this.#removeSome(feed))
    }
  }

  async #removeSome(feed: FeedId): Promise<boolean> {
    const { tables } = this.#feeds
    const row = await tables.feeds.get(feed)
    if (row === undefined) return false
    if (row.start < row.size) return this.#prune(feed, row.size)
    const batch = this.#store.batch().del(tables.feeds, feed)
    delTiles(batch, tables, feed, row.size)
    await this.#totals.write(batch, { feeds: -1 }, (rows) => this.#store.write(rows))
    this.#feeds.forget(feed)
    return false
  }

  /** Whether there is more to prune. */
  async #prune(feed: FeedId, before: number): Promise<boolean> {
    if (this.#feeds.isOwn(feed)) throw ownLog()
    const row = await this.#feeds.tables.feeds.get(feed)
    if (row === undefined) return false
    const batch = this.#store.batch()
    const next = await putPruned(batch, this.#feeds, { feed, row, before })
    if (next.start === row.start) return false
    const change = { bytes: costOfLog(next) - costOfLog(row) }
    await this.#totals.write(batch, change, (rows) => this.#store.write(rows))
    return true
  }
}

/** A batch that is all right, as long as the feed is as it was. */
interface Checked {
  feed: FeedId
  /** The feed as it was; undefined for a new one. */
  known: FeedRow | undefined
  /** As it is known, or begun where the batch begins. */
  row: FeedRow
  open: OpenBatch
  /** Undefined where there is nothing to add. */
  growth?: Growth
  arrivals: readonly Arrival[]
  /** Of the entries. */
  bytes: number
}

/** Brings batches from anybody. */
const GOSSIP = ''

const isUnchanged = (a: FeedRow | undefined, b: FeedRow | undefined): boolean =>
  a === b || (a !== undefined && b !== undefined && sameBytes(feedRow.encode(a), feedRow.encode(b)))

/** Of a feed of which nothing is here, but what the batch itself proves. */
function newRow(feed: FeedId, { first, peaks }: OpenBatch): FeedRow {
  if (first === 0) return { size: 0, start: 0, bytes: 0 }
  if (peaks.length === 0) throw new LogGapError(feed, 0)
  return { size: first, start: first, bytes: 0, base: { size: first, peaks } }
}

const headsOf = (row: FeedRow | undefined): Signed[] =>
  [row?.head, row?.target].filter((head) => head !== undefined)

const isSame = (a: Signed, b: Signed): boolean =>
  sameBytes(a.payload, b.payload) && sameBytes(a.signature, b.signature)

/** Its part from `size` on. */
function withoutOld(batch: Batch, size: number): Batch {
  const old = Math.min(Math.max(size - batch.first, 0), batch.entries.length)
  if (old === 0) return batch
  return { ...batch, first: batch.first + old, entries: batch.entries.slice(old), peaks: [] }
}

/** The head on the way to which a feed was must be one of the same history. */
function checkOnTheWay(feed: FeedId, { target }: FeedRow, growth: Growth, open: OpenBatch): void {
  if (target === undefined) return
  const { size, root } = readHead(target)
  if (size > open.first + open.entries.length) return
  const until = growth.copy()
  for (const { cid } of open.entries.slice(0, size - open.first)) until.append(leafHash(cid.bytes))
  if (!sameBytes(until.root(), root)) throw new LogForkError(feed)
}

/** Whether the batch is what its head was signed for, by its own peaks. */
function standsAlone(batch: Batch, verifying: Verifying): boolean {
  try {
    grow(openBatch(batch, verifying, 'known'))
    return true
  } catch {
    return false
  }
}

function rowAfter(
  row: FeedRow,
  { head, signed, first, entries }: OpenBatch,
  bytes: number,
): FeedRow {
  const { target, ...rest } = row
  const size = first + entries.length
  const isComplete = head.size === size
  const ahead = [target, isComplete ? undefined : signed].filter(
    (each) => each !== undefined && readHead(each).size > size,
  )
  const newest = ahead.sort((a, b) => sizeOf(b) - sizeOf(a))[0]
  return {
    ...rest,
    size,
    bytes: row.bytes + bytes,
    ...(isComplete && { head: signed }),
    ...(newest && { target: newest }),
  }
}

/** Of entries that end with their head. */
const batchOf = ({ signed: head, first, entries }: OpenBatch): Batch => ({
  head,
  first,
  entries: entries.map(({ bytes }) => bytes),
  path: [],
  peaks: [],
})

const sizeOf = (head: Signed | undefined): number => (head === undefined ? 0 : readHead(head).size)

const resultOf = (feed: FeedId, { size, head, target }: FeedRow, added: number): Ingested => ({
  feed,
  added,
  size,
  target: Math.max(size, sizeOf(head), sizeOf(target)),
})
