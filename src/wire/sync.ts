import { PeerError } from '../base/errors.ts'
import type { Cid } from './cid.ts'
import { decodeEntry, entryMentions, type SealedEntry } from './entry.ts'
import type { Equivocation } from './equivocation.ts'
import type { Signed } from './generate.ts'
import { type Head, openHead, readHeadOf } from './head.ts'
import { type Batch, badLog } from './log-batch.ts'
import { malformed } from './malformed.ts'
import { includes, leafHash } from './merkle.ts'
import { sameBytes } from './octets.ts'
import { FRAME_BYTES_MAX } from './protocols.ts'
import { type OpenReceipt, openDigest, openReceiptHolds } from './receipt.ts'
import type { Verifying } from './signed.ts'
import { logMessageShape, syncAnswerShape, syncRequestShape } from './sync-shape.ts'

export { AUTHORS_MAX, HEADS_MAX, PLACES_MAX, RANGES_MAX, ROOT_MARK_BYTES } from './sync-shape.ts'

export interface Range {
  author: Uint8Array
  epoch: Uint8Array
  /** The first index that is wanted, and the one behind the last; 0: to the end. */
  from: number
  to: number
  /** The asker does not have what stands before `from`. */
  peaks: boolean
}

export type SyncRequest =
  /** Answered by the places of all logs in the buckets that differ. */
  | { type: 'digest'; buckets: Uint8Array }
  /** Answered by the newest heads of all logs of these peers. */
  | { type: 'authors'; authors: Uint8Array[] }
  /** Answered by batches. */
  | { type: 'ranges'; ranges: Range[] }
  /** Answered by what was found, or by nothing. */
  | { type: 'get'; cid: Uint8Array }
  /** Answered by batches without end, as these logs grow. */
  | { type: 'follow'; ranges: Range[] }
  /** Answered by nothing. */
  | ({ type: 'equivocation' } & Equivocation)

export interface PlaceMark {
  author: Uint8Array
  epoch: Uint8Array
  size: number
  /** The first bytes of the root. */
  rootMark: Uint8Array
}

/** An entry, and the proof that it stands in its author's log. */
export interface Found {
  head: Signed
  index: number
  entry: Uint8Array
  path: Uint8Array[]
}

/** Any number of them, then `end`: with a word where there would have been more. */
export type SyncAnswer =
  | { type: 'places'; places: PlaceMark[] }
  | { type: 'heads'; heads: Signed[] }
  | { type: 'batch'; batch: Batch }
  | ({ type: 'found' } & Found)
  | { type: 'open'; receipt: OpenReceipt }
  /** Instead of entries of an author that is barred. */
  | ({ type: 'equivocation' } & Equivocation)
  | { type: 'end'; reason: string }

/** What goes over the topic `log/1`. */
export type LogMessage = { type: 'batch'; batch: Batch } | ({ type: 'equivocation' } & Equivocation)

export function encodeSyncRequest(request: SyncRequest): Uint8Array {
  return syncRequestShape.encode(request.type, request)
}

/** Undefined for a request that only a newer version knows. */
export function decodeSyncRequest(bytes: Uint8Array): SyncRequest | undefined {
  const request = syncRequestShape.decode(bytes)
  if (request === undefined) return undefined
  if (request.type === 'ranges' || request.type === 'follow') request.value.ranges.forEach(check)
  return { type: request.type, ...request.value } as SyncRequest
}

function check({ from, to }: Range): void {
  if (to !== 0 && to <= from) throw malformed('Range.to', 'is not behind its beginning')
}

export function encodeSyncAnswer(answer: SyncAnswer): Uint8Array {
  switch (answer.type) {
    case 'batch':
      return syncAnswerShape.encode('batch', answer.batch)
    case 'open':
      return syncAnswerShape.encode('open', answer.receipt)
    default:
      return syncAnswerShape.encode(answer.type, answer)
  }
}

/** Undefined for an answer that only a newer version knows: pass over it. */
export function decodeSyncAnswer(bytes: Uint8Array): SyncAnswer | undefined {
  const answer = syncAnswerShape.decode(bytes)
  if (answer === undefined) return undefined
  switch (answer.type) {
    case 'batch':
      return { type: 'batch', batch: answer.value }
    case 'open':
      return { type: 'open', receipt: answer.value }
    default:
      return { type: answer.type, ...answer.value } as SyncAnswer
  }
}

export const encodeLogMessage = (said: LogMessage): Uint8Array =>
  said.type === 'batch'
    ? logMessageShape.encode('batch', said.batch)
    : logMessageShape.encode('equivocation', said)

/** Undefined for what only a newer version knows. */
export function decodeLogMessage(bytes: Uint8Array): LogMessage | undefined {
  if (bytes.length > FRAME_BYTES_MAX) {
    throw malformed('LogMessage', `is longer than ${FRAME_BYTES_MAX} bytes`)
  }
  const said = logMessageShape.decode(bytes)
  if (said === undefined) return undefined
  return said.type === 'batch'
    ? { type: 'batch', batch: said.value }
    : { type: 'equivocation', ...said.value }
}

/** An entry that was found, with its place in its author's log. */
export interface OpenFound extends SealedEntry {
  head: Head
  signed: Signed
  index: number
  path: Uint8Array[]
}

/** Throws unless it is what was asked for, and stands in the log that its head signs. */
export function openFound(
  { head: signed, index, entry, path }: Found,
  asked: Cid,
  verifying: Verifying,
): OpenFound {
  readHeadOf(verifying.network, signed)
  const sealed = decodeEntry(entry)
  const isIt =
    asked.kind === 'entry'
      ? sameBytes(sealed.cid.digest, asked.digest)
      : entryMentions(sealed.entry, asked.digest)
  if (!isIt) throw notAsked()
  const head = openHead(signed, verifying)
  const { size, root } = head
  if (!includes({ leaf: leafHash(sealed.cid.bytes), index, size, root, path })) {
    throw badLog('This entry does not stand in the log that the head was signed for.')
  }
  return { ...sealed, head, signed, index, path }
}

/** Throws unless this is the open receipt that was asked for. */
export function checkOpen(receipt: OpenReceipt, asked: Cid, { verify }: Verifying): void {
  if (asked.kind !== 'receipt' || !sameBytes(openDigest(receipt), asked.digest)) throw notAsked()
  if (openReceiptHolds(receipt, verify)) return
  throw new PeerError('bad_signature', 'The signature of this open receipt is not its node’s.', {
    action: 'penalise',
  })
}

const notAsked = () =>
  new PeerError('not_asked', 'The answer is not what was asked for.', { action: 'penalise' })

/** The 36 bytes that `get` asks for. */
export const getRequest = (cid: Cid): SyncRequest => ({ type: 'get', cid: cid.bytes })
