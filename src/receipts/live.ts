import type { Clock } from '../base/clock.ts'
import { hexName } from '../base/hex.ts'
import { LruMap } from '../base/lru-map.ts'
import { type OpenReceipt, openDigest, type Receipt, receiptDigest } from '../wire/receipt.ts'
import type { Opening } from './opening.ts'

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

type Named = Pick<Opening, 'digest' | 'fields' | 'signed'>

/** Open receipts and segments, by their digests. The oldest make room. */
export class LiveReceipts {
  readonly #clock: Clock
  readonly #opens: LruMap<string, { at: number; opening: Named }>
  readonly #segments: LruMap<string, { at: number; receipt: Receipt }>
  readonly #jobs: LruMap<string, About>

  constructor({ clock }: { clock: Clock }, options: Partial<typeof defaultLive> = {}) {
    const { opensMax, segmentsMax } = { ...defaultLive, ...options }
    this.#clock = clock
    this.#opens = new LruMap(opensMax)
    this.#segments = new LruMap(segmentsMax)
    this.#jobs = new LruMap(opensMax)
  }

  opened(open: OpenReceipt, about: { isPublic?: boolean } = {}): void {
    this.opening({ digest: openDigest(open), fields: open, signed: () => open }, about)
  }

  /** One that is signed once somebody asks for it. */
  opening(opening: Named, { isPublic = false }: { isPublic?: boolean } = {}): void {
    this.#opens.set(hexName(opening.digest), { at: this.#clock.now(), opening })
    this.#know(opening.fields, { isPublic })
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
    const opened = this.#opens.get(name)
    if (opened !== undefined) {
      const { at, opening } = opened
      return { at, open: opening.signed(), ...this.#about(opening.fields) }
    }
    const segment = this.#segments.get(name)
    return segment && { ...segment, ...this.#about(segment.receipt) }
  }

  #about(of: Pick<Receipt, 'jobId' | 'nodePk'>): About & { isPublic: boolean } {
    return { isPublic: false, ...this.#jobs.get(nameOf(of)) }
  }

  #know(of: Pick<Receipt, 'jobId' | 'nodePk'>, about: About): void {
    const name = nameOf(of)
    this.#jobs.set(name, { ...this.#jobs.get(name), ...about })
  }
}

const nameOf = ({ jobId, nodePk }: Pick<Receipt, 'jobId' | 'nodePk'>): string =>
  `${jobId.replace(/#\d+$/, '')} ${hexName(nodePk)}`
