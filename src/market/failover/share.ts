import type { Usage } from '../../wire/chunk.ts'
import type { SealedEntry } from '../../wire/entry.ts'
import type { Price } from '../../wire/job.ts'
import type { Receipt } from '../../wire/receipt.ts'
import type { Bounds } from '../quote.ts'

/** What one node did of an answer. */
export interface Share {
  /** `<job id>.<attempt>` */
  jobId: string
  nodePk: Uint8Array
  /** Its peer id. Undefined for this machine, which owes itself nothing. */
  payee: string | undefined
  /** The country that it says it is in. */
  region: string | undefined
  /** Others than the two parties may hear of it. */
  isPublic: boolean
  usage: Usage
  /** What holds of what it signed; undefined for one that was lost before it signed anything. */
  receipt: Receipt | undefined
  /** Its entry, where it came to one. */
  execution: SealedEntry | undefined
  /** Tokens behind the last that it signed. */
  unsignedTail: number
  /** What it asks, per 1,000 tokens. */
  price: Price
  /** Tokens that are paid for. */
  paid: Bounds
}
