import { type Cid, parseCid, rawCid, ryv1Cid } from '../wire/cid.ts'
import { decodeEntry, readBody, type SealedEntry } from '../wire/entry.ts'
import { type Execution, openReceiptOf } from '../wire/execution.ts'
import { sameBytes } from '../wire/octets.ts'
import { peerIdOf } from '../wire/peer-id.ts'
import {
  type OpenReceipt,
  openDigest,
  openPayload,
  openReceiptHolds,
  type Receipt,
  receiptDigest,
  receiptHolds,
  receiptPayload,
} from '../wire/receipt.ts'
import { type Routing, type RoutingPart, routingHolds } from '../wire/routing.ts'
import type { Verify } from '../wire/signed.ts'
import type { Place } from './feeds/feed-id.ts'
import type { FeedStore } from './feeds/feed-store.ts'
import type { ArrivalKey } from './feeds/keys.ts'
import type { HeldEntries } from './held.ts'
import type { Live, LiveReceipts } from './live.ts'
import type { EntryView, Receipts, ReceiptView } from './view.ts'

export interface LookupComponents {
  feeds: Pick<FeedStore, 'find' | 'entry' | 'prove' | 'recent' | 'onEntries'>
  live: Pick<LiveReceipts, 'get'>
  held: Pick<HeldEntries, 'entry' | 'find'>
  verify: Verify
}

export const lookupLimits = {
  /** Of one page. */
  recentMax: 256,
  /** Rows read at once on the way to a page; not every entry is a receipt. */
  rowsMax: 64,
}

/** An entry of a log that is here; without a place it came with an answer. */
interface Found {
  sealed: SealedEntry
  place?: Place
}

/** Finds what this peer has: in the logs, among what came with answers, and of jobs at work. */
export class ReceiptLookup implements Receipts {
  readonly #components: LookupComponents
  readonly #network: string

  constructor(components: LookupComponents, { network }: { network: string }) {
    this.#components = components
    this.#network = network
  }

  async find(text: string): Promise<ReceiptView | undefined> {
    const cid = parseCid(text)
    return cid.kind === 'entry' ? await this.#byEntry(cid) : await this.#byReceipt(cid.digest)
  }

  async recent({ limit, after }: { limit: number; after?: string }): Promise<ReceiptView[]> {
    const { feeds } = this.#components
    const max = Math.min(limit, lookupLimits.recentMax)
    const views = new Map<string, ReceiptView>()
    let before = after === undefined ? undefined : await this.#arrivalOf(after)
    if (after !== undefined && before === undefined) return []
    for (;;) {
      const page = { limit: lookupLimits.rowsMax, ...(before && { before }) }
      const keys = await feeds.recent(page)
      for (const key of keys) {
        const view = await this.#listed(key.place)
        if (view !== undefined && view.cid !== after) views.set(view.cid, view)
        if (views.size >= max) return [...views.values()]
      }
      before = keys.at(-1)
      if (before === undefined) return [...views.values()]
    }
  }

  onReceipt(listener: (view: ReceiptView) => void): () => void {
    return this.#components.feeds.onEntries(({ feed, first, entries }) => {
      for (const [at] of entries.entries()) {
        this.#listed({ feed, index: first + at }).then(
          (view) => view && listener(view),
          // An entry that cannot be read is none for a listener either.
          () => {},
        )
      }
    })
  }

  async #byReceipt(digest: Uint8Array): Promise<ReceiptView | undefined> {
    const { feeds, held, live } = this.#components
    const [place] = await feeds.find('receipt', digest)
    if (place !== undefined) return await this.#viewAt(place, digest)
    const [opened] = await feeds.find('open', digest)
    if (opened !== undefined) return await this.#viewAt(opened, digest)
    const sealed = await held.find(digest)
    if (sealed !== undefined) return await this.#view({ sealed }, digest)
    const now = live.get(digest)
    return now && this.#liveView(now)
  }

  async #byEntry({ digest }: Cid): Promise<ReceiptView | undefined> {
    const { feeds, held } = this.#components
    const [place] = await feeds.find('entry', digest)
    if (place !== undefined) return await this.#viewAt(place)
    const sealed = await held.entry(digest)
    return sealed && (await this.#view({ sealed }))
  }

  async #viewAt(place: Place, digest?: Uint8Array): Promise<ReceiptView | undefined> {
    const row = await this.#components.feeds.entry(place)
    return row && (await this.#view({ sealed: decodeEntry(row.bytes), place }, digest))
  }

  /** Of the receipt with this digest in an entry, or of the one that it is about. */
  async #view(found: Found, digest?: Uint8Array): Promise<ReceiptView | undefined> {
    const read = readBody(found.sealed.entry)
    if (read?.kind === 'execution') return await this.#executionView(found, read.body, digest)
    if (read?.kind === 'routing') return await this.#routingView(found, read.body, digest)
    return undefined
  }

  async #executionView(
    found: Found,
    body: Execution,
    digest: Uint8Array | undefined,
  ): Promise<ReceiptView> {
    const execution = await this.#entryView(found, body)
    const routing = await this.#routingOf(found.sealed.cid, body.coordinator)
    const more = { createdAt: found.sealed.entry.at, execution, ...(routing && { routing }) }
    const open = openReceiptOf(body)
    if (digest === undefined || !sameBytes(openDigest(open), digest)) {
      return { ...this.#receiptView(body.receipt, 'final'), ...more }
    }
    const finalCid = ryv1Cid(receiptDigest(body.receipt))
    return { ...this.#openView(open), ...more, finalCid }
  }

  async #routingView(
    found: Found,
    body: Routing,
    digest: Uint8Array | undefined,
  ): Promise<ReceiptView | undefined> {
    const { whole, parts } = body
    const receipts = [whole, ...parts.map(({ receipt }) => receipt)].filter((each) => each)
    const receipt = receipts.find(
      (each) => each && (digest === undefined || sameBytes(receiptDigest(each), digest)),
    )
    if (receipt === undefined) {
      const [part] = parts
      return part?.execution && (await this.#byEntry(part.execution))
    }
    const routing = await this.#routingEntry(found, body)
    const createdAt = found.sealed.entry.at
    return { ...this.#receiptView(receipt, 'final'), createdAt, ...(routing && { routing }) }
  }

  /** What its coordinator says of it. Anybody else may say of it what they like: it is not asked. */
  async #routingOf(
    execution: Cid,
    coordinator: Uint8Array,
  ): Promise<EntryView<Routing> | undefined> {
    const { feeds } = this.#components
    for (const place of await feeds.find('mention', execution.digest)) {
      const row = await feeds.entry(place)
      if (row === undefined) continue
      const sealed = decodeEntry(row.bytes)
      const read = readBody(sealed.entry)
      if (read?.kind !== 'routing' || !sameBytes(read.body.coordinator, coordinator)) continue
      const view = await this.#routingEntry({ sealed, place }, read.body)
      if (view !== undefined) return view
    }
    return undefined
  }

  /** Undefined for one that its coordinator did not sign. */
  async #routingEntry(found: Found, body: Routing): Promise<EntryView<Routing> | undefined> {
    const verifying = { network: this.#network, verify: this.#components.verify }
    if (!routingHolds(found.sealed.entry.body, verifying)) return undefined
    return await this.#entryView(found, body)
  }

  async #entryView<Body>({ sealed, place }: Found, body: Body): Promise<EntryView<Body>> {
    const { cid, bytes, entry } = sealed
    const proof = place && (await this.#components.feeds.prove(place))
    const where = place && { index: place.index }
    return { cid: cid.toString(), bytes, at: entry.at, body, ...where, ...(proof && { proof }) }
  }

  /** Each job once: by its execution, or by the routing entry where only that is here. */
  async #listed(place: Place): Promise<ReceiptView | undefined> {
    const { feeds } = this.#components
    const row = await feeds.entry(place)
    const sealed = row && decodeEntry(row.bytes)
    const read = sealed && readBody(sealed.entry)
    if (sealed === undefined || read === undefined || read.kind === 'revocation') return undefined
    if (read.kind === 'routing' && (await this.#isListed(read.body.parts))) return undefined
    return await this.#view({ sealed, place })
  }

  async #isListed(parts: readonly RoutingPart[]): Promise<boolean> {
    for (const { execution } of parts) {
      if (execution === undefined) continue
      const places = await this.#components.feeds.find('entry', execution.digest, { limit: 1 })
      if (places.length > 0) return true
    }
    return false
  }

  async #arrivalOf(text: string): Promise<ArrivalKey | undefined> {
    const { feeds, held } = this.#components
    const { kind, digest } = parseCid(text)
    let [place] = await feeds.find(kind === 'entry' ? 'entry' : 'receipt', digest)
    const sealed = place === undefined ? await held.find(digest) : undefined
    if (sealed !== undefined) [place] = await feeds.find('mention', sealed.cid.digest)
    const row = place && (await feeds.entry(place))
    return row && place && { arrived: row.arrived, place }
  }

  #liveView({ at, open, receipt, finalCid }: Live): ReceiptView | undefined {
    const signed = open ? this.#openView(open) : receipt && this.#receiptView(receipt, 'segment')
    return signed && { ...signed, createdAt: at, ...(finalCid && { finalCid }) }
  }

  #receiptView(receipt: Receipt, status: ReceiptView['status']) {
    const digest = receiptDigest(receipt)
    return {
      status,
      ...namesOf(digest, receipt),
      payload: receiptPayload(receipt),
      verified: receiptHolds(receipt, this.#components.verify),
      receipt,
    }
  }

  #openView(open: OpenReceipt) {
    return {
      status: 'open' as const,
      ...namesOf(openDigest(open), open),
      payload: openPayload(open),
      verified: openReceiptHolds(open, this.#components.verify),
      open,
    }
  }
}

const namesOf = (
  digest: Uint8Array,
  { nodePk, signature }: Pick<Receipt, 'nodePk' | 'signature'>,
) => ({
  cid: ryv1Cid(digest),
  multiformatsCid: rawCid(digest),
  nodeId: peerIdOf(nodePk),
  signature,
})
