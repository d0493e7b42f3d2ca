import { list, oneOf, optional, record, text, whole } from './cbor-shape.ts'
import type { CborMap } from './dag-cbor.ts'
import {
  hash,
  key,
  model,
  price,
  receiptShape,
  region,
  signature,
  size,
  times,
  tokens,
  word,
} from './entry-parts.ts'
import { limits } from './job.ts'
import { malformed } from './malformed.ts'
import { type OpenReceipt, type Receipt, segmentReceipt } from './receipt.ts'
import { jobId as jobIdRule, sentence } from './rules.ts'

/** The last of them: all of a long answer's would not fit into an entry. */
export const SEGMENTS_MAX = 128
const DRAFTERS_MAX = 8

const open = record('Open', { promptRoot: hash, inputTokens: size, signature })

const segment = record('Segment', {
  end: whole('positive', { min: 1 }),
  units: whole('positive', { min: 1 }),
  resultHash: hash,
  signature,
})

const drafting = record('Drafting', {
  drafter: key,
  drafted: size,
  accepted: size,
  rolledBack: size,
})

export const executionShape = record('Execution', {
  receipt: receiptShape,
  open,
  segments: list(segment, SEGMENTS_MAX),
  coordinator: key,
  ...model,
  work: word,
  tokens,
  price,
  times,
  finish: list(word, limits.choicesMax),
  privacy: oneOf('plain', 'salted'),
  sampler: optional(word),
  seed: optional(size),
  drafting: list(drafting, DRAFTERS_MAX),
  region: optional(region),
})

/** What a provider says of one job. All but its receipts is its word alone. */
export type Execution = ReturnType<typeof executionShape.read>

export function readExecution(body: CborMap): Execution {
  const execution = executionShape.read(body, 'Execution')
  for (const { jobId } of segmentReceiptsOf(execution)) {
    if (jobId.length > jobIdRule.bytesMax) {
      throw malformed('Execution.segments', 'have job ids that are too long')
    }
  }
  return execution
}

export const openReceiptOf = ({ receipt, open }: Execution): OpenReceipt => ({
  jobId: receipt.jobId,
  nodePk: receipt.nodePk,
  ...open,
})

/** Those of the segments: each is a receipt by itself. */
export const segmentReceiptsOf = ({ receipt, segments }: Execution): Receipt[] =>
  segments.map((segment) => segmentReceipt(receipt, segment))

export const revocationShape = record('Revocation', {
  key,
  successor: optional(key),
  reason: optional(text('sentence', sentence)),
})

/** The end of a key. It counts in that key's own log. */
export type Revocation = ReturnType<typeof revocationShape.read>
