import { asMap, record, whole } from './cbor-shape.ts'
import { type Cid, entryCid } from './cid.ts'
import { type Cbor, type CborMap, decodeDagCbor, encodeDagCbor } from './dag-cbor.ts'
import { time, word } from './entry-parts.ts'
import {
  type Execution,
  executionShape,
  openReceiptOf,
  type Revocation,
  readExecution,
  revocationShape,
  segmentReceiptsOf,
} from './execution.ts'
import { malformed, unsupported } from './malformed.ts'
import { sameBytes } from './octets.ts'
import { openDigest, receiptDigest } from './receipt.ts'
import { type Routing, readRouting } from './routing.ts'

/** A record of the log is small; the longest has 128 segments. */
export const ENTRY_BYTES_MAX = 32 * 1024
const bounds = { bytesMax: ENTRY_BYTES_MAX, depthMax: 8, valuesMax: 4096 }

const VERSION = 1

/** One record of a log. Kinds and keys of a newer version stay in it as they are. */
export interface Entry {
  kind: string
  /** Milliseconds since 1970, by its author's clock. */
  at: number
  body: CborMap
}

/** An entry, its one spelling and what that is called. */
export interface SealedEntry {
  entry: Entry
  bytes: Uint8Array
  cid: Cid
  /** What its body says, where who sealed it has read it. */
  read?: Body
}

export const entryShape = record('Entry', {
  v: whole('1', { min: VERSION, max: VERSION }),
  kind: word,
  at: time,
  body: { type: 'body', read: asMap, write: (body: CborMap): Cbor => body },
})

/** Throws `malformed` for one that others would refuse. */
export function encodeEntry(entry: Entry): SealedEntry {
  const bytes = encodeDagCbor(entryShape.write({ v: VERSION, ...entry }))
  if (bytes.length > ENTRY_BYTES_MAX) {
    throw malformed('Entry', `is longer than ${ENTRY_BYTES_MAX} bytes`)
  }
  return { entry, bytes, cid: entryCid(bytes) }
}

/** Says nothing of the body: see `readBody`. */
export function decodeEntry(bytes: Uint8Array): SealedEntry {
  const map = asMap(decodeDagCbor(bytes, 'Entry', bounds), 'Entry')
  // What else another version has is not known here, so that nothing more is asked of it.
  if (typeof map.v === 'number' && map.v >= 0 && map.v !== VERSION) {
    throw unsupported('unsupported_value', 'Entry.v', 'is another version')
  }
  const { v: _, ...entry } = entryShape.read(map, 'Entry')
  return { entry, bytes, cid: entryCid(bytes) }
}

export type Body =
  | { kind: 'execution'; body: Execution }
  | { kind: 'routing'; body: Routing }
  | { kind: 'revocation'; body: Revocation }

/** Undefined for a kind of a newer version; throws `malformed` for a body that is not its kind's. */
export function readBody({ kind, body }: Entry): Body | undefined {
  switch (kind) {
    case 'execution':
      return { kind, body: readExecution(body) }
    case 'routing':
      return { kind, body: readRouting(body) }
    case 'revocation':
      return { kind, body: revocationShape.read(body, 'Revocation') }
    default:
      return undefined
  }
}

/** Throws `malformed` for one that others would refuse. */
export function executionEntry(at: number, execution: Execution): SealedEntry {
  const body = executionShape.write(execution)
  const read = readExecution(body)
  return {
    ...encodeEntry({ kind: 'execution', at, body }),
    read: { kind: 'execution', body: read },
  }
}

/** `body` is what `signRouting` made. Throws `malformed` for one that others would refuse. */
export function routingEntry(at: number, body: CborMap): SealedEntry {
  const read = readRouting(body)
  return { ...encodeEntry({ kind: 'routing', at, body }), read: { kind: 'routing', body: read } }
}

export const revocationEntry = (at: number, revocation: Revocation): SealedEntry =>
  encodeEntry({ kind: 'revocation', at, body: revocationShape.write(revocation) })

/** By what an entry is found, besides its own CID. All of it are digests of 32 bytes. */
export interface References {
  /** RYV1 receipts in it. */
  receipts: Uint8Array[]
  /** The open receipt in it. */
  opens: Uint8Array[]
  /** Entries that it is about. */
  entries: Uint8Array[]
}

/** None for a body that is not as its kind's should be: a log may hold what nobody can read. */
export function referencesOf(entry: Entry): References {
  const none = { receipts: [], opens: [], entries: [] }
  const read = tryToReadBody(entry)
  if (read?.kind === 'execution') {
    const receipts = [receiptDigest(read.body.receipt)]
    return { ...none, receipts, opens: [openDigest(openReceiptOf(read.body))] }
  }
  if (read?.kind !== 'routing') return none
  const { parts, whole } = read.body
  const receipts = [whole, ...parts.map(({ receipt }) => receipt)]
  return {
    ...none,
    receipts: receipts.flatMap((receipt) => (receipt ? [receiptDigest(receipt)] : [])),
    entries: parts.flatMap(({ execution }) => (execution ? [execution.digest] : [])),
  }
}

/** Whether this is the digest of a receipt in it: of the whole, of a segment, of an open one. */
export function entryMentions(entry: Entry, digest: Uint8Array): boolean {
  const { receipts, opens } = referencesOf(entry)
  if ([...receipts, ...opens].some((each) => sameBytes(each, digest))) return true
  const read = tryToReadBody(entry)
  if (read?.kind !== 'execution') return false
  return segmentReceiptsOf(read.body).some((each) => sameBytes(receiptDigest(each), digest))
}

/** Undefined also for a body that is not as its kind's should be. */
export function tryToReadBody(entry: Entry): Body | undefined {
  try {
    return readBody(entry)
  } catch {
    return undefined
  }
}
