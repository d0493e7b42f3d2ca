import { ryv1Cid } from './cid.ts'
import { type Execution, segmentReceiptsOf } from './execution.ts'
import { sameBytes } from './octets.ts'
import { peerIdOf } from './peer-id.ts'
import { type Receipt, receiptDigest } from './receipt.ts'
import type { Routing, RoutingPart } from './routing.ts'

// What entries of the log say in the JSON of a receipt: see "A receipt as it is shown" in
// protocols/log/spec.md.

type Status = 'final' | 'segment'

export const isSameReceipt = (one: Receipt, other: Receipt): boolean =>
  sameBytes(receiptDigest(one), receiptDigest(other))

/** Of a receipt in a routing. Of a provider that was lost, a segment is all that there is. */
export function routedStatus(receipt: Receipt, { whole, parts }: Routing): Status {
  const isWhole = whole !== undefined && isSameReceipt(whole, receipt)
  return isWhole || parts.some(({ jobId }) => jobId === receipt.jobId) ? 'final' : 'segment'
}

/** How the units of a final receipt divide, by its coordinator's word. */
export function routedTokens(receipt: Receipt, { parts, tokens }: Routing): Routing['tokens'] {
  return { ...(parts.find(({ jobId }) => jobId === receipt.jobId)?.tokens ?? tokens) }
}

export function partJson({ execution, receipt, jobId, node, tokens }: RoutingPart) {
  const status: Status = receipt === undefined || receipt.jobId === jobId ? 'final' : 'segment'
  const cid = execution?.toString() ?? ryv1Cid(receiptDigest(receipt as Receipt))
  return { cid, node: peerIdOf(node), tokens: { ...tokens }, status }
}

/** Whether another went on with it: a coordinator signs what one alone made only to dispute it. */
export const isResumed = ({ parts, whole, verdict }: Routing): boolean =>
  parts.length > 1 || (whole !== undefined && verdict === 'ok')

/** Of one part the receipt itself tells all. */
export const partsJson = ({ parts }: Routing) =>
  parts.length > 1 ? parts.map(partJson) : undefined

export const segmentsJson = (execution: Execution) =>
  segmentReceiptsOf(execution).map((receipt) => ({
    cid: ryv1Cid(receiptDigest(receipt)),
    // As in its job id: the last token that it covers.
    segment_end: Number(receipt.jobId.split('#').at(-1)),
  }))

export function speculativeJson({ drafting }: Execution) {
  if (drafting.length === 0) return null
  const sum = (of: 'drafted' | 'accepted' | 'rolledBack') =>
    drafting.reduce((total, each) => total + each[of], 0)
  return {
    draft_nodes: drafting.map(({ drafter }) => peerIdOf(drafter)),
    drafted: sum('drafted'),
    accepted: sum('accepted'),
    rolled_back: sum('rolledBack'),
  }
}
