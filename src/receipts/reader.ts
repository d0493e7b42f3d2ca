import { type Cid, rawCid, ryv1Cid } from '../wire/cid.ts'
import { decodeEntry, type SealedEntry, tryToReadBody } from '../wire/entry.ts'
import { type Execution, openReceiptOf, segmentReceiptsOf } from '../wire/execution.ts'
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
import { type Routing, routingHolds } from '../wire/routing.ts'
import { routedStatus } from '../wire/shown-receipt.ts'
import type { Verifying } from '../wire/signed.ts'
import type { OpenFound } from '../wire/sync.ts'
import type { Place } from './feeds/feed-id.ts'
import type { FeedStore } from './feeds/feed-store.ts'
import type { Find } from './feeds/keys.ts'
import type { HeldEntries } from './held.ts'
import type { Live, LiveReceipts } from './live.ts'
import type { EntryView, ReceiptView } from './view.ts'

export interface ReaderComponents {
  feeds: Pick<FeedStore, 'find' | 'entry' | 'prove'>
  live: Pick<LiveReceipts, 'get'>
  held: Pick<HeldEntries, 'entry' | 'find'>
  verifying: Verifying
}

/** An entry of a log. */
export interface Found {
  sealed: SealedEntry
  /** Where it stands; of one that came with an answer, nobody here knows. */
  place?: Place
  /** Of one that is not here: what another peer proved of it. */
  elsewhere?: OpenFound
}

/** Puts together what is here of a receipt. */
export class ReceiptReader {
  readonly #components: ReaderComponents
  readonly #withPrivate: boolean

  /** `withPrivate`: also what this peer shows to nobody but who had it done. */
  constructor(components: ReaderComponents, { withPrivate }: { withPrivate: boolean }) {
    this.#components = components
    this.#withPrivate = withPrivate
  }

  async byCid(cid: Cid): Promise<ReceiptView | undefined> {
    return cid.kind === 'entry' ? await this.#byEntry(cid) : await this.#byReceipt(cid.digest)
  }

  /** Of the receipt that an entry is about. */
  async at(place: Place): Promise<ReceiptView | undefined> {
    const found = await this.#foundAt(place)
    return found && (await this.#view(found))
  }

  /** The same of an entry that another peer has, or of the receipt with this CID in it. */
  async elsewhere(found: OpenFound, { kind, digest }: Cid): Promise<ReceiptView | undefined> {
    const asked = kind === 'receipt' ? digest : undefined
    return await this.#view({ sealed: found, elsewhere: found }, asked)
  }

  /** An open receipt that another peer has. */
  openElsewhere(open: OpenReceipt, at: number): ReceiptView {
    return { ...this.#openView(open), createdAt: at }
  }

  /** The work that a routing entry is about which has no receipt in it: it has an entry of its own. */
  workOf({ sealed }: Pick<Found, 'sealed'>): Cid | undefined {
    const read = tryToReadBody(sealed.entry)
    if (read?.kind !== 'routing' || receiptsOf(read.body).length > 0) return undefined
    return read.body.parts[0]?.execution
  }

  /** That work, as another peer showed it, with what this entry says of it. */
  async withRouting(work: ReceiptView, found: Found): Promise<ReceiptView> {
    const read = tryToReadBody(found.sealed.entry)
    if (read?.kind !== 'routing') return work
    const routing = await this.#routingEntry(found, read.body)
    return { ...work, ...(await this.#told(routing, read.body.parts[0]?.execution)) }
  }

  find(find: Find, digest: Uint8Array, limit?: number): Promise<Place[]> {
    const withPrivate = this.#withPrivate
    return this.#components.feeds.find(find, digest, { withPrivate, ...(limit && { limit }) })
  }

  async #byReceipt(digest: Uint8Array): Promise<ReceiptView | undefined> {
    const found = await this.#entryWith(digest)
    if (found !== undefined) return await this.#view(found, digest)
    const now = this.#components.live.get(digest)
    if (now === undefined || !(now.isPublic || this.#withPrivate)) return undefined
    // A segment is found by what it is a segment of.
    const whole = now.finalDigest && (await this.#entryWith(now.finalDigest))
    const view = whole && (await this.#view(whole, digest))
    return view?.cid === ryv1Cid(digest) ? view : this.#liveView(now)
  }

  async #byEntry(cid: Cid): Promise<ReceiptView | undefined> {
    const found = await this.entry(cid)
    return found && (await this.#view(found))
  }

  /** What is here, whether or not it leads to a receipt. */
  async entry({ digest }: Cid): Promise<Found | undefined> {
    const [place] = await this.find('entry', digest, 1)
    if (place !== undefined) return await this.#foundAt(place)
    const sealed = await this.#components.held.entry(digest)
    return sealed && (await this.#isShown(sealed)) ? { sealed } : undefined
  }

  /** The entry with this receipt, or open receipt, in it. */
  async #entryWith(digest: Uint8Array): Promise<Found | undefined> {
    const [place] = await this.find('receipt', digest, 1)
    if (place !== undefined) return await this.#foundAt(place)
    const [opened] = await this.find('open', digest, 1)
    if (opened !== undefined) return await this.#foundAt(opened)
    const sealed = await this.#components.held.find(digest)
    return sealed && (await this.#isShown(sealed)) ? { sealed } : undefined
  }

  async #foundAt(place: Place): Promise<Found | undefined> {
    const row = await this.#components.feeds.entry(place)
    return row && { sealed: decodeEntry(row.bytes), place }
  }

  /** What came with an answer is as public as what this peer, which had it done, says of it. */
  async #isShown({ cid, entry }: SealedEntry): Promise<boolean> {
    const read = tryToReadBody(entry)
    if (read?.kind !== 'execution') return false
    return (await this.#saidBy(read.body.coordinator, cid)).length > 0
  }

  /** Entries about this one in the log of that peer. */
  #saidBy(author: Uint8Array, { digest }: Cid): Promise<Place[]> {
    const withPrivate = this.#withPrivate
    return this.#components.feeds.find('mention', digest, { withPrivate, author })
  }

  /** Of the receipt with this digest in an entry, or of the one that it is about. */
  async #view(found: Found, digest?: Uint8Array): Promise<ReceiptView | undefined> {
    const read = tryToReadBody(found.sealed.entry)
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
    const more = {
      ...{ createdAt: found.sealed.entry.at, execution },
      ...(await this.#told(routing, found.sealed.cid)),
    }
    const finalCid = ryv1Cid(receiptDigest(body.receipt))
    const open = openReceiptOf(body)
    const isAsked = (each: Uint8Array) => digest !== undefined && sameBytes(each, digest)
    if (isAsked(openDigest(open))) return { ...this.#openView(open), ...more, finalCid }
    const segment = segmentReceiptsOf(body).find((each) => isAsked(receiptDigest(each)))
    if (segment !== undefined)
      return { ...this.#receiptView(segment, 'segment'), ...more, finalCid }
    return { ...this.#receiptView(body.receipt, 'final'), ...more }
  }

  async #routingView(
    found: Found,
    body: Routing,
    digest: Uint8Array | undefined,
  ): Promise<ReceiptView | undefined> {
    const { whole, parts } = body
    const receipt = receiptsOf(body).find(
      (each) => digest === undefined || sameBytes(receiptDigest(each), digest),
    )
    const routing = await this.#routingEntry(found, body)
    if (receipt === undefined) {
      const [part] = parts
      const done = part?.execution && (await this.#execution(part.execution))
      const view = done && (await this.#executionView(done.found, done.body, undefined))
      return view && { ...view, ...(await this.#told(routing, part.execution)) }
    }
    const more = await this.#told(routing)
    const createdAt = found.sealed.entry.at
    const status = routedStatus(receipt, body)
    const view = { ...this.#receiptView(receipt, status), createdAt }
    const finalCid = status === 'segment' && whole && ryv1Cid(receiptDigest(whole))
    return { ...view, ...(finalCid && { finalCid }), ...more }
  }

  /** What is said of an answer besides the entry that it was found by. */
  async #told(
    routing: EntryView<Routing> | undefined,
    known?: Cid,
  ): Promise<Pick<ReceiptView, 'routing' | 'parts'>> {
    if (routing === undefined) return {}
    const others = routing.body.parts.flatMap(({ execution }) =>
      execution === undefined || (known && sameBytes(execution.digest, known.digest))
        ? []
        : [this.#executionEntry(execution)],
    )
    const parts = (await Promise.all(others)).filter((part) => part !== undefined)
    return { routing, ...(parts.length > 0 && { parts }) }
  }

  async #executionEntry(cid: Cid): Promise<EntryView<Execution> | undefined> {
    const done = await this.#execution(cid)
    return done && (await this.#entryView(done.found, done.body))
  }

  /** Of no other kind: a routing that names another could lead from one to the next without end. */
  async #execution(cid: Cid): Promise<{ found: Found; body: Execution } | undefined> {
    const found = await this.entry(cid)
    const read = found && tryToReadBody(found.sealed.entry)
    return found && read?.kind === 'execution' ? { found, body: read.body } : undefined
  }

  /** What its coordinator says of it. Anybody else may say of it what they like, as often: it is not asked. */
  async #routingOf(
    execution: Cid,
    coordinator: Uint8Array,
  ): Promise<EntryView<Routing> | undefined> {
    for (const place of await this.#saidBy(coordinator, execution)) {
      const found = await this.#foundAt(place)
      const read = found && tryToReadBody(found.sealed.entry)
      if (read?.kind !== 'routing' || !sameBytes(read.body.coordinator, coordinator)) continue
      const view = found && (await this.#routingEntry(found, read.body))
      if (view !== undefined) return view
    }
    return undefined
  }

  /** Undefined for one that its coordinator did not sign. */
  async #routingEntry(found: Found, body: Routing): Promise<EntryView<Routing> | undefined> {
    if (!routingHolds(found.sealed.entry.body, this.#components.verifying)) return undefined
    return await this.#entryView(found, body)
  }

  async #entryView<Body>(found: Found, body: Body): Promise<EntryView<Body>> {
    const { sealed, place, elsewhere } = found
    const { cid, bytes, entry } = sealed
    const view = { cid: cid.toString(), bytes, at: entry.at, body }
    if (elsewhere !== undefined) {
      const { index, signed: head, path } = elsewhere
      return { ...view, index, proof: { head, path } }
    }
    if (place === undefined) return view
    const proof = await this.#components.feeds.prove(place)
    return { ...view, index: place.index, ...(proof && { proof }) }
  }

  #liveView({ at, open, receipt, finalDigest }: Live): ReceiptView | undefined {
    const signed = open ? this.#openView(open) : receipt && this.#receiptView(receipt, 'segment')
    const final = finalDigest && { finalCid: ryv1Cid(finalDigest) }
    return signed && { ...signed, createdAt: at, ...final }
  }

  #receiptView(receipt: Receipt, status: ReceiptView['status']) {
    const digest = receiptDigest(receipt)
    return {
      status,
      ...namesOf(digest, receipt),
      payload: receiptPayload(receipt),
      verified: receiptHolds(receipt, this.#components.verifying.verify),
      receipt,
    }
  }

  #openView(open: OpenReceipt) {
    return {
      status: 'open' as const,
      ...namesOf(openDigest(open), open),
      payload: openPayload(open),
      verified: openReceiptHolds(open, this.#components.verifying.verify),
      open,
    }
  }
}

/** Those that are in it, of the whole answer first. */
const receiptsOf = ({ whole, parts }: Routing): Receipt[] =>
  [whole, ...parts.map(({ receipt }) => receipt)].filter((each) => each !== undefined)

const namesOf = (
  digest: Uint8Array,
  { nodePk, signature }: Pick<Receipt, 'nodePk' | 'signature'>,
) => ({
  cid: ryv1Cid(digest),
  multiformatsCid: rawCid(digest),
  nodeId: peerIdOf(nodePk),
  signature,
})
