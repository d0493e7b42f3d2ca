import type { Clock } from '../base/clock.ts'
import type { Batch } from '../storage/batch.ts'
import { bytesKey, bytesValue, integerKey, type ValueCodec } from '../storage/codec.ts'
import type { Store } from '../storage/store.ts'
import type { Table } from '../storage/table.ts'
import { decodeEntry, type SealedEntry, tryToReadBody } from '../wire/entry.ts'
import { openReceiptOf, segmentReceiptsOf } from '../wire/execution.ts'
import { joinBytes } from '../wire/octets.ts'
import { openDigest, receiptDigest } from '../wire/receipt.ts'

export const defaultHeld = {
  /** Some 1.5 KB each, and 32 KiB at most: about 200 MB. */
  entriesMax: 131_072,
  /** Who did the work keeps it in its log; what this peer says of it stays in the own one. */
  ageMsMax: 90 * 24 * 3_600_000,
}

/** For each that comes, so many of the oldest may go: so it gets less where it is too much. */
const PRUNED_AT_ONCE = 2

export interface HeldComponents {
  store: Store
  clock: Clock
}

/** When an entry came, and which one. */
interface Came {
  /** Milliseconds since 1970. */
  at: number
  digest: Uint8Array
}

/** Of the entries that are here: the number of the first, and of the next. */
interface Span {
  first: number
  next: number
  /** When the first came; undefined where that is to be read. */
  firstAt: number | undefined
}

/**
 * Entries of other peers' logs that came to this one with their answers. Where they stand in those
 * logs is not known here; they are what the own routing entries are about. The oldest make room.
 */
export class HeldEntries {
  readonly #clock: Clock
  readonly #options: typeof defaultHeld
  readonly #entries: Table<Uint8Array, Uint8Array>
  /** Digests of receipts in them, and the digest of the entry that they are in. */
  readonly #finds: Table<Uint8Array, Uint8Array>
  /** Numbered as they came. */
  readonly #arrivals: Table<number, Came>
  #span: Promise<Span> | undefined
  #listener: (from: string) => void = () => {}

  constructor({ store, clock }: HeldComponents, options: Partial<typeof defaultHeld> = {}) {
    this.#clock = clock
    this.#options = { ...defaultHeld, ...options }
    this.#entries = store.table('held-entries', { key: bytesKey, value: bytesValue })
    this.#finds = store.table('held-finds', { key: bytesKey, value: bytesValue })
    this.#arrivals = store.table('held-arrivals', { key: integerKey, value: cameRow })
  }

  /** Hears which peers' entries come; who listened before does not any more. */
  onPut(listener: (from: string) => void): void {
    this.#listener = listener
  }

  /** Of an execution that was found to be good; `from`: the peer in whose log it is. */
  async put(rows: Batch, sealed: SealedEntry, from: string): Promise<void> {
    const { digest } = sealed.cid
    const at = Math.floor(this.#clock.now())
    this.#span ??= this.#load()
    const span = await this.#span.catch((error: unknown) => {
      this.#span = undefined
      throw error
    })
    rows.put(this.#arrivals, span.next++, { at, digest })
    for (let n = 0; n < PRUNED_AT_ONCE; n++) await this.#makeRoom(rows, span, at)
    rows.put(this.#entries, digest, sealed.bytes)
    for (const receipt of findsOf(sealed)) rows.put(this.#finds, receipt, digest)
    this.#listener(from)
  }

  async entry(digest: Uint8Array): Promise<SealedEntry | undefined> {
    const bytes = await this.#entries.get(digest)
    return bytes && decodeEntry(bytes)
  }

  /** The entry that this receipt is in. */
  async find(receiptDigest: Uint8Array): Promise<SealedEntry | undefined> {
    const digest = await this.#finds.get(receiptDigest)
    return digest && this.entry(digest)
  }

  async #load(): Promise<Span> {
    let first: number | undefined
    let last: number | undefined
    for await (const [number] of this.#arrivals.range({ limit: 1 })) first = number
    for await (const [number] of this.#arrivals.range({ limit: 1, reverse: true })) last = number
    const next = last === undefined ? 0 : last + 1
    return { first: first ?? next, next, firstAt: undefined }
  }

  /** Takes the oldest, if it must go. */
  async #makeRoom(rows: Batch, span: Span, now: number): Promise<void> {
    const { entriesMax, ageMsMax } = this.#options
    const { first, next, firstAt } = span
    const isFull = next - first > entriesMax
    if (!isFull && firstAt !== undefined && firstAt >= now - ageMsMax) return
    const arrival = await this.#arrivals.get(first)
    // Another entry came meanwhile, which has seen to it.
    if (span.first !== first) return
    span.firstAt = arrival?.at ?? now
    if (!isFull && span.firstAt >= now - ageMsMax) return
    span.first = first + 1
    span.firstAt = undefined
    // One whose commit failed was never here.
    if (arrival !== undefined) await this.#drop(rows, first, arrival)
  }

  async #drop(rows: Batch, number: number, { digest }: Came): Promise<void> {
    rows.del(this.#arrivals, number)
    const sealed = await this.entry(digest)
    if (sealed === undefined) return
    rows.del(this.#entries, digest)
    for (const receipt of findsOf(sealed)) rows.del(this.#finds, receipt)
  }
}

/** Digests of what is signed in it: the receipt, the open one, and its segments. */
function findsOf({ entry }: SealedEntry): Uint8Array[] {
  const read = tryToReadBody(entry)
  if (read?.kind !== 'execution') return []
  const receipts = [read.body.receipt, ...segmentReceiptsOf(read.body)]
  return [openDigest(openReceiptOf(read.body)), ...receipts.map(receiptDigest)]
}

const INTEGER_BYTES = 8

const cameRow: ValueCodec<Came> = {
  encode: ({ at, digest }) => joinBytes(integerKey.encode(at), digest),
  decode: (bytes) => ({
    at: integerKey.decode(bytes.subarray(0, INTEGER_BYTES)),
    digest: bytes.slice(INTEGER_BYTES),
  }),
}
