import { PeerError } from '../base/errors.ts'
import { decodeEntry, ENTRY_BYTES_MAX, type SealedEntry } from './entry.ts'
import { needed, uint64 } from './fields.ts'
import type { Signed } from './generate.ts'
import { type Head, openHead, readHead, signedHeadShape } from './head.ts'
import { blobs, hashes } from './list-fields.ts'
import { malformed } from './malformed.ts'
import { isConsistent, leafHash, type NodeRef, PATH_MAX, Peaks, peakCount } from './merkle.ts'
import { sameBytes } from './octets.ts'
import { FRAME_BYTES_MAX } from './protocols.ts'
import { decode, encode, message } from './shape.ts'
import type { Verifying } from './signed.ts'

/** It stands in one frame, and in one message of gossip, behind a tag and its length. */
export const BATCH_BYTES_MAX = FRAME_BYTES_MAX - 8

/** What the entries of one group commit may have, so that they and their head are one batch. */
export const BATCH_ENTRIES_BYTES_MAX = 48 * 1024

/** The smallest entries have some 30 bytes. */
export const BATCH_ENTRIES_MAX = 2048

export const batchShape = message('Batch', {
  head: needed(1, signedHeadShape),
  first: uint64(2),
  entries: blobs(3, { min: 1, max: ENTRY_BYTES_MAX, countMax: BATCH_ENTRIES_MAX }),
  path: hashes(4, PATH_MAX + 1),
  peaks: hashes(5, PATH_MAX),
})

/** Entries of one log, which stand behind each other, under a signed head. */
export interface Batch {
  head: Signed
  /** The index of the first entry. */
  first: number
  entries: Uint8Array[]
  /** Where the head has more entries than these end with: that it is a head of this log. */
  path: Uint8Array[]
  /** Of the log before `first`, for who does not have that part. */
  peaks: Uint8Array[]
}

/** A batch whose head and entries are in order. That they belong together, `grow` finds. */
export interface OpenBatch {
  head: Head
  signed: Signed
  first: number
  entries: SealedEntry[]
  path: Uint8Array[]
  peaks: Uint8Array[]
}

export function encodeBatch(batch: Batch): Uint8Array {
  const bytes = encode(batchShape, batch)
  if (bytes.length > BATCH_BYTES_MAX) throw malformed('Batch', tooLong)
  return bytes
}

const tooLong = `is longer than ${BATCH_BYTES_MAX} bytes`

/** Nothing is checked but its form: whoever has this head already need not go on. */
export const decodeBatch = (bytes: Uint8Array): Batch => decode(batchShape, bytes, BATCH_BYTES_MAX)

/**
 * Checks places, entries and signature, and tells what is wrong in that order; an entry that only a
 * newer version knows comes last. `known`: this head was opened before.
 */
export function openBatch(batch: Batch, verifying: Verifying, known?: 'known'): OpenBatch {
  const { head: signed, first, path, peaks } = batch
  const head = readHead(signed)
  const end = first + batch.entries.length
  if (end > head.size) throw malformed('Batch.entries', 'reach beyond its head')
  if (end === head.size && path.length > 0) {
    throw malformed('Batch.path', 'is there, and its entries end where its head does')
  }
  if (peaks.length > 0 && peaks.length !== peakCount(first)) {
    throw malformed('Batch.peaks', `are not those of a log of ${first} entries`)
  }
  const { entries, newer } = openEntries(batch.entries)
  if (known === undefined) openHead(signed, verifying)
  if (newer !== undefined) throw newer
  return { head, signed, first, entries, path, peaks }
}

interface OpenEntries {
  entries: SealedEntry[]
  /** The refusal of the first that only a newer version knows. */
  newer: unknown
}

function openEntries(all: readonly Uint8Array[]): OpenEntries {
  const open: OpenEntries = { entries: [], newer: undefined }
  for (const bytes of all) {
    try {
      open.entries.push(decodeEntry(bytes))
    } catch (error) {
      if (!(error instanceof PeerError && error.code === 'unsupported_value')) throw error
      open.newer ??= error
    }
  }
  return open
}

/**
 * The log with the entries of the batch behind it. `before` is the log up to `first`; without it,
 * the batch's own peaks are, which the root proves as well. Throws `bad_log` when it does not
 * come to the root that was signed. `onNode` hears of each hash that it makes.
 */
export function grow(
  batch: OpenBatch,
  before: Peaks = new Peaks(batch.first, batch.peaks),
  onNode?: (node: NodeRef, hash: Uint8Array) => void,
): Peaks {
  if (before.size !== batch.first) throw new RangeError(`The log has ${before.size} entries.`)
  const { head, entries, path } = batch
  const after = before.copy()
  for (const { cid } of entries) after.append(leafHash(cid.bytes), onNode)
  const fromRoot = after.root()
  const isOfHead =
    after.size === head.size
      ? sameBytes(fromRoot, head.root)
      : isConsistent({ from: after.size, fromRoot, to: head.size, toRoot: head.root, path })
  if (isOfHead) return after
  throw badLog('These entries are not those that the head was signed for.')
}

export const badLog = (reason: string) => new PeerError('bad_log', reason, { action: 'penalise' })
