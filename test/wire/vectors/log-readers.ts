import { PeerError } from '../../../src/base/errors.ts'
import { canonicalJson, decodeUtf8 } from '../../../src/wire/canonical-json.ts'
import { Cid, entryCid } from '../../../src/wire/cid.ts'
import {
  type Cbor,
  type CborMap,
  decodeDagCbor,
  encodeDagCbor,
} from '../../../src/wire/dag-cbor.ts'
import { decodeEntry, ENTRY_BYTES_MAX, readBody } from '../../../src/wire/entry.ts'
import { equivocationShape, openEquivocation } from '../../../src/wire/equivocation.ts'
import { openHead, signedHeadShape } from '../../../src/wire/head.ts'
import {
  batchShape,
  decodeBatch,
  encodeBatch,
  grow,
  openBatch,
} from '../../../src/wire/log-batch.ts'
import { checkProof, readProof } from '../../../src/wire/proof.ts'
import { readRouting, routingHolds } from '../../../src/wire/routing.ts'
import { decode, encode } from '../../../src/wire/shape.ts'
import { signPayload } from '../../../src/wire/signed.ts'
import {
  decodeLogMessage,
  decodeSyncAnswer,
  decodeSyncRequest,
  encodeLogMessage,
  encodeSyncAnswer,
  encodeSyncRequest,
  openFound,
} from '../../../src/wire/sync.ts'
import {
  foundShape,
  logMessageShape,
  syncAnswerShape,
  syncRequestShape,
} from '../../../src/wire/sync-shape.ts'
import { alice, both, network } from './cases.ts'
import { packHex } from './packed-hex.ts'
import { oneofJson, plainJson, reader, type VectorReader } from './reader.ts'

const signing = { network, sign: (message: Uint8Array) => alice.sign(message) }
const verifying = { network, verify: both }

const MAX = Number.MAX_SAFE_INTEGER
const entryBounds = { bytesMax: ENTRY_BYTES_MAX, depthMax: 8, valuesMax: 4096 }
const decodeAny = (bytes: Uint8Array) => decodeDagCbor(bytes, 'DagCbor', entryBounds)

/** As protocols/log/spec.md says. */
function cborJson(value: Cbor | undefined): unknown {
  if (value instanceof Uint8Array) return packHex(value)
  if (value instanceof Cid) return { '/': `${value}` }
  if (Array.isArray(value)) return value.map(cborJson)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, cborJson(each)]))
}

function openEntry(bytes: Uint8Array) {
  const { entry, cid } = decodeEntry(bytes)
  readBody(entry)
  return cid
}

function openRouting(bytes: Uint8Array): CborMap {
  const body = decodeAny(bytes) as CborMap
  readRouting(body)
  if (!routingHolds(body, verifying)) throw new PeerError('bad_signature', 'It is not signed.')
  return body
}

const openSigned = (bytes: Uint8Array) => decode(signedHeadShape, bytes, MAX)

function openProof(bytes: Uint8Array) {
  const text = decodeUtf8(bytes, 'proof')
  const proof = readProof(text)
  if (!checkProof(proof, { verify: both }).holds) {
    throw new PeerError('does_not_hold', 'Not all of it holds.')
  }
  return JSON.parse(text)
}

function openWholeBatch(bytes: Uint8Array) {
  const batch = decodeBatch(bytes)
  grow(openBatch(batch, verifying))
  return batch
}

/** For a reader who asked for the entry that is in it. */
function openAnyFound(bytes: Uint8Array) {
  const found = decode(foundShape, bytes, MAX)
  openFound(found, entryCid(found.entry), verifying)
  return found
}

function openClaim(bytes: Uint8Array) {
  const claim = decode(equivocationShape, bytes, MAX)
  openEquivocation(claim, verifying)
  return claim
}

export const logReaders: Record<string, VectorReader> = {
  DagCbor: reader(
    (bytes) => [decodeAny(bytes)],
    ([value]) => encodeDagCbor(value as Cbor),
    (bytes) => cborJson(decodeAny(bytes)),
  ),
  Entry: reader(
    (bytes) => [openEntry(bytes), decodeAny(bytes)],
    ([, value]) => encodeDagCbor(value as Cbor),
    (bytes) => ({ cid: `${openEntry(bytes)}`, entry: cborJson(decodeAny(bytes)) }),
  ),
  SignedHead: reader(
    (bytes) => {
      openHead(openSigned(bytes), verifying)
      return decodeAny(openSigned(bytes).payload)
    },
    (head) => encode(signedHeadShape, signPayload('head', encodeDagCbor(head), signing)),
    (bytes) => cborJson(decodeAny(openSigned(bytes).payload)),
  ),
  Routing: reader(openRouting, encodeDagCbor, (bytes) => cborJson(openRouting(bytes))),
  Proof: reader(openProof, (file) => new TextEncoder().encode(canonicalJson(file)), openProof),
  SyncRequest: reader(decodeSyncRequest, encodeSyncRequest, (bytes) =>
    oneofJson(syncRequestShape as never, bytes),
  ),
  SyncAnswer: reader(decodeSyncAnswer, encodeSyncAnswer, (bytes) =>
    oneofJson(syncAnswerShape as never, bytes),
  ),
  LogMessage: reader(decodeLogMessage, encodeLogMessage, (bytes) =>
    oneofJson(logMessageShape as never, bytes),
  ),
  OpenBatch: reader(openWholeBatch, encodeBatch, (bytes) => plainJson(batchShape, bytes)),
  OpenFound: reader(
    openAnyFound,
    (found) => encode(foundShape, found),
    (bytes) => plainJson(foundShape, bytes),
  ),
  OpenEquivocation: reader(
    openClaim,
    (claim) => encode(equivocationShape, claim),
    (bytes) => plainJson(equivocationShape, bytes),
  ),
}
