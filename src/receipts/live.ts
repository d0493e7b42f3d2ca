import type { Clock } from '../base/clock.ts'
import { hexName } from '../base/hex.ts'
import { LruMap } from '../base/lru-map.ts'
import { type OpenReceipt, openDigest, type Receipt, receiptDigest } from '../wire/receipt.ts'

export const defaultLive = {
  /** Of jobs at work, several times as many as can be; about 1 KB each, as each segment is. */
  opensMax: 8_192,
  segmentsMax: 8_192,
}

/** What is signed while a job is at work: in no log, and gone some time after its end. */
export interface Live {
  at: number
  open?: OpenReceipt
  receipt?: Receipt
  /** Others than the two parties may see it. */
  isPublic: boolean
  /** Once it is known. */
  finalDigest?: Uint8Array
}

/** What is known of a job at one node, for all that was signed of it. */
type About = Partial<Pick<Live, 'isPublic' | 'finalDigest'>>

type Signed = Pick<Live, 'at' | 'open' | 'receipt'>

/** Open receipts and segments, by their digests. The oldest make room. */
export class LiveReceipts {
  readonly #clock: Clock
  readonly #opens: LruMap<string, Signed>
  readonly #segments: LruMap<string, Signed>
  readonly #jobs: LruMap<string, About>

  constructor({ clock }: { clock: Clock }, options: Partial<typeof defaultLive> = {}) {
    const { opensMax, segmentsMax } = { ...defaultLive, ...options }
    this.#clock = clock
    this.#opens = new LruMap(opensMax)
    this.#segments = new LruMap(segmentsMax)
    this.#jobs = new LruMap(opensMax)
  }

  opened(open: OpenReceipt, { isPublic = false } = {}): void {
    this.#opens.set(hexName(openDigest(open)), { at: this.#clock.now(), open })
    this.#know(open, { isPublic })
  }

  /** A segment's job id is that of its job, `#`, and where it ends. */
  segment(receipt: Receipt): void {
    this.#segments.set(hexName(receiptDigest(receipt)), { at: this.#clock.now(), receipt })
  }

  /** `of`: where another than its node says how the job ended. */
  finished(receipt: Receipt, of: Pick<Receipt, 'jobId' | 'nodePk'> = receipt): void {
    this.#know(of, { finalDigest: receiptDigest(receipt) })
  }

  get(digest: Uint8Array): Live | undefined {
    const name = hexName(digest)
    const live = this.#opens.get(name) ?? this.#segments.get(name)
    const signed = live?.open ?? live?.receipt
    if (live === undefined || signed === undefined) return undefined
    return { ...live, isPublic: false, ...this.#jobs.get(nameOf(signed)) }
  }

  #know(of: Pick<Receipt, 'jobId' | 'nodePk'>, about: About): void {
    const name = nameOf(of)
    this.#jobs.set(name, { ...this.#jobs.get(name), ...about })
  }
}

const nameOf = ({ jobId, nodePk }: Pick<Receipt, 'jobId' | 'nodePk'>): string =>
  `${jobId.replace(/#\d+$/, '')} ${hexName(nodePk)}`
