import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import { base64pad } from 'multiformats/bases/base64'
import type { Json } from './canonical-json.ts'
import { ENTRY_BYTES_MAX } from './entry.ts'
import { HEAD_BYTES_MAX } from './head.ts'
import { parseIJson } from './i-json.ts'
import { readArray, readInteger, readString } from './json-reader.ts'
import { malformed } from './malformed.ts'
import { PATH_MAX } from './merkle.ts'
import type { Receipt } from './receipt.ts'
import { PARTS_MAX } from './routing.ts'
import { jobId, networkName, type TextRule } from './rules.ts'
import type { Found } from './sync.ts'

/** A receipt, and the entries that tell of it, each with its place in its author's log. */
export interface Proof {
  network: string
  receipt: Receipt
  entries: Found[]
}

const OBJECT = 'receipt_proof'
const VERSION = 'PNV1'

/** The routing, and the execution of each part. */
const ENTRIES_MAX = PARTS_MAX + 1
/** So many of the largest entries in base64 are 1.6 MB; members of a newer version have the rest. */
export const fileBounds = { bytesMax: 4 * 1024 * 1024, depthMax: 16, valuesMax: 32_768 }

/** As it is kept, sent and put into a file: `protocols/log/proof.schema.json`. */
export const proofJson = ({ network, receipt, entries }: Proof) => ({
  object: OBJECT,
  version: VERSION,
  network,
  receipt: receiptJson(receipt),
  entries: entries.map(foundJson),
})

export type ProofJson = ReturnType<typeof proofJson>

export const receiptJson = (receipt: Receipt) => ({
  job_id: receipt.jobId,
  node_pk: bytesToHex(receipt.nodePk),
  result_hash: bytesToHex(receipt.resultHash),
  metering_units: receipt.meteringUnits,
  signature: base64pad.baseEncode(receipt.signature),
})

export const foundJson = ({ head, index, entry, path }: Found) => ({
  entry: base64pad.baseEncode(entry),
  index,
  path: path.map(bytesToHex),
  head: base64pad.baseEncode(head.payload),
  head_signature: base64pad.baseEncode(head.signature),
})

/** Throws `malformed` for what is no such file. What is in it is not checked: see `checkProof`. */
export const readProof = (text: string): Proof =>
  readProofJson(parseIJson(text, 'proof', fileBounds))

/** Of what was parsed already. */
export function readProofJson(value: Json): Proof {
  const file = members(value, 'proof')
  if (file.object !== OBJECT || file.version !== VERSION) {
    throw malformed('proof', `is no ${OBJECT} of version ${VERSION}`)
  }
  return {
    network: readText(file.network, 'network', networkName),
    receipt: readReceipt(file.receipt),
    entries: readArray(file.entries, 'entries', { min: 0, max: ENTRIES_MAX }, readFound),
  }
}

function readReceipt(value: Json | undefined): Receipt {
  const fields = members(value, 'receipt')
  return {
    jobId: readText(fields.job_id, 'receipt.job_id', jobId),
    nodePk: readHex(fields.node_pk, 'receipt.node_pk'),
    resultHash: readHex(fields.result_hash, 'receipt.result_hash'),
    meteringUnits: readInteger(fields.metering_units, 'receipt.metering_units', {
      ...counts,
      min: 1,
    }),
    signature: readBase64(fields.signature, 'receipt.signature', { min: 64, max: 64 }),
  }
}

const counts = { min: 0, max: Number.MAX_SAFE_INTEGER }

function readFound(value: Json, where: string): Found {
  const fields = members(value, where)
  const at = (key: string) => `${where}.${key}`
  return {
    entry: readBase64(fields.entry, at('entry'), { min: 1, max: ENTRY_BYTES_MAX }),
    index: readInteger(fields.index, at('index'), counts),
    path: readArray(fields.path, at('path'), { min: 0, max: PATH_MAX }, readHex),
    head: {
      payload: readBase64(fields.head, at('head'), { min: 1, max: HEAD_BYTES_MAX }),
      signature: readBase64(fields.head_signature, at('head_signature'), { min: 64, max: 64 }),
    },
  }
}

/** Those that are not known are passed over. */
function members(value: Json | undefined, where: string): Record<string, Json | undefined> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  throw malformed(where, 'is not an object')
}

/** Of ASCII: as many bytes as characters. */
function readText(value: Json | undefined, where: string, rule: TextRule): string {
  const text = readString(value, where)
  if (text.length <= rule.bytesMax && rule.pattern.test(text)) return text
  throw malformed(where, rule.says)
}

function readHex(value: Json | undefined, where: string): Uint8Array {
  const text = readString(value, where)
  if (!/^[0-9a-f]{64}$/.test(text)) throw malformed(where, 'is not 64 hex digits')
  return hexToBytes(text)
}

function readBase64(
  value: Json | undefined,
  where: string,
  { min, max }: { min: number; max: number },
): Uint8Array {
  const bytes = decodeBase64(readString(value, where), max)
  if (bytes === undefined) throw malformed(where, 'is not base64, or too long')
  if (bytes.length < min) throw malformed(where, `has less than ${min} bytes`)
  return bytes
}

/** Undefined for any other spelling than the one that it writes. */
function decodeBase64(text: string, max: number): Uint8Array | undefined {
  if (text.length > Math.ceil(max / 3) * 4) return undefined
  try {
    const bytes = base64pad.baseDecode(text)
    return bytes.length <= max && base64pad.baseEncode(bytes) === text ? bytes : undefined
  } catch {
    return undefined
  }
}
