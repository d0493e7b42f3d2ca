import { bytesToHex } from '@noble/hashes/utils.js'
import type { EntryView, ReceiptView } from '../../receipts/view.ts'
import { ryv1Cid } from '../../wire/cid.ts'
import { decodeEntry } from '../../wire/entry.ts'
import { type Execution, openReceiptOf, segmentReceiptsOf } from '../../wire/execution.ts'
import { readHead } from '../../wire/head.ts'
import { peerIdOf } from '../../wire/peer-id.ts'
import { checkProof, proofJson } from '../../wire/proof.ts'
import {
  type OpenReceipt,
  openDigest,
  openReceiptHolds,
  type Receipt,
  receiptDigest,
  receiptHolds,
} from '../../wire/receipt.ts'
import { type Routing, type RoutingPart, routingHolds } from '../../wire/routing.ts'
import type { Verifying } from '../../wire/signed.ts'
import type { LineageJson } from './lineage-schema.ts'
import { isoTime, proofOf } from './receipt-json.ts'

type Step = LineageJson['steps'][number]

/** How an answer came about, as far as this peer can tell: each step after those that it rests on. */
export function lineageJson(view: ReceiptView, verifying: Verifying): LineageJson {
  const { execution, routing, parts = [] } = view
  const known = [execution, ...parts].filter((each) => each !== undefined)
  const receipt = routing?.body.whole ?? view.receipt ?? execution?.body.receipt
  const proof = receipt && proofOf(receipt, view, verifying.network)
  const entry = execution ?? routing
  return {
    object: 'receipt.lineage',
    cid: view.cid,
    job_id: routing?.body.jobId ?? (view.receipt ?? view.open)?.jobId ?? '',
    request: routing === undefined ? null : bytesToHex(routing.body.request),
    prompt_root: rootOf(view),
    model: entry?.body.modelName ?? null,
    content_id: entry?.body.model ?? null,
    steps: stepsOf(view, known, verifying),
    missing: routing === undefined ? [] : missingOf(routing.body, known),
    verified: proof === undefined ? view.verified : checkProof(proof, verifying).holds,
    proof: proof === undefined ? null : proofJson(proof),
  }
}

function rootOf({ routing, execution, open }: ReceiptView): string | null {
  const root = routing?.body.promptRoot ?? execution?.body.open.promptRoot ?? open?.promptRoot
  return root === undefined ? null : bytesToHex(root)
}

function stepsOf(
  view: ReceiptView,
  known: readonly EntryView<Execution>[],
  verifying: Verifying,
): Step[] {
  const { routing, execution, open, receipt } = view
  if (routing !== undefined) return routedSteps(routing, known, verifying)
  if (execution !== undefined) return executionSteps(execution, verifying)
  return [
    ...(open === undefined ? [] : [openStep(open, verifying)]),
    ...(receipt === undefined ? [] : [receiptStep(receipt, [], verifying)]),
  ]
}

function routedSteps(
  routing: EntryView<Routing>,
  known: readonly EntryView<Execution>[],
  verifying: Verifying,
): Step[] {
  const { parts, whole, coordinator } = routing.body
  const worked = parts.map((part) => partSteps(part, known, verifying))
  const ends = worked.flatMap((steps) => steps.at(-1)?.cid ?? [])
  const all =
    whole === undefined ? [] : [{ ...receiptStep(whole, ends, verifying), step: 'whole' as const }]
  return [
    ...worked.flat(),
    ...all,
    {
      ...{ step: 'routing', cid: routing.cid, by: peerIdOf(coordinator) },
      ...{ job_id: routing.body.jobId, at: isoTime(routing.at) },
      from: [...ends, ...all.map(({ cid }) => cid)],
      signed: routingHolds(decodeEntry(routing.bytes).entry.body, verifying),
      place: placeOf(routing),
    },
  ]
}

/** None of a part whose entry is not here. */
function partSteps(
  { execution, receipt }: RoutingPart,
  known: readonly EntryView<Execution>[],
  verifying: Verifying,
): Step[] {
  if (receipt !== undefined) return [receiptStep(receipt, [], verifying)]
  const entry = known.find(({ cid }) => cid === execution?.toString())
  return entry === undefined ? [] : executionSteps(entry, verifying)
}

function executionSteps(entry: EntryView<Execution>, verifying: Verifying): Step[] {
  const { body } = entry
  const open = openStep(openReceiptOf(body), verifying)
  // As many as there are, they are only listed: each is found, and checked, by its own CID.
  const segments = segmentReceiptsOf(body).map((segment) => ({
    ...receiptStep(segment, [open.cid]),
    step: 'segment' as const,
  }))
  const before = [open, ...segments].map(({ cid }) => cid)
  const receipt = receiptStep(body.receipt, before, verifying)
  return [
    open,
    ...segments,
    receipt,
    {
      ...{ step: 'execution', cid: entry.cid, by: peerIdOf(body.receipt.nodePk) },
      ...{ job_id: body.receipt.jobId, at: isoTime(entry.at), from: [receipt.cid] },
      ...{ signed: null, place: placeOf(entry) },
    },
  ]
}

const openStep = (open: OpenReceipt, { verify }: Verifying): Step => ({
  ...{ step: 'open', cid: ryv1Cid(openDigest(open)), by: peerIdOf(open.nodePk) },
  ...{ job_id: open.jobId, at: null, from: [] },
  ...{ signed: openReceiptHolds(open, verify), place: null },
})

const receiptStep = (receipt: Receipt, from: string[], verifying?: Verifying): Step => ({
  step: receipt.jobId.includes('#') ? 'segment' : 'receipt',
  ...{ cid: ryv1Cid(receiptDigest(receipt)), by: peerIdOf(receipt.nodePk) },
  ...{ job_id: receipt.jobId, at: null, from },
  ...{ signed: verifying ? receiptHolds(receipt, verifying.verify) : null, place: null },
})

function placeOf({ index, proof }: EntryView<unknown>): Step['place'] {
  if (proof === undefined || index === undefined) return null
  const { author, epoch, size } = readHead(proof.head)
  return { author: peerIdOf(author), epoch: bytesToHex(epoch), index, size }
}

const missingOf = ({ parts }: Routing, known: readonly EntryView<Execution>[]): string[] =>
  parts
    .flatMap(({ execution }) => execution?.toString() ?? [])
    .filter((named) => known.every(({ cid }) => cid !== named))
