import type { Clock } from '../../base/clock.ts'
import type { Service } from '../../base/lifecycle.ts'
import type { Logger } from '../../base/logger.ts'
import type { Random } from '../../base/random.ts'
import { StorageClosedError } from '../../storage/errors.ts'
import type { Store } from '../../storage/store.ts'
import type { SealedEntry } from '../../wire/entry.ts'
import type { Signed } from '../../wire/generate.ts'
import { type Head, openHead } from '../../wire/head.ts'
import type { Batch } from '../../wire/log-batch.ts'
import { sameBytes } from '../../wire/octets.ts'
import type { Signing, Verify } from '../../wire/signed.ts'
import { type Append, type AppendLimits, type AppendOptions, AppendQueue } from './append-queue.ts'
import type { FeedId, Place } from './feed-id.ts'
import type { Arrival } from './feed-rows.ts'
import { type FeedStore, headAlone } from './feed-store.ts'
import { type OwnName, ownNames } from './keys.ts'
import { keyOf, loadEpoch, type OwnEpoch, putOwn, shownSize } from './own-epoch.ts'
import { beginMove, type MoveParts, moveOn } from './own-move.ts'
import { beginAfterCopy, isRestored } from './own-restored.ts'
import { putPruned } from './prune.ts'
import { ReceiptCounts } from './receipt-counts.ts'
import { Serial } from './serial.ts'

export const defaultOwnFeed = {
  /** At 1,000 answers a second, what a disk that hangs for 4 s holds up. */
  waitingMax: 4096,
  waitingBytesMax: 32 * 1024 * 1024,
  /** Ten heads: about 5 ms of writing on a slow disk. */
  groupBytesMax: 480 * 1024,
  /** An execution and a routing entry; more in the future. */
  entriesMax: 16,
  appendBytesMax: 1024 * 1024,
  /** Peers that tell at the same time what they know; then appends would have to wait for them. */
  tellingMax: 32,
}

export interface OwnFeedComponents {
  feeds: FeedStore
  store: Store
  /** Whose log it is. */
  publicKey: Uint8Array
  signing: Signing
  verify: Verify
  clock: Clock
  random: Random
  logger: Logger
}

/** This peer's own log. What was appended is on the disk, under a signed head. */
export class OwnFeed implements Service {
  readonly #parts: OwnFeedComponents & MoveParts
  readonly #serial: Serial
  readonly #queue: AppendQueue
  readonly #listeners = new Set<(batch: Batch) => void>()
  readonly #epochs = new Map<OwnName, OwnEpoch>()
  readonly #counts: ReceiptCounts
  #isHeld = false
  #isScheduled = false
  #isStopped = false

  constructor(
    parts: OwnFeedComponents,
    options: Partial<AppendLimits & { tellingMax: number }> = {},
  ) {
    const settings = { ...defaultOwnFeed, ...options }
    const { feeds, signing, verify } = parts
    this.#parts = { ...parts, pen: { tables: feeds.tables, signing, verify } }
    this.#queue = new AppendQueue(settings)
    this.#counts = new ReceiptCounts(feeds.tables.counts, 'own')
    this.#serial = new Serial(settings.tellingMax)
  }

  /** Reads where the log ends, whatever its length. A move that was interrupted is finished. */
  async start(): Promise<void> {
    const { feeds, publicKey, random } = this.#parts
    await this.#hideOthers()
    for (const name of ownNames) {
      const { isNew, ...epoch } = await loadEpoch(feeds, random, { name, author: publicKey })
      // Nobody can know a newer head of a log that has just begun.
      if (name === 'public') this.#isHeld = !isNew
      this.#adopt(epoch)
    }
    if (this.#epoch('public').own.moving !== undefined) await this.#move()
    if (await isRestored(this.#parts.store)) await this.#leaveCopy()
  }

  /** Refuses what comes from now on, and resolves when all that was accepted is on the disk. */
  async stop(): Promise<void> {
    this.#isStopped = true
    while (this.#queue.length > 0) await this.#serial.idle()
    await this.#serial.idle()
  }

  /** The log that others see. */
  get feed(): FeedId {
    return this.#epoch('public').feed
  }

  /** Whether no head is shown yet: another peer might know a newer one. */
  get isHeld(): boolean {
    return this.#isHeld
  }

  /** Hears of each new head that others may see, with the entries that are new under it. */
  onHead(listener: (batch: Batch) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * Resolves with the places once these entries, a head over them and the rows are on the disk.
   * Rejects with BusyError when too much waits.
   */
  async append(entries: readonly SealedEntry[], options: AppendOptions): Promise<Place[]> {
    if (this.#isStopped) throw new StorageClosedError()
    const places = this.#queue.push(entries, options)
    this.#schedule()
    return places
  }

  /**
   * What another peer knows of this peer's log: its newest head of each epoch, or none. From then on
   * heads are shown. If it knows a newer one than this peer, the disk is a copy from before: what was
   * appended since goes into a new epoch, which names that head.
   */
  async confirm(heads: readonly Signed[]): Promise<void> {
    const { signing, verify } = this.#parts
    const { author, epoch } = this.feed
    const told = heads
      .map((signed) => ({ signed, ...openHead(signed, { network: signing.network, verify }) }))
      .filter((head) => sameBytes(head.author, author) && sameBytes(head.epoch, epoch))
      .sort((a, b) => b.size - a.size)[0]
    const isNews = this.#isHeld || (told?.size ?? 0) > shownSize(this.#epoch('public'))
    if (isNews) await this.#serial.run(() => this.#confirm(told))
  }

  /** Takes the oldest entries, of those that others may have. What is left appends and proves. */
  async prune(before: number): Promise<void> {
    for (let isMore = true; isMore; ) {
      isMore = await this.#serial.run(() => this.#prune(before))
    }
  }

  /** One flush waits at a time: it takes all that came until its turn. */
  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#serial
      .run(() => {
        this.#isScheduled = false
        return this.#flush()
      })
      .catch((error: unknown) => {
        this.#isScheduled = false
        for (const append of this.#queue.takeAll()) append.reject(error)
      })
  }

  async #flush(): Promise<void> {
    const group = this.#queue.takeGroup()
    try {
      const written = await this.#write(group)
      for (const { epoch } of written) this.#adopt(epoch)
      for (const one of written) if (one.epoch.name === 'public') this.#publish(one)
      for (const { appends, epoch, first } of written) resolveAll(appends, epoch.feed, first)
    } catch (error) {
      for (const append of group) append.reject(error)
    } finally {
      if (this.#queue.length > 0) this.#schedule()
    }
  }

  /** All of the group in one commit. */
  async #write(group: readonly Append[]): Promise<Written[]> {
    const { store, clock, pen } = this.#parts
    const rows = store.batch()
    const at = clock.now()
    const written = ownNames.flatMap((name): Written[] => {
      const appends = group.filter(({ publish }) => publish === (name === 'public'))
      if (appends.length === 0) return []
      const epoch = this.#epoch(name)
      const entries = appends.flatMap((append) => append.entries)
      const isShown = name === 'public' && !this.#isHeld
      const put = putOwn(rows, pen, { epoch, entries, at, isShown })
      return [{ ...put, appends, entries, first: epoch.row.size }]
    })
    for (const append of group) if (append.rows !== undefined) rows.add(append.rows)
    const shown = written.filter(({ epoch }) => epoch.name === 'public')
    const counted = await this.#counts.put(
      rows,
      at,
      shown.flatMap(({ arrivals }) => arrivals),
    )
    await store.commit(rows)
    counted.written()
    return written
  }

  #publish({ epoch, first, entries, batches }: Written): void {
    this.#parts.feeds.tell({ feed: epoch.feed, first, entries })
    if (!this.#isHeld) for (const batch of batches) this.#tell(batch)
  }

  async #confirm(told: (Head & { signed: Signed }) | undefined): Promise<void> {
    const epoch = this.#epoch('public')
    if (told !== undefined && !(await this.#isPast(epoch, told))) {
      const sizes = { here: epoch.row.size, there: told.size }
      this.#parts.logger.warn(
        'others know a newer log of this peer: its data is an old copy',
        sizes,
      )
      // Until all is moved, no head is shown.
      this.#isHeld = true
      this.#adopt(epoch)
      this.#adopt(await beginMove(this.#parts, epoch, told.signed))
      await this.#move()
    }
    if (this.#isHeld) await this.#show()
  }

  /** Whether the log that others know is the beginning of this one. */
  async #isPast(epoch: OwnEpoch, { size, root }: Head): Promise<boolean> {
    if (size <= shownSize(epoch)) return true
    if (size > epoch.row.size) return false
    return sameBytes(await this.#parts.feeds.rootAt(epoch.feed, size), root)
  }

  /** Nobody can know a head of the epoch that begins here: it is shown, whatever others know. */
  async #leaveCopy(): Promise<void> {
    this.#isHeld = true
    this.#adopt(await beginAfterCopy(this.#parts, this.#epoch('public')))
    await this.#move()
    await this.#show()
  }

  /** What a peer with another key kept to itself in this folder stays so. */
  async #hideOthers(): Promise<void> {
    const { feeds, publicKey } = this.#parts
    for await (const [{ author, name }, { epoch }] of feeds.tables.own.range({})) {
      if (name === 'public' || sameBytes(author, publicKey)) continue
      feeds.setOwn({ author, epoch }, 'private')
    }
  }

  async #move(): Promise<void> {
    for (let isMore = true; isMore; ) {
      const next = await moveOn(this.#parts, this.#epoch('public'))
      if (next !== undefined) this.#adopt(next)
      isMore = next !== undefined
    }
  }

  async #show(): Promise<void> {
    const { feeds } = this.#parts
    const epoch = this.#epoch('public')
    const { head } = epoch.row
    const own = { ...epoch.own, ...(head && { shown: head }) }
    if (head !== undefined) await feeds.tables.own.put(keyOf(epoch), own)
    this.#isHeld = false
    this.#adopt({ ...epoch, own })
    if (head !== undefined) this.#tell(headAlone(head))
  }

  async #prune(before: number): Promise<boolean> {
    const { feeds, store } = this.#parts
    const epoch = this.#epoch('public')
    const rows = store.batch()
    const end = Math.min(before, shownSize(epoch))
    const row = await putPruned(rows, feeds, { feed: epoch.feed, row: epoch.row, before: end })
    if (row.start === epoch.row.start) return false
    await store.commit(rows)
    this.#adopt({ ...epoch, row })
    return true
  }

  #adopt(epoch: OwnEpoch): void {
    this.#epochs.set(epoch.name, epoch)
    const { feeds } = this.#parts
    if (epoch.name === 'private') feeds.setOwn(epoch.feed, 'private')
    else feeds.setOwn(epoch.feed, this.#isHeld ? 'held' : 'shown')
  }

  #epoch(name: OwnName): OwnEpoch {
    const epoch = this.#epochs.get(name)
    if (epoch === undefined) throw new Error('the own log was not started')
    return epoch
  }

  #tell(batch: Batch): void {
    this.#parts.feeds.tellHead({ feed: this.feed, batch })
    for (const listener of this.#listeners) listener(batch)
  }
}

/** What one commit brought to one of the logs. */
interface Written {
  epoch: OwnEpoch
  first: number
  entries: readonly SealedEntry[]
  appends: readonly Append[]
  arrivals: readonly Arrival[]
  batches: readonly Batch[]
}

function resolveAll(appends: readonly Append[], feed: FeedId, first: number): void {
  let next = first
  for (const { entries, resolve } of appends) {
    resolve(entries.map((_, at) => ({ feed, index: next + at })))
    next += entries.length
  }
}
