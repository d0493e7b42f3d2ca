import { finishesOf } from '../../engines/lanes.ts'
import { AnswerHash } from '../../receipts/answer-hash.ts'
import type { LiveReceipts } from '../../receipts/live.ts'
import type { Done, Segmented, Tokens, Vectors } from '../../wire/chunk.ts'
import { ryv1Cid } from '../../wire/cid.ts'
import type { FromProvider } from '../../wire/generate.ts'
import type { Work } from '../../wire/job.ts'
import { sameBytes } from '../../wire/octets.ts'
import {
  type OpenReceipt,
  openDigest,
  openReceiptHolds,
  type Receipt,
  receiptHolds,
  segmentReceipt,
} from '../../wire/receipt.ts'
import type { Verify } from '../../wire/signed.ts'
import type { Bounds } from '../quote.ts'
import { misbehaved } from './answer-check.ts'
import { type Commissioned, judge, type Verdict } from './verdict.ts'

type FrameOf<T extends FromProvider['type']> = Extract<FromProvider, { type: T }>

export interface ProofComponents {
  verify: Verify
  live: LiveReceipts
}

/** How an answer ended: what counts of it, and what its provider signed. */
export interface Ended {
  done: Done
  verdict: Verdict
  /** Of what counts. */
  resultHash: Uint8Array
  /** Tokens behind the last that its provider signed. */
  unsignedTail: number
  /** Tokens that are paid for. */
  paid: Bounds
}

/** What came until some moment. */
interface Came {
  received: number[]
  resultHash: Uint8Array
}

/** Holds what a provider signs against what this peer has of the answer. */
export class AnswerProof {
  readonly #verify: Verify
  readonly #live: LiveReceipts
  readonly #commissioned: Commissioned
  readonly #hash: AnswerHash
  /** One text: of others, the receipt at the end is all that is looked at. */
  readonly #isPlain: boolean
  /** The last one, as its provider says. */
  #segment: { end: number; receipt: Receipt } | undefined
  /** When it was cancelled. */
  #cut: Came | undefined
  /** What came after that. */
  #isWhole = true

  constructor(
    { verify, live }: ProofComponents,
    { commissioned, work }: { commissioned: Commissioned; work: Work },
  ) {
    this.#verify = verify
    this.#live = live
    this.#commissioned = commissioned
    this.#hash = new AnswerHash(work, commissioned.salt)
    this.#isPlain = finishesOf(work) === 1
  }

  /** The CID of its open receipt; undefined for a provider that signs no such thing. */
  accepted(frame: FrameOf<'accept'>): string | undefined {
    const open = openReceiptIn(frame, this.#commissioned, this.#verify)
    if (open === undefined) return undefined
    this.#live.opened(open, this.#commissioned)
    return ryv1Cid(openDigest(open))
  }

  /** Of all that came. */
  get hash(): AnswerHash {
    return this.#hash
  }

  tokens(tokens: Tokens): void {
    this.#hash.tokens(tokens)
  }

  vectors(vectors: Vectors): void {
    this.#hash.vectors(vectors)
  }

  /**
   * `inputTokens`: of the prompt. Undefined for one that is not of a plain text. Whether it holds is
   * looked at when it counts: a stream has many, and each would hold up the tokens of all others.
   */
  segment(segment: FrameOf<'segment'>, inputTokens: number): Segmented | undefined {
    if (!this.#isPlain) return undefined
    const { end, units } = segment
    if (end <= (this.#segment?.end ?? 0)) throw misbehaved('a segment that covers nothing new')
    const [received = 0] = this.#hash.received
    if (end > received || units !== inputTokens + end) {
      throw misbehaved('a segment says something else than what it sent')
    }
    const receipt = segmentReceipt(this.#commissioned, segment)
    this.#live.segment(receipt)
    this.#segment = { end, receipt }
    return { type: 'segment', end, receipt }
  }

  /** Of what came until now the provider is told; this is what its last receipt must cover. */
  cut(): void {
    const { received } = this.#hash
    this.#cut = { received, resultHash: this.#hash.digestOf(received) as Uint8Array }
  }

  /** Something that came after it was cancelled did not fit. */
  missed(): void {
    this.#isWhole = false
  }

  /** Undefined where nothing was done. `done`: what counts, for an answer that was not cancelled. */
  ended(frame: FrameOf<'done'>, done: Done): Ended | undefined {
    const { receipt, usage } = frame
    if (receipt === undefined && usage.inputTokens === 0 && usage.outputTokens === 0) {
      return undefined
    }
    const isCut = frame.finish.includes('cancelled')
    if (this.#cut === undefined || isCut) {
      const came = this.#came
      return this.#judged(frame, came, { ...done, usage: { ...usage, ...outputOf(came) } })
    }
    // It was at its end before it heard that nobody wants the rest.
    if (!this.#isWhole) return this.#unfinished(done, { dispute: 'unseen', isLie: false })
    const all = this.#all
    const finish = done.finish.map(() => 'stop' as const)
    return this.#judged(frame, all, { type: 'done', finish, usage: { ...usage, ...outputOf(all) } })
  }

  /** Of a provider that does not say how it ended; undefined where nothing had come. */
  lost({ usage, ...done }: Done, dispute: string): Ended | undefined {
    const output = outputOf(this.#came)
    if (output.outputTokens === 0) return undefined
    const counted = { ...done, usage: { ...usage, ...output } }
    const ended = this.#unfinished(counted, { dispute, isLie: false })
    if (dispute === 'misbehaved') return ended
    // What was signed is paid, but for the prompt: its price is for who finishes the answer.
    const outputTokens = output.outputTokens - ended.unsignedTail
    return { ...ended, paid: { inputTokens: 0, outputTokens } }
  }

  #judged(frame: FrameOf<'done'>, came: Came, done: Done): Ended {
    const delivered = { resultHash: came.resultHash, ...outputOf(came) }
    const commissioned = this.#commissioned
    const verdict = judge(frame, { commissioned, delivered }, this.#verify)
    if (verdict.receipt === undefined) return this.#unfinished(done, verdict, came)
    const paid = verdict.dispute === undefined ? done.usage : NOTHING
    return { done, verdict, resultHash: came.resultHash, unsignedTail: 0, paid }
  }

  /** Its last segment is all that holds of what it signed. */
  #unfinished(done: Done, verdict: Verdict, { resultHash } = this.#came): Ended {
    const { end = 0, receipt } = this.#provenSegment() ?? {}
    const isFalse = this.#segment !== undefined && receipt === undefined
    return {
      done,
      verdict: { ...verdict, isLie: verdict.isLie || isFalse, ...(receipt && { receipt }) },
      resultHash,
      unsignedTail: done.usage.outputTokens - end,
      paid: NOTHING,
    }
  }

  /** Undefined where none came, or the last one is not true. */
  #provenSegment(): { end: number; receipt: Receipt } | undefined {
    const segment = this.#segment
    if (segment === undefined) return undefined
    const { end, receipt } = segment
    const delivered = this.#hash.digestOf([end])
    const isTrue = delivered !== undefined && sameBytes(delivered, receipt.resultHash)
    return isTrue && receiptHolds(receipt, this.#verify) ? segment : undefined
  }

  /** What counts. */
  get #came(): Came {
    return this.#cut ?? this.#all
  }

  get #all(): Came {
    return { received: this.#hash.received, resultHash: this.#hash.digest() }
  }
}

/** What is disputed is not paid. */
const NOTHING: Bounds = { inputTokens: 0, outputTokens: 0 }

const outputOf = ({ received }: Came): { outputTokens: number } => ({
  outputTokens: received.reduce((sum, tokens) => sum + tokens, 0),
})

/** Undefined for a provider that signs no such thing. */
export function openReceiptIn(
  { inputTokens, openSignature }: FrameOf<'accept'>,
  { jobId, nodePk, promptRoot }: Commissioned,
  verify: Verify,
): OpenReceipt | undefined {
  if (openSignature.length === 0) return undefined
  const open = { jobId, nodePk, promptRoot, inputTokens, signature: openSignature }
  if (!openReceiptHolds(open, verify)) throw misbehaved('its open receipt does not hold')
  return open
}
