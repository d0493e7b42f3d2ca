import type { Execution } from '../wire/execution.ts'
import type { OpenReceipt, Receipt } from '../wire/receipt.ts'
import type { Routing } from '../wire/routing.ts'
import type { Proof } from './feeds/feed-store.ts'

/** An entry of a log, and what it says. */
export interface EntryView<Body> {
  /** `bafyrei…`. */
  cid: string
  bytes: Uint8Array
  /** Milliseconds since 1970, by its author's clock. */
  at: number
  body: Body
  /** Where it stands, as far as that may be shown. */
  index?: number
  proof?: Proof
}

/** All that this peer knows of one receipt. */
export interface ReceiptView {
  /** `open`: only that the job was taken on. `segment`: the beginning of an answer. */
  status: 'open' | 'segment' | 'final'
  /** `ryv1:sha256:…`, and the same digest as `bafkrei…`. */
  cid: string
  multiformatsCid: string
  /** The peer that signed it. */
  nodeId: string
  /** The text that is hashed and signed. */
  payload: string
  signature: Uint8Array
  /** Whether the signature holds; looked at each time. */
  verified: boolean
  /** Milliseconds since 1970. */
  createdAt: number
  /** What was signed: one of these. */
  receipt?: Receipt
  open?: OpenReceipt
  /** Of an open receipt and of a segment, once it is known. */
  finalCid?: string
  /** What the node says of the work. */
  execution?: EntryView<Execution>
  /** What the coordinator says of it. */
  routing?: EntryView<Routing>
  /** What the others say that worked on the same answer, as far as it is here. */
  parts?: EntryView<Execution>[]
}

/** Some of a list. */
export interface ReceiptPage {
  views: ReceiptView[]
  /** Where the looking for more was given up, for `after`: what came last was hardly ever a receipt. */
  stoppedAt?: string
}

/** What can be asked of receipts. */
export interface Receipts {
  /**
   * By any CID, of a receipt in both spellings or of an entry, public ones alone. Throws
   * `invalid_cid`. Whoever asks other peers for it ends that with the signal.
   */
  find(cid: string, options?: { signal?: AbortSignal }): Promise<ReceiptView | undefined>
  /** The newest public ones first; `after`: the CID of the last one of the page before, or where it stopped. */
  recent(options: { limit: number; after?: string }): Promise<ReceiptPage>
  /** Hears of each public one that comes; returns how to end that. */
  onReceipt(listener: (view: ReceiptView) => void): () => void
}

/** What an account may see of its own requests, whether that was published or not. */
export interface AccountReceipts {
  /** Undefined for a request of another account, too. */
  ofRequest(requestId: string, account: string): Promise<ReceiptView | undefined>
  /** By any CID. Throws `invalid_cid`. */
  ofAccount(cid: string, account: string): Promise<ReceiptView | undefined>
}
