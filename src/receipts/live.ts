import { bytesToHex } from '@noble/hashes/utils.js'
import type { Clock } from '../base/clock.ts'
import { LruMap } from '../base/lru-map.ts'
import { ryv1Cid } from '../wire/cid.ts'
import { type OpenReceipt, openDigest, type Receipt, receiptDigest } from '../wire/receipt.ts'

export const defaultLive = {
  /** Of jobs at work, several times as many as can be; about 1 KB each. */
  opensMax: 8_192,
  segmentsMax: 32_768,
}

/** What is signed while a job is at work: in no log, and gone some time after its end. */
export interface Live {
  at: number
  open?: OpenReceipt
  receipt?: Receipt
  /** Others than the two parties may see it. */
  isPublic?: boolean
  /** Once it is known. */
  finalCid?: string
}

/** Open receipts and segments, by their digests. The oldest make room. */
export class LiveReceipts {
  readonly #clock: Clock
  readonly #opens: LruMap<string, Live>
  readonly #segments: LruMap<string, Live>
  /** Final CIDs by job and node. */
  readonly #finals: LruMap<string, string>

  constructor({ clock }: { clock: Clock }, options: Partial<typeof defaultLive> = {}) {
    const { opensMax, segmentsMax } = { ...defaultLive, ...options }
    this.#clock = clock
    this.#opens = new LruMap(opensMax)
    this.#segments = new LruMap(segmentsMax)
    this.#finals = new LruMap(opensMax)
  }

  opened(open: OpenReceipt, { isPublic = false } = {}): void {
    this.#opens.set(bytesToHex(openDigest(open)), { at: this.#clock.now(), open, isPublic })
  }

  /** A segment's job id is that of its job, `#`, and where it ends. */
  segment(receipt: Receipt): void {
    this.#segments.set(bytesToHex(receiptDigest(receipt)), { at: this.#clock.now(), receipt })
  }

  /** `of`: where another than its node says how the job ended. */
  finished(receipt: Receipt, of: Pick<Receipt, 'jobId' | 'nodePk'> = receipt): void {
    this.#finals.set(nameOf(of), ryv1Cid(receiptDigest(receipt)))
  }

  get(digest: Uint8Array): Live | undefined {
    const name = bytesToHex(digest)
    const live = this.#opens.get(name) ?? this.#segments.get(name)
    const signed = live?.open ?? live?.receipt
    if (live === undefined || signed === undefined) return undefined
    const finalCid = this.#finals.get(nameOf(signed))
    return finalCid === undefined ? live : { ...live, finalCid }
  }
}

const nameOf = ({ jobId, nodePk }: Pick<Receipt, 'jobId' | 'nodePk'>): string =>
  `${jobId.replace(/#\d+$/, '')} ${bytesToHex(nodePk)}`
