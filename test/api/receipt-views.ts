import type { Proof } from '../../src/receipts/feeds/feed-store.ts'
import type { ReceiptView } from '../../src/receipts/view.ts'
import { rawCid, ryv1Cid } from '../../src/wire/cid.ts'
import type { SealedEntry } from '../../src/wire/entry.ts'
import { openReceiptOf, segmentReceiptsOf } from '../../src/wire/execution.ts'
import { peerIdOf } from '../../src/wire/peer-id.ts'
import {
  openDigest,
  openPayload,
  type Receipt,
  receiptDigest,
  receiptPayload,
} from '../../src/wire/receipt.ts'
import { readRouting } from '../../src/wire/routing.ts'
import type { Found } from '../../src/wire/sync.ts'
import { execution, oneJob } from '../wire/log-examples.ts'

// What the look-up says of the job of `log-examples.ts`.

const { done, told, providerLog, coordinatorLog } = oneJob()

const entryView = <Body>({ cid, bytes, entry }: SealedEntry, body: Body, found?: Found) => ({
  cid: cid.toString(),
  bytes,
  at: entry.at,
  body,
  ...(found && { index: found.index, proof: proofOf(found) }),
})

const proofOf = ({ head, path }: Found): Proof => ({ head, path })

const entries = async () => ({
  execution: entryView(done, execution(), await providerLog.found(2)),
  routing: entryView(told, readRouting(told.entry.body), await coordinatorLog.found(1)),
})

const signed = (digest: Uint8Array, nodePk: Uint8Array) => ({
  cid: ryv1Cid(digest),
  multiformatsCid: rawCid(digest),
  nodeId: peerIdOf(nodePk),
  verified: true,
  createdAt: done.entry.at,
})

export const receiptView = (receipt: Receipt): ReceiptView => ({
  ...signed(receiptDigest(receipt), receipt.nodePk),
  status: 'final',
  payload: receiptPayload(receipt),
  signature: receipt.signature,
  receipt,
})

export const finalView = async (): Promise<ReceiptView> => ({
  ...receiptView(execution().receipt),
  ...(await entries()),
})

export const segmentView = async (): Promise<ReceiptView> => ({
  ...receiptView(segmentReceiptsOf(execution())[0] as Receipt),
  ...(await entries()),
  status: 'segment',
  finalCid: ryv1Cid(receiptDigest(execution().receipt)),
})

/** As it is while the work goes on, or when it is over. */
export async function openView({ isOver }: { isOver: boolean }): Promise<ReceiptView> {
  const open = openReceiptOf(execution())
  return {
    ...signed(openDigest(open), open.nodePk),
    status: 'open',
    payload: openPayload(open),
    signature: open.signature,
    open,
    ...(isOver && (await entries())),
    ...(isOver && { finalCid: ryv1Cid(receiptDigest(execution().receipt)) }),
  }
}

export const entryCids = { execution: done.cid.toString(), routing: told.cid.toString() }
