import { AnswerHash } from '../../receipts/answer-hash.ts'
import type { LiveReceipts } from '../../receipts/live.ts'
import type { Done, Segmented, Tokens, Vectors } from '../../wire/chunk.ts'
import type { FromProvider } from '../../wire/generate.ts'
import type { Work } from '../../wire/job.ts'
import { sameBytes } from '../../wire/octets.ts'
import {
  type OpenReceipt,
  openReceiptHolds,
  receiptHolds,
  segmentReceipt,
} from '../../wire/receipt.ts'
import type { Verify } from '../../wire/signed.ts'
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
}

/** Holds what a provider signs against what this peer has of the answer. */
export class AnswerProof {
  readonly #verify: Verify
  readonly #live: LiveReceipts
  readonly #commissioned: Commissioned
  readonly #hash: AnswerHash
  #segmentEnd = 0
  /** When it was cancelled. */
  #cut: { received: number[]; resultHash: Uint8Array } | undefined
  /** What came after that. */
  #isWhole = true

  constructor(
    { verify, live }: ProofComponents,
    { commissioned, work }: { commissioned: Commissioned; work: Work },
  ) {
    this.#verify = verify
    this.#live = live
    this.#commissioned = commissioned
    this.#hash = new AnswerHash(work)
  }

  /** Undefined for a provider that signs no such thing. */
  accepted({ inputTokens, openSignature }: FrameOf<'accept'>): OpenReceipt | undefined {
    if (openSignature.length === 0) return undefined
    const { jobId, nodePk, promptRoot } = this.#commissioned
    const open = { jobId, nodePk, promptRoot, inputTokens, signature: openSignature }
    if (!openReceiptHolds(open, this.#verify)) throw misbehaved('its open receipt does not hold')
    this.#live.opened(open)
    return open
  }

  tokens(tokens: Tokens): void {
    this.#hash.tokens(tokens)
  }

  vectors(vectors: Vectors): void {
    this.#hash.vectors(vectors)
  }

  /** `inputTokens`: of the prompt. */
  segment(segment: FrameOf<'segment'>, inputTokens: number): Segmented {
    const { end, units, resultHash } = segment
    // Each costs a verification: no more of them than tokens.
    if (end <= this.#segmentEnd) throw misbehaved('a segment that covers nothing new')
    this.#segmentEnd = end
    const expected = this.#hash.digestOf([end])
    const fits = expected !== undefined && sameBytes(expected, resultHash)
    if (!fits || units !== inputTokens + end) {
      throw misbehaved('a segment says something else than what it sent')
    }
    const receipt = segmentReceipt(this.#commissioned, segment)
    if (!receiptHolds(receipt, this.#verify)) throw misbehaved('its segment does not hold')
    this.#live.segment(receipt)
    return { type: 'segment', end, receipt }
  }

  /** Of what came until now the provider is told; this is what its last receipt must cover. */
  cut(): void {
    const { received } = this.#hash
    this.#cut = { received, resultHash: this.#hash.digestOf(received) as Uint8Array }
  }

  /** Something that came after it was cancelled did not fit. */
  lost(): void {
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
      const counts = this.#cut ?? { received: this.#hash.received, resultHash: this.#hash.digest() }
      return this.#judged(frame, counts, { ...done, usage: { ...usage, ...outputOf(counts) } })
    }
    // It was at its end before it heard that nobody wants the rest.
    const whole = { received: this.#hash.received, resultHash: this.#hash.digest() }
    if (!this.#isWhole) return { done, verdict: unseen, resultHash: this.#cut.resultHash }
    const finish = done.finish.map(() => 'stop' as const)
    return this.#judged(frame, whole, { type: 'done', finish, usage })
  }

  #judged(
    frame: FrameOf<'done'>,
    { received, resultHash }: { received: number[]; resultHash: Uint8Array },
    done: Done,
  ): Ended {
    const delivered = { resultHash, ...outputOf({ received }) }
    const commissioned = this.#commissioned
    return { done, resultHash, verdict: judge(frame, { commissioned, delivered }, this.#verify) }
  }
}

/** Its receipt covers what this peer did not take. */
const unseen: Verdict = { dispute: 'unseen', isLie: false }

const outputOf = ({ received }: { received: number[] }): { outputTokens: number } => ({
  outputTokens: received.reduce((sum, tokens) => sum + tokens, 0),
})
