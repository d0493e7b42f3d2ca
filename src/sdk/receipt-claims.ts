import { bytesToHex } from '@noble/hashes/utils.js'
import { base64pad } from 'multiformats/bases/base64'
import { canonicalJson, type Json } from '../wire/canonical-json.ts'
import { rawCid, ryv1Cid } from '../wire/cid.ts'
import { decodeEntry, readBody } from '../wire/entry.ts'
import { type Execution, segmentReceiptsOf } from '../wire/execution.ts'
import { sameBytes } from '../wire/octets.ts'
import { peerIdOf } from '../wire/peer-id.ts'
import type { Proof } from '../wire/proof.ts'
import { type OpenReceipt, type Receipt, receiptDigest, receiptPayload } from '../wire/receipt.ts'
import type { Routing } from '../wire/routing.ts'

// A peer that shows a receipt may write anything around its proof.

type Claims = Record<string, Json>

/** Members of a receipt's JSON that say something else than its proof does. */
export function contradictions(claimed: Claims, proof: Proof): string[] {
  const proved: Claims = { ...signedClaims(proof.receipt), ...entryClaims(proof) }
  return Object.entries(proved)
    .filter(([name, value]) => !agrees(claimed[name], value))
    .map(([name]) => name)
}

/** A member that is not there, or null, claims nothing. */
const agrees = (claimed: Json | undefined, proved: Json): boolean =>
  claimed == null || canonicalJson(claimed) === canonicalJson(proved)

function signedClaims(receipt: Receipt): Claims {
  const digest = receiptDigest(receipt)
  return {
    ...claimsOfBoth(receipt, digest),
    result_hash: bytesToHex(receipt.resultHash),
    metering_units: receipt.meteringUnits,
    signed_payload: receiptPayload(receipt),
  }
}

/** What receipts and open receipts have in common. */
export const claimsOfBoth = (
  { nodePk, jobId, signature }: Receipt | OpenReceipt,
  digest: Uint8Array,
): Claims => ({
  cid: ryv1Cid(digest),
  multiformats_cid: rawCid(digest),
  node: peerIdOf(nodePk),
  node_pk: bytesToHex(nodePk),
  job_id: jobId,
  signature: base64pad.baseEncode(signature),
})

function entryClaims({ receipt, entries }: Proof): Claims {
  const claims: Claims = {}
  for (const { entry } of entries) Object.assign(claims, claimsOf(entry, receipt))
  return claims
}

/** None from an entry that is not as it should be: the check of the proof says so. */
function claimsOf(entry: Uint8Array, receipt: Receipt): Claims {
  try {
    const read = readBody(decodeEntry(entry).entry)
    if (read?.kind === 'execution') return executionClaims(read.body, receipt)
    return read?.kind === 'routing' ? routingClaims(read.body) : {}
  } catch {
    return {}
  }
}

/** None from the entry of another part of the same answer. */
function executionClaims(execution: Execution, receipt: Receipt): Claims {
  const digest = receiptDigest(receipt)
  const isOf = (each: Receipt) => sameBytes(receiptDigest(each), digest)
  const isWhole = isOf(execution.receipt)
  if (!isWhole && !segmentReceiptsOf(execution).some(isOf)) return {}
  return {
    status: isWhole ? 'final' : 'segment',
    model: execution.modelName,
    content_id: execution.model,
    coordinator: peerIdOf(execution.coordinator),
    privacy: execution.privacy,
    ...(isWhole && { tokens: { ...execution.tokens } }),
  }
}

const routingClaims = ({ verdict, dispute, count, endpoint }: Routing): Claims => ({
  verdict,
  count,
  ...(dispute !== undefined && { dispute }),
  ...(endpoint !== undefined && { endpoint }),
})
