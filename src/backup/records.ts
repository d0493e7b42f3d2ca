import { messageOf } from '../base/errors.ts'
import { rawLimits } from '../storage/raw-store.ts'
import { damaged } from './errors.ts'

// What stands in a backup once it is decrypted: records, one behind the other, each with its type, its
// length and its bytes. protocols/backup/spec.md has them.

export interface Manifest {
  /** When the rows were as they are here. */
  createdAt: number
  /** The version of the program that wrote it. */
  program: string
  peerId: string
  /** The format of the rows, and the first program that reads it. */
  schema: { version: number; program: string }
}

export interface Totals {
  rows: number
  files: number
  /** Of the content of files. */
  fileBytes: number
}

export type BackupRecord =
  | { type: 'manifest'; manifest: Manifest }
  | { type: 'row'; key: Uint8Array; value: Uint8Array }
  | { type: 'file'; path: string; size: number }
  | { type: 'bytes'; bytes: Uint8Array }
  | { type: 'file-end'; sha256: Uint8Array }
  | { type: 'end'; totals: Totals }

const types = ['manifest', 'row', 'file', 'bytes', 'file-end', 'end'] as const
type Type = (typeof types)[number]

const HEAD_BYTES = 5
const HASH_BYTES = 32
const PATH_BYTES_MAX = 128
const JSON_BYTES_MAX = 4096

/** Of the content of a file, in one record. */
export const FILE_PIECE_BYTES = 64 * 1024

const bytesMax: Record<Type, number> = {
  manifest: JSON_BYTES_MAX,
  row: 2 + rawLimits.keyBytesMax + rawLimits.valueBytesMax,
  file: 8 + PATH_BYTES_MAX,
  bytes: FILE_PIECE_BYTES,
  'file-end': HASH_BYTES,
  end: JSON_BYTES_MAX,
}

/** Pieces of this size cost little each, and little memory. */
const PIECE_BYTES = 64 * 1024

export async function* encodeRecords(
  records: AsyncIterable<BackupRecord>,
): AsyncGenerator<Uint8Array> {
  let held: Uint8Array[] = []
  let length = 0
  for await (const record of records) {
    for (const bytes of encoded(record)) {
      held.push(bytes)
      length += bytes.length
    }
    if (length < PIECE_BYTES) continue
    yield Buffer.concat(held)
    held = []
    length = 0
  }
  if (length > 0) yield Buffer.concat(held)
}

function encoded(record: BackupRecord): Uint8Array[] {
  const payload = payloadOf(record)
  const head = Buffer.alloc(HEAD_BYTES)
  head[0] = types.indexOf(record.type) + 1
  head.writeUInt32BE(
    payload.reduce((sum, { length }) => sum + length, 0),
    1,
  )
  return [head, ...payload]
}

function payloadOf(record: BackupRecord): Uint8Array[] {
  switch (record.type) {
    case 'manifest': {
      const { createdAt, program, peerId, schema } = record.manifest
      return [json({ created_at: createdAt, program, peer_id: peerId, schema })]
    }
    case 'row': {
      const length = Buffer.alloc(2)
      length.writeUInt16BE(record.key.length)
      return [length, record.key, record.value]
    }
    case 'file': {
      const size = Buffer.alloc(8)
      size.writeBigUInt64BE(BigInt(record.size))
      return [size, Buffer.from(record.path)]
    }
    case 'bytes':
      return [record.bytes]
    case 'file-end':
      return [record.sha256]
    case 'end': {
      const { rows, files, fileBytes } = record.totals
      return [json({ rows, files, file_bytes: fileBytes })]
    }
  }
}

const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value))

/** The records in these bytes; throws `backup_damaged` at one that is none. */
export async function* readRecords(
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<BackupRecord> {
  let pieces: Uint8Array[] = []
  let length = 0
  let needed = HEAD_BYTES
  for await (const piece of source) {
    pieces.push(piece)
    length += piece.length
    if (length < needed) continue
    let all = Buffer.concat(pieces)
    for (;;) {
      needed = neededBytes(all)
      if (all.length < needed) break
      yield decoded(all.subarray(0, needed))
      all = all.subarray(needed)
    }
    pieces = [all]
    length = all.length
  }
  if (length > 0) throw damaged('it ends in the middle of a record')
}

/** Of the record at the beginning, as far as that is known; its length is checked first. */
function neededBytes(bytes: Buffer): number {
  if (bytes.length < HEAD_BYTES) return HEAD_BYTES
  const length = bytes.readUInt32BE(1)
  const type = types[(bytes[0] ?? 0) - 1]
  if (type === undefined) throw damaged(`a record of type ${bytes[0]}`)
  if (length > bytesMax[type]) throw damaged(`a ${type} of ${length} bytes`)
  return HEAD_BYTES + length
}

function decoded(bytes: Buffer): BackupRecord {
  const type = types[(bytes[0] ?? 0) - 1] as Type
  const payload = bytes.subarray(HEAD_BYTES)
  try {
    return read(type, payload)
  } catch (error) {
    throw damaged(`a ${type} that cannot be read: ${messageOf(error)}`)
  }
}

function read(type: Type, payload: Buffer): BackupRecord {
  switch (type) {
    case 'manifest':
      return { type, manifest: readManifest(parsed(payload)) }
    case 'row': {
      const end = 2 + payload.readUInt16BE()
      const [key, value] = [payload.subarray(2, end), payload.subarray(end)]
      if (key.length < end - 2 || key.length === 0) throw new RangeError('its key is cut off')
      if (key.length > rawLimits.keyBytesMax) throw new RangeError('its key is too long')
      return { type, key, value }
    }
    case 'file': {
      const size = Number(payload.readBigUInt64BE())
      if (!Number.isSafeInteger(size)) throw new RangeError('its size is out of bounds')
      return { type, size, path: text.decode(payload.subarray(8)) }
    }
    case 'bytes':
      if (payload.length === 0) throw new RangeError('it is empty')
      return { type, bytes: payload }
    case 'file-end':
      if (payload.length !== HASH_BYTES) throw new RangeError('its hash is cut off')
      return { type, sha256: payload }
    case 'end': {
      const { rows, files, file_bytes: fileBytes } = parsed(payload)
      return {
        type,
        totals: { rows: count(rows), files: count(files), fileBytes: count(fileBytes) },
      }
    }
  }
}

const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function parsed(payload: Uint8Array): Record<string, unknown> {
  const value: unknown = JSON.parse(text.decode(payload))
  if (typeof value !== 'object' || value === null) throw new TypeError('not an object')
  return value as Record<string, unknown>
}

function readManifest(value: Record<string, unknown>): Manifest {
  const { created_at: createdAt, program, peer_id: peerId, schema } = value
  const { version, program: reader } = (schema ?? {}) as Record<string, unknown>
  for (const each of [program, peerId, reader]) {
    if (typeof each !== 'string') throw new TypeError('a text is missing')
  }
  return {
    createdAt: count(createdAt),
    program: String(program),
    peerId: String(peerId),
    schema: { version: count(version), program: String(reader) },
  }
}

function count(value: unknown): number {
  if (Number.isSafeInteger(value) && Number(value) >= 0) return Number(value)
  throw new TypeError('a number is missing')
}
