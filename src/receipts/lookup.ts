import { type Cid, parseCid } from '../wire/cid.ts'
import { decodeEntry, tryToReadBody } from '../wire/entry.ts'
import type { RoutingPart } from '../wire/routing.ts'
import type { Verify } from '../wire/signed.ts'
import type { Place } from './feeds/feed-id.ts'
import type { FeedStore, NewEntries } from './feeds/feed-store.ts'
import type { ArrivalKey } from './feeds/keys.ts'
import type { EntryRow } from './feeds/rows.ts'
import type { HeldEntries } from './held.ts'
import type { LiveReceipts } from './live.ts'
import { placeText, readPlace } from './place-text.ts'
import { ReceiptReader } from './reader.ts'
import { type RequestIndex, requestHash } from './requests.ts'
import type { AccountReceipts, ReceiptPage, Receipts, ReceiptView } from './view.ts'

export interface LookupComponents {
  feeds: Pick<
    FeedStore,
    'find' | 'entry' | 'entriesAt' | 'prove' | 'recent' | 'onEntries' | 'isPrivate'
  >
  live: Pick<LiveReceipts, 'get'>
  held: Pick<HeldEntries, 'entry' | 'find'>
  requests: Pick<RequestIndex, 'find'>
  verify: Verify
}

export const lookupLimits = {
  /** Of one page. */
  recentMax: 256,
  /** Rows read at once on the way to a page; not every entry is a receipt. */
  rowsMax: 64,
  /**
   * Entries, and works that they name, which are looked up for one page: anybody's log may hold what
   * is nothing to list, as much as it likes.
   */
  scannedMax: 1024,
  /** New entries that are looked up for listeners: at once, and those that wait for it. */
  newsAtOnce: 8,
  newsMax: 1024,
}

/** What may still be looked up. */
interface Scan {
  left: number
}

/** Finds what this peer has: in the logs, among what came with answers, and of jobs at work. */
export class ReceiptLookup implements Receipts, AccountReceipts {
  readonly #components: LookupComponents
  /** What anybody may see. */
  readonly shown: ReceiptReader
  readonly #all: ReceiptReader
  readonly #listeners = new Set<(view: ReceiptView) => void>()
  #endListening: (() => void) | undefined
  /** What came new, and may be something to tell. */
  #news: Place[] = []
  #telling = 0

  constructor(components: LookupComponents, { network }: { network: string }) {
    const { verify, ...rest } = components
    const parts = { ...rest, verifying: { network, verify } }
    this.#components = components
    this.shown = new ReceiptReader(parts, { withPrivate: false })
    this.#all = new ReceiptReader(parts, { withPrivate: true })
  }

  async find(text: string): Promise<ReceiptView | undefined> {
    return await this.shown.byCid(parseCid(text))
  }

  async ofRequest(requestId: string, account: string): Promise<ReceiptView | undefined> {
    const requested = await this.#components.requests.find(requestHash(requestId))
    return requested?.account === account ? await this.#all.byCid(requested.cid) : undefined
  }

  async ofAccount(text: string, account: string): Promise<ReceiptView | undefined> {
    const view = await this.#all.byCid(parseCid(text))
    const request = view?.routing?.body.request
    const requested = request && (await this.#components.requests.find(request))
    return requested?.account === account ? view : undefined
  }

  async recent({ limit, after }: { limit: number; after?: string }): Promise<ReceiptPage> {
    const { feeds } = this.#components
    const max = Math.min(limit, lookupLimits.recentMax)
    const views = new Map<string, ReceiptView>()
    let before = after === undefined ? undefined : await this.#arrivalOf(after)
    if (after !== undefined && before === undefined) return { views: [] }
    const scan: Scan = { left: lookupLimits.scannedMax }
    while (scan.left > 0) {
      const page = { limit: lookupLimits.rowsMax, ...(before && { before }) }
      const keys = await feeds.recent(page)
      const rows = await feeds.entriesAt(keys.map(({ place }) => place))
      for (const [at, { place }] of keys.entries()) {
        const view = await this.#listed(place, rows[at], scan)
        if (view !== undefined && view.cid !== after) views.set(view.cid, view)
        if (views.size >= max) return { views: [...views.values()] }
      }
      before = keys.at(-1)
      if (before === undefined) return { views: [...views.values()] }
    }
    return { views: [...views.values()], ...(before && { stoppedAt: placeText(before.place) }) }
  }

  onReceipt(listener: (view: ReceiptView) => void): () => void {
    this.#listeners.add(listener)
    this.#endListening ??= this.#components.feeds.onEntries((arrived) => this.#hear(arrived))
    return () => {
      this.#listeners.delete(listener)
      if (this.#listeners.size > 0) return
      this.#endListening?.()
      this.#endListening = undefined
      this.#news = []
    }
  }

  /** Each is looked up once, however many listen. Of more than that, the list tells. */
  #hear({ feed, first, entries }: NewEntries): void {
    const room = lookupLimits.newsMax - this.#news.length
    const places = entries.slice(0, room).map((_, at) => ({ feed, index: first + at }))
    this.#news.push(...places)
    while (this.#telling < lookupLimits.newsAtOnce && this.#news.length > 0) void this.#tellNews()
  }

  async #tellNews(): Promise<void> {
    this.#telling += 1
    for (let place = this.#news.shift(); place !== undefined; place = this.#news.shift()) {
      // An entry that cannot be read is none for a listener either.
      const view = await this.#read(place).catch(() => undefined)
      if (view !== undefined) for (const listener of this.#listeners) tell(listener, view)
    }
    this.#telling -= 1
  }

  async #read(place: Place): Promise<ReceiptView | undefined> {
    return this.#listed(place, await this.#components.feeds.entry(place), { left: 0 })
  }

  /** Each job once: by its execution, or by the routing entry where only that is here. */
  async #listed(
    place: Place,
    row: EntryRow | undefined,
    scan: Scan,
  ): Promise<ReceiptView | undefined> {
    scan.left -= 1
    const sealed = row && decodeEntry(row.bytes)
    const read = sealed && tryToReadBody(sealed.entry)
    if (sealed === undefined || read === undefined || read.kind === 'revocation') return undefined
    if (read.kind === 'routing' && (await this.#isListed(read.body.parts, scan))) return undefined
    return await this.shown.at(place)
  }

  async #isListed(parts: readonly RoutingPart[], scan: Scan): Promise<boolean> {
    for (const { execution } of parts) {
      if (execution === undefined) continue
      scan.left -= 1
      const places = await this.shown.find('entry', execution.digest, 1)
      if (places.length > 0) return true
    }
    return false
  }

  async #arrivalOf(text: string): Promise<ArrivalKey | undefined> {
    const { feeds } = this.#components
    const place = readPlace(text) ?? (await this.#placeOf(parseCid(text)))
    if (place === undefined || feeds.isPrivate(place.feed)) return undefined
    const row = await feeds.entry(place)
    return row && { arrived: row.arrived, place }
  }

  async #placeOf({ kind, digest }: Cid): Promise<Place | undefined> {
    const { feeds, held } = this.#components
    const isEntry = kind === 'entry'
    const [place] = await feeds.find(isEntry ? 'entry' : 'receipt', digest, { limit: 1 })
    if (place !== undefined) return place
    const sealed = await (isEntry ? held.entry(digest) : held.find(digest))
    return sealed && (await feeds.find('mention', sealed.cid.digest, { limit: 1 }))[0]
  }
}

function tell(listener: (view: ReceiptView) => void, view: ReceiptView): void {
  try {
    listener(view)
  } catch {
    // Trouble of one is no matter of the others.
  }
}
