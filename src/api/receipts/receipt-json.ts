import { bytesToHex } from '@noble/hashes/utils.js'
import type { EntryView, ReceiptView } from '../../receipts/view.ts'
import type { Execution } from '../../wire/execution.ts'
import { peerIdOf } from '../../wire/peer-id.ts'
import { checkProof, type Proof, proofJson } from '../../wire/proof.ts'
import type { Receipt } from '../../wire/receipt.ts'
import type { Routing } from '../../wire/routing.ts'
import {
  isResumed,
  isSameReceipt,
  partsJson,
  routedTokens,
  segmentsJson,
  speculativeJson,
} from '../../wire/shown-receipt.ts'
import type { Verifying } from '../../wire/signed.ts'
import type { Found } from '../../wire/sync.ts'
import type { ReceiptJson, ReceiptLiteJson } from './receipt-schema.ts'

/** All that is known of a receipt, and the bytes to check it with. */
export function receiptJson(view: ReceiptView, verifying: Verifying): ReceiptJson {
  const { receipt, open, execution, routing } = view
  const entry = execution ?? routing
  const proof = receipt && proofOf(receipt, view, verifying.network)
  const parts = routing && partsJson(routing.body)
  return {
    ...receiptLiteJson(view),
    verified: proof === undefined ? view.verified : checkProof(proof, verifying).holds,
    node_pk: bytesToHex((receipt ?? open)?.nodePk ?? new Uint8Array()),
    result_hash: receipt === undefined ? null : bytesToHex(receipt.resultHash),
    metering_units: receipt?.meteringUnits ?? null,
    ...(open && { prompt_root: bytesToHex(open.promptRoot), input_tokens: open.inputTokens }),
    signed_payload: view.payload,
    signature: Buffer.from(view.signature).toString('base64'),
    alg: 'Ed25519/SHA-256',
    content_id: entry?.body.model ?? null,
    endpoint: routing?.body.endpoint ?? null,
    jurisdiction: {
      requested: routing?.body.jurisdiction ?? null,
      resolved: entry?.body.region ?? null,
    },
    coordinator: entry === undefined ? null : peerIdOf(entry.body.coordinator),
    verdict: routing?.body.verdict ?? null,
    dispute: routing?.body.dispute ?? null,
    count: routing?.body.count ?? null,
    segments: execution === undefined ? [] : segmentsJson(execution.body),
    final_cid: view.finalCid ?? null,
    resumed: routing === undefined ? null : isResumed(routing.body),
    ...(parts && { parts }),
    speculative: execution === undefined ? null : speculativeJson(execution.body),
    fuzzy_trace: null,
    retrieved_chunks: [],
    privacy: entry?.body.privacy ?? null,
    proof: proof === undefined ? null : proofJson(proof),
  }
}

/** A line of a list. */
export function receiptLiteJson(view: ReceiptView): ReceiptLiteJson {
  const entry = view.execution ?? view.routing
  return {
    object: 'receipt',
    version: 'RYV1',
    cid: view.cid,
    multiformats_cid: view.multiformatsCid,
    entry_cid: entry?.cid ?? null,
    status: view.status,
    node: view.nodeId,
    model: entry?.body.modelName ?? null,
    job_id: (view.receipt ?? view.open)?.jobId ?? '',
    tokens: tokensOf(view),
    created_at: isoTime(view.createdAt),
    verified: view.verified,
  }
}

export const isoTime = (ms: number): string => new Date(ms).toISOString()

/** How the units divide, by the word of whoever wrote the entry. Of a segment, nobody says. */
function tokensOf({ status, receipt, execution, routing }: ReceiptView): ReceiptLiteJson['tokens'] {
  if (status !== 'final') return null
  if (execution !== undefined) return { ...execution.body.tokens }
  return receipt === undefined || routing === undefined ? null : routedTokens(receipt, routing.body)
}

/** With every entry whose place in its log may be shown. */
export function proofOf(
  receipt: Receipt,
  { execution, routing, parts = [] }: Pick<ReceiptView, 'execution' | 'routing' | 'parts'>,
  network: string,
): Proof {
  const done = foundOf(execution)
  const isNamed = routing !== undefined && isIn(receipt, routing.body)
  // What is proved of the others is that the entry names them which has the receipt in it.
  const others = isNamed ? parts.map(foundOf) : []
  // It has to name the receipt itself, or an entry in the proof that has it.
  const told = isNamed || done !== undefined ? foundOf(routing) : undefined
  const entries = [done, ...others, told].filter((found) => found !== undefined)
  return { network, receipt, entries }
}

const isIn = (receipt: Receipt, { whole, parts }: Routing): boolean =>
  [whole, ...parts.map((part) => part.receipt)].some(
    (each) => each !== undefined && isSameReceipt(each, receipt),
  )

function foundOf(entry: EntryView<Execution | Routing> | undefined): Found | undefined {
  if (entry?.proof === undefined || entry.index === undefined) return undefined
  const { bytes, index, proof } = entry
  return { entry: bytes, index, ...proof }
}
