import type { Clock } from '../base/clock.ts'
import { finishesOf } from '../engines/lanes.ts'
import type { Identity } from '../identity/identity.ts'
import type { Accepted, Chunk, Done, Drafted, Issued, Vectors } from '../wire/chunk.ts'
import { addsUp, draftingOf } from '../wire/drafting.ts'
import type { SealedEntry } from '../wire/entry.ts'
import { type Execution, SEGMENTS_MAX } from '../wire/execution.ts'
import type { Work } from '../wire/job.ts'
import { peerIdOf, publicKeyOf } from '../wire/peer-id.ts'
import {
  type OpenReceipt,
  type Receipt,
  type Segment,
  segmentJobId,
  signReceipt,
  signReceiptLater,
} from '../wire/receipt.ts'
import { AnswerHash, type Piece } from './answer-hash.ts'
import { type Commission, type Executed, sealedExecution } from './execution.ts'
import type { LiveReceipts } from './live.ts'
import { Opening } from './opening.ts'

/** From one segment to the next, whichever comes first. */
export const SEGMENT_TOKENS = 32
export const SEGMENT_MS = 1_000
/** The first one comes so many tokens early, or as great a part of the time; which, its job's id says. */
export const SEGMENT_HEAD_STARTS = 16
/** Whenever there are so many more of them, the next ones are twice as far apart. */
export const SEGMENTS_BEFORE_DOUBLING = 64

export interface WorkCommission extends Commission {
  work: Work
}

type Said = Pick<Executed, 'receipt' | 'open' | 'segments' | 'finish' | 'usage'>

export interface IssueComponents {
  identity: Pick<Identity, 'publicKey' | 'sign' | 'signLater'>
  clock: Clock
  live: Pick<LiveReceipts, 'opening' | 'segment' | 'finished'>
}

/** The same chunks, of one job, whose work is signed. Nothing of it is in a log yet. */
export async function* issued(
  chunks: AsyncIterable<Chunk>,
  record: WorkRecord,
): AsyncGenerator<Chunk> {
  for await (const chunk of chunks) {
    if (chunk.type === 'accepted') yield { ...chunk, openCid: record.begun(chunk.inputTokens) }
    else if (chunk.type === 'done') yield await record.ended(chunk)
    else yield* recorded(record, chunk)
  }
}

function* recorded(record: WorkRecord, chunk: Exclude<Chunk, Done | Accepted>): Generator<Chunk> {
  switch (chunk.type) {
    case 'tokens': {
      const segment = record.tokens(chunk)
      yield chunk
      if (segment !== undefined) {
        yield { type: 'segment', end: segment.end, receipt: record.receiptOf(segment) }
      }
      return
    }
    case 'vectors':
      record.vectors(chunk)
      yield chunk
      return
    default:
      yield chunk
  }
}

const withIssued = (done: Done, issued: Issued | undefined): Done =>
  issued === undefined ? done : { ...done, issued }

/** What this machine signs of one job while it works on it. */
export class WorkRecord {
  readonly #identity: IssueComponents['identity']
  readonly #clock: Clock
  readonly #live: IssueComponents['live']
  readonly #commission: WorkCommission
  #hash: AnswerHash | undefined
  readonly #isPlain: boolean
  readonly #times: Execution['times']
  #opening: Opening | undefined
  #inputTokens = 0
  readonly #segments: Segment[] = []
  #segmentCount = 0
  #segmentEnd = 0
  #segmentAt = 0

  constructor({ identity, clock, live }: IssueComponents, commission: WorkCommission) {
    const now = Math.floor(clock.now())
    this.#identity = identity
    this.#clock = clock
    this.#live = live
    this.#commission = commission
    this.#isPlain = finishesOf(commission.work) === 1
    this.#times = { received: now, started: now, finished: now }
  }

  /** Of all that was handed over. */
  get hash(): AnswerHash {
    this.#hash ??= this.#newHash()
    return this.#hash
  }

  /** The CID of that this machine took on the job. The first call counts. */
  begun(inputTokens: number): string {
    return this.#begin(inputTokens).cid
  }

  /** The same, signed. */
  open(inputTokens: number): OpenReceipt {
    return this.#begin(inputTokens).signed()
  }

  #begin(inputTokens: number): Opening {
    this.counted(inputTokens)
    if (this.#opening !== undefined) return this.#opening
    // While the first token is waited for, there is time for what it will need.
    this.#hash ??= this.#newHash()
    const { jobId, isPublic = false, promptRoot } = this.#commission
    const nodePk = this.#identity.publicKey
    const fields = { jobId, nodePk, promptRoot: promptRoot(), inputTokens }
    this.#opening = new Opening(this.#identity, fields)
    this.#live.opening(this.#opening, { isPublic })
    return this.#opening
  }

  /** The work begins: so long is its prompt. */
  counted(inputTokens: number): void {
    if (inputTokens === 0) return
    this.#inputTokens = inputTokens
    this.#times.started = this.#now()
  }

  /** A segment, where one is due after these tokens. */
  tokens(tokens: Piece): Segment | undefined {
    const at = this.#clock.elapsed()
    if (this.#times.firstToken === undefined) {
      this.#times.firstToken = this.#now()
      const early = headStart(this.#commission.jobId)
      this.#segmentEnd = -early
      this.#segmentAt = at - (early / SEGMENT_TOKENS) * SEGMENT_MS
    }
    this.hash.tokens(tokens)
    if (!this.#isPlain) return undefined
    const [end = 0] = this.hash.received
    const doubled = 2 ** Math.floor(this.#segmentCount / SEGMENTS_BEFORE_DOUBLING)
    const isLong = end - this.#segmentEnd >= SEGMENT_TOKENS * doubled
    const isLate = at - this.#segmentAt >= SEGMENT_MS * doubled && end > this.#segmentEnd
    if (!isLong && !isLate) return undefined
    this.#segmentAt = at
    return this.#segment(end)
  }

  vectors(vectors: Pick<Vectors, 'first' | 'vectors'>): void {
    this.#times.firstToken ??= this.#now()
    this.hash.vectors(vectors)
  }

  /** A segment stands by itself, as a receipt of its own. */
  receiptOf({ end, units, resultHash, signature }: Segment): Receipt {
    const { publicKey: nodePk } = this.#identity
    const jobId = segmentJobId(this.#commission.jobId, end)
    return { jobId, nodePk, resultHash, meteringUnits: units, signature }
  }

  /** Whether a piece that was handed over ends there, in each choice. */
  endsAt(received: readonly number[]): boolean {
    return this.hash.digestOf(received) !== undefined
  }

  /** Of a cancelled answer all that was handed over counts, and nothing else. */
  async ended(done: Done): Promise<Done> {
    const { usage } = done
    const outputTokens = sum(this.hash.received)
    const isCut = done.finish.includes('cancelled')
    const counted = isCut ? { ...done, usage: { ...usage, outputTokens } } : done
    return withIssued(counted, await this.#sealedLater(counted))
  }

  /** The same of one that comes to no end; undefined where nothing was handed over. */
  async left(): Promise<Done | undefined> {
    const { received } = this.hash
    const outputTokens = sum(received)
    if (outputTokens === 0) return undefined
    const finish = received.map(() => 'cancelled' as const)
    const usage = { inputTokens: this.#inputTokens, cachedTokens: 0, outputTokens }
    const done: Done = { type: 'done', finish, usage }
    return withIssued(done, await this.#sealedLater(done))
  }

  /**
   * The final receipt and the entry of the log; undefined where no work was begun. `received`: the
   * tokens of each choice that count of a cancelled answer, all of them without it.
   */
  sealed(done: Done, received?: readonly number[]): Issued | undefined {
    const end = this.#end(done, received)
    return end?.issued(signReceipt(end.fields, this.#sign), end.opening.signed())
  }

  /** The same, signed in another thread. */
  async #sealedLater(done: Done): Promise<Issued | undefined> {
    const end = this.#end(done)
    if (end === undefined) return undefined
    const { fields, opening, issued } = end
    const signed = [signReceiptLater(fields, this.#signLater), opening.signedLater()] as const
    return issued(...(await Promise.all(signed)))
  }

  /** All but the signatures. */
  #end({ finish, usage, drafting = [] }: Done, received?: readonly number[]) {
    const opening = this.#opening
    const counts = received ?? this.hash.received
    // Some servers count a prompt only when they have answered it.
    const begun = this.#inputTokens > 0 || usage.inputTokens > 0 || sum(counts) > 0
    if (opening === undefined || !begun) return undefined
    const isCut = finish.includes('cancelled')
    const resultHash = isCut ? this.hash.digestOf(counts) : this.hash.digest()
    // Nobody can have a part of what was handed over as one piece.
    if (resultHash === undefined) return undefined
    const { jobId } = this.#commission
    const { publicKey: nodePk } = this.#identity
    const meteringUnits = usage.inputTokens + usage.outputTokens
    this.#times.finished = this.#now()
    const [delivered = 0] = counts
    const segments = this.#segments.filter(({ end }) => end <= delivered)
    const issued = (receipt: Receipt, open: OpenReceipt): Issued => {
      this.#live.finished(receipt)
      // Of a part of an answer nobody knows what of it was drafted.
      const drafted = isCut ? [] : drafting
      const ended = { finish, usage, drafting: drafted }
      return { receipt, execution: this.#entry({ receipt, open, segments, ...ended }) }
    }
    return { fields: { jobId, nodePk, resultHash, meteringUnits }, opening, issued }
  }

  #entry({ drafting, ...said }: Said & { drafting: readonly Drafted[] }): SealedEntry {
    const { work } = this.#commission
    return sealedExecution(this.#commission, {
      ...said,
      work: work.kind,
      times: this.#times,
      drafting: this.#drafted(drafting, said.usage.outputTokens),
      ...(work.kind === 'embedding' ? {} : { seed: work.sampling.seed }),
    })
  }

  #drafted(drafting: readonly Drafted[], outputTokens: number): Execution['drafting'] {
    if (drafting.length === 0 || !addsUp(drafting, outputTokens)) return []
    return draftingOf(drafting, peerIdOf(this.#identity.publicKey)).map(
      ({ drafter, ...counts }) => ({ drafter: publicKeyOf(drafter), ...counts }),
    )
  }

  #segment(end: number): Segment {
    const { jobId } = this.#commission
    const { publicKey: nodePk } = this.#identity
    const resultHash = this.hash.digest()
    const fields = {
      jobId: segmentJobId(jobId, end),
      nodePk,
      resultHash,
      meteringUnits: this.#inputTokens + end,
    }
    const { signature, meteringUnits: units } = signReceipt(fields, this.#sign)
    const segment = { end, units, resultHash, signature }
    this.#segmentEnd = end
    this.#segmentCount++
    this.#segments.push(segment)
    this.#live.segment(this.receiptOf(segment))
    // Of more than an entry takes, the last ones are kept.
    if (this.#segments.length > 2 * SEGMENTS_MAX) this.#segments.splice(0, SEGMENTS_MAX)
    return segment
  }

  #newHash(): AnswerHash {
    const { work, nonce } = this.#commission
    return new AnswerHash(work, nonce)
  }

  readonly #sign = (message: Uint8Array) => this.#identity.sign(message)

  readonly #signLater = (message: Uint8Array) => this.#identity.signLater(message)

  #now(): number {
    return Math.floor(this.#clock.now())
  }
}

/** Answers of one batch get their tokens together: were all signed at once, all would wait for it. */
function headStart(jobId: string): number {
  let sum = 0
  for (let at = 0; at < jobId.length; at++) sum += jobId.charCodeAt(at)
  return sum % SEGMENT_HEAD_STARTS
}

const sum = (counts: readonly number[]): number => counts.reduce((all, count) => all + count, 0)
