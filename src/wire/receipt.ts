import { bytesToHex } from '@noble/hashes/utils.js'
import { malformed } from './malformed.ts'
import { jobId as jobIdRule } from './rules.ts'
import { sha256 } from './sha256.ts'
import type { Sign, SignLater, Verify } from './signed.ts'

/** RYV1: that this key did this much work for this job, and that this came of it. */
export interface Receipt {
  jobId: string
  /** 32 bytes. */
  nodePk: Uint8Array
  /** 32 bytes; see `result-hash.ts`. */
  resultHash: Uint8Array
  /** Tokens of prompt and answer; 1 at least. */
  meteringUnits: number
  /** 64 bytes, over the digest. */
  signature: Uint8Array
}

/** That this key took on this job: what a stream's header can name before there are tokens. */
export interface OpenReceipt {
  jobId: string
  nodePk: Uint8Array
  /** HMAC-SHA256 of the job's body under the caller's nonce. */
  promptRoot: Uint8Array
  /** 0 where they were not counted yet. */
  inputTokens: number
  signature: Uint8Array
}

/** What a segment says of the part of an answer up to it. */
export interface Segment {
  /** Tokens of the answer that it covers. */
  end: number
  units: number
  resultHash: Uint8Array
  signature: Uint8Array
}

export type ReceiptFields = Omit<Receipt, 'signature'>
export type OpenReceiptFields = Omit<OpenReceipt, 'signature'>

/** The text that is hashed and signed. Throws `malformed` for fields that could say two things. */
export function receiptPayload(fields: ReceiptFields): string {
  const { jobId, nodePk, resultHash, meteringUnits } = fields
  check('Receipt', jobId, nodePk, resultHash)
  if (!Number.isSafeInteger(meteringUnits) || meteringUnits < 1) {
    throw malformed('Receipt.metering_units', 'is not a whole number from 1 on')
  }
  return `RYV1|receipt|${jobId}|${bytesToHex(nodePk)}|${bytesToHex(resultHash)}|${meteringUnits}`
}

export function openPayload(fields: OpenReceiptFields): string {
  const { jobId, nodePk, promptRoot, inputTokens } = fields
  check('OpenReceipt', jobId, nodePk, promptRoot)
  if (!Number.isSafeInteger(inputTokens) || inputTokens < 0) {
    throw malformed('OpenReceipt.input_tokens', 'is not a whole number')
  }
  return `RYV1|open|${jobId}|${bytesToHex(nodePk)}|${bytesToHex(promptRoot)}|${inputTokens}`
}

/** 32 bytes, which are also in both spellings of its CID. */
export const receiptDigest = (fields: ReceiptFields): Uint8Array => sha256(receiptPayload(fields))

export const openDigest = (fields: OpenReceiptFields): Uint8Array => sha256(openPayload(fields))

/** Work that counted nothing is one unit: a receipt over 0 is none. */
export function signReceipt(fields: ReceiptFields, sign: Sign): Receipt {
  const counted = atLeastOne(fields)
  return { ...counted, signature: sign(receiptDigest(counted)) }
}

/** The same, for who has much else to do meanwhile. */
export async function signReceiptLater(fields: ReceiptFields, sign: SignLater): Promise<Receipt> {
  const counted = atLeastOne(fields)
  return { ...counted, signature: await sign(receiptDigest(counted)) }
}

const atLeastOne = (fields: ReceiptFields): ReceiptFields => ({
  ...fields,
  meteringUnits: Math.max(1, fields.meteringUnits),
})

export const signOpenReceipt = (fields: OpenReceiptFields, sign: Sign): OpenReceipt => ({
  ...fields,
  signature: sign(openDigest(fields)),
})

/** That its key signed it. Whether it is about the right job and answer, the coordinator checks. */
export const receiptHolds = (receipt: Receipt, verify: Verify): boolean =>
  holds(receipt, () => receiptDigest(receipt), verify)

export const openReceiptHolds = (receipt: OpenReceipt, verify: Verify): boolean =>
  holds(receipt, () => openDigest(receipt), verify)

/** A segment is a receipt of its own, named by the last token that it covers, counted from 0. */
export const segmentJobId = (jobId: string, end: number): string => `${jobId}#${end - 1}`

export const segmentReceipt = (
  { jobId, nodePk }: Pick<Receipt, 'jobId' | 'nodePk'>,
  { end, units, resultHash, signature }: Segment,
): Receipt => ({
  jobId: segmentJobId(jobId, end),
  nodePk,
  resultHash,
  meteringUnits: units,
  signature,
})

interface Signed {
  nodePk: Uint8Array
  signature: Uint8Array
}

function holds({ nodePk, signature }: Signed, digestOf: () => Uint8Array, verify: Verify): boolean {
  let message: Uint8Array
  try {
    message = digestOf()
  } catch {
    return false
  }
  return verify(nodePk, message, signature)
}

/** No field can reach into the next: ids have no `|`, the rest is hex or a number. */
function check(name: string, jobId: string, nodePk: Uint8Array, hash: Uint8Array): void {
  if (jobId.length > jobIdRule.bytesMax || !jobIdRule.pattern.test(jobId)) {
    throw malformed(`${name}.job_id`, jobIdRule.says)
  }
  if (nodePk.length !== 32) throw malformed(`${name}.node_pk`, 'has not 32 bytes')
  if (hash.length !== 32) throw malformed(name, 'has a hash that is not 32 bytes')
}
