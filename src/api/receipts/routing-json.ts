import { bytesToHex } from '@noble/hashes/utils.js'
import type { EntryView, ReceiptView } from '../../receipts/view.ts'
import { ryv1Cid } from '../../wire/cid.ts'
import { decodeEntry } from '../../wire/entry.ts'
import { peerIdOf } from '../../wire/peer-id.ts'
import { type Receipt, receiptDigest, receiptHolds } from '../../wire/receipt.ts'
import { type Routing, routingHolds, routingPayload } from '../../wire/routing.ts'
import { partJson } from '../../wire/shown-receipt.ts'
import { signedBytes, type Verifying } from '../../wire/signed.ts'
import { isoTime } from './receipt-json.ts'
import type { RoutingReceiptJson } from './receipt-schema.ts'

export interface Routed extends ReceiptView {
  routing: EntryView<Routing>
}

export const hasRouting = (view: ReceiptView): view is Routed => view.routing !== undefined

/** What this peer, as the coordinator, signed of a request: for the account that made it. */
export function routingReceiptJson(
  requestId: string,
  view: Routed,
  verifying: Verifying,
): RoutingReceiptJson {
  const { routing } = view
  const { body } = routing
  const raw = decodeEntry(routing.bytes).entry.body
  const receipt = body.whole ?? view.receipt
  const { network } = verifying
  return {
    object: 'routing_receipt',
    version: 'PNV1',
    request_id: requestId,
    node_id: peerIdOf(body.parts[0]?.node ?? body.coordinator),
    model: body.modelName,
    timestamp: isoTime(routing.at),
    dispatched_at: isoTime(body.times.started),
    completed_at: isoTime(body.times.finished),
    payment_amount: body.amount,
    payment: paymentJson(body),
    usage: { input_tokens: body.tokens.input, output_tokens: body.tokens.output },
    prompt_root: bytesToHex(body.promptRoot),
    output_hash: receipt === undefined ? null : bytesToHex(receipt.resultHash),
    verdict: body.verdict,
    dispute: body.dispute ?? null,
    count: body.count,
    parts: body.parts.map(partJson),
    attempts: body.attempts.map(({ node, outcome, ms }) => ({
      node_id: peerIdOf(node),
      outcome,
      ms,
    })),
    coordinator_public_key: bytesToHex(body.coordinator),
    coordinator_signature: bytesToHex(body.signature),
    signed_payload_b64: Buffer.from(signedBytes('routing', network, routingPayload(raw))).toString(
      'base64',
    ),
    attestation: { type: body.attestation, document: null, pcrs: null },
    ryv1_cid: receipt === undefined ? null : ryv1Cid(receiptDigest(receipt)),
    entry_cid: routing.cid,
    verified: routingHolds(raw, verifying) && holdsIfThere(receipt, verifying),
  }
}

const holdsIfThere = (receipt: Receipt | undefined, { verify }: Verifying): boolean =>
  receipt === undefined || receiptHolds(receipt, verify)

/** Amounts as text: other ledgers count in units that a number cannot hold. */
const paymentJson = ({ amount, parts }: Routing): RoutingReceiptJson['payment'] => ({
  amount: String(amount),
  unit: 'microcredit',
  currency: 'CREDIT',
  status: 'owed',
  payouts: parts.map((part) => ({
    node_id: peerIdOf(part.node),
    amount: String(part.amount),
    owed_total: String(part.owedTotal),
  })),
})
