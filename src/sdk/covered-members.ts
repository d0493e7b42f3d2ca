import { bytesToHex } from '@noble/hashes/utils.js'
import { base64pad } from 'multiformats/bases/base64'
import { rawCid, ryv1Cid } from '../wire/cid.ts'
import { decodeEntry, readBody } from '../wire/entry.ts'
import { type Execution, segmentReceiptsOf } from '../wire/execution.ts'
import { peerIdOf } from '../wire/peer-id.ts'
import { type Proof, proofJson } from '../wire/proof.ts'
import {
  type OpenReceipt,
  openDigest,
  openPayload,
  type Receipt,
  receiptDigest,
  receiptPayload,
} from '../wire/receipt.ts'
import type { Routing } from '../wire/routing.ts'
import {
  isResumed,
  isSameReceipt,
  partsJson,
  routedStatus,
  routedTokens,
  segmentsJson,
  speculativeJson,
} from '../wire/shown-receipt.ts'
import type { Members } from './comparing.ts'

// A peer that shows a receipt may write anything around its proof. See "A receipt as it is shown" in
// protocols/log/spec.md.

interface Told<Body> {
  cid: string
  at: number
  body: Body
}

/** What the receipt and the entries of its proof say of members of the JSON around them. */
export function coveredByProof(proof: Proof, shown: Members): Members {
  const { receipt } = proof
  const { execution, routing } = entriesOf(proof)
  // Who showed it may have read an entry that is not in the proof.
  const isByRouting = typeof shown.entry_cid !== 'string' || shown.entry_cid === routing?.cid
  const told = execution ?? (isByRouting ? routing : undefined)
  return {
    ...always,
    ...namesOf(receipt, receiptDigest(receipt)),
    result_hash: bytesToHex(receipt.resultHash),
    metering_units: receipt.meteringUnits,
    signed_payload: receiptPayload(receipt),
    ...(shown.proof != null && { proof: coveredInFile(proof) }),
    ...(told && membersOf(told)),
    ...(execution && executionMembers(execution.body, receipt)),
    ...(told && told === routing && summaryOf(routing.body, receipt)),
    ...(routing && routingMembers(routing.body)),
    ...((told ?? routing) && {
      jurisdiction: {
        ...(routing && { requested: routing.body.jurisdiction ?? null }),
        ...(told && { resolved: told.body.region ?? null }),
      },
    }),
  }
}

/** The same of an open receipt, which says what it says by itself. */
export const coveredByOpen = (open: OpenReceipt): Members => ({
  ...always,
  ...namesOf(open, openDigest(open)),
  status: 'open',
  prompt_root: bytesToHex(open.promptRoot),
  input_tokens: open.inputTokens,
  signed_payload: openPayload(open),
})

/** Its network is said by the heads in it alone. */
export function coveredInFile(proof: Proof): Members {
  const { network, ...more } = proofJson(proof)
  return proof.entries.length > 0 ? { network, ...more } : more
}

/** What all that hold have in common. */
const always: Members = {
  object: 'receipt',
  version: 'RYV1',
  alg: 'Ed25519/SHA-256',
  verified: true,
}

const namesOf = (
  { nodePk, jobId, signature }: Receipt | OpenReceipt,
  digest: Uint8Array,
): Members => ({
  cid: ryv1Cid(digest),
  multiformats_cid: rawCid(digest),
  node: peerIdOf(nodePk),
  node_pk: bytesToHex(nodePk),
  job_id: jobId,
  signature: base64pad.baseEncode(signature),
})

/** The first of each kind: the execution with the receipt in it, not that of another part. */
function entriesOf({ receipt, entries }: Proof) {
  let execution: Told<Execution> | undefined
  let routing: Told<Routing> | undefined
  for (const { entry } of entries) {
    const read = tryToRead(entry)
    if (read?.kind === 'routing') routing ??= read
    if (read?.kind === 'execution' && hasReceipt(read.body, receipt)) execution ??= read
  }
  return { execution, routing }
}

/** Undefined for an entry that is not as it should be: the check of the proof says so. */
function tryToRead(bytes: Uint8Array) {
  try {
    const { cid, entry } = decodeEntry(bytes)
    const read = readBody(entry)
    return read && { ...read, cid: cid.toString(), at: entry.at }
  } catch {
    return undefined
  }
}

const hasReceipt = (execution: Execution, receipt: Receipt): boolean =>
  [execution.receipt, ...segmentReceiptsOf(execution)].some((each) => isSameReceipt(each, receipt))

const membersOf = ({ cid, at, body }: Told<Execution | Routing>): Members => ({
  entry_cid: cid,
  created_at: new Date(at).toISOString(),
  model: body.modelName,
  content_id: body.model,
  coordinator: peerIdOf(body.coordinator),
  privacy: body.privacy,
})

function executionMembers(execution: Execution, receipt: Receipt): Members {
  const isFinal = isSameReceipt(execution.receipt, receipt)
  return {
    status: isFinal ? 'final' : 'segment',
    tokens: isFinal ? { ...execution.tokens } : null,
    final_cid: isFinal ? null : ryv1Cid(receiptDigest(execution.receipt)),
    segments: segmentsJson(execution),
    speculative: speculativeJson(execution),
  }
}

/** Where no execution tells that. */
function summaryOf(routing: Routing, receipt: Receipt): Members {
  const { whole } = routing
  const status = routedStatus(receipt, routing)
  const isFinal = status === 'final'
  return {
    status,
    tokens: isFinal ? routedTokens(receipt, routing) : null,
    final_cid: isFinal || whole === undefined ? null : ryv1Cid(receiptDigest(whole)),
  }
}

const routingMembers = (routing: Routing): Members => ({
  endpoint: routing.endpoint ?? null,
  verdict: routing.verdict,
  dispute: routing.dispute ?? null,
  count: routing.count,
  resumed: isResumed(routing),
  parts: partsJson(routing) ?? null,
})
