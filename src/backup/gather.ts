import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { blobPath, blobPrefixes, blobsOf } from '../accounts/files/blob-folder.ts'
import type { FileStore } from '../accounts/files/file-store.ts'
import type { Clock } from '../base/clock.ts'
import { PeerError } from '../base/errors.ts'
import type { RawRange } from '../storage/raw-rows.ts'
import type { Snapshot } from '../storage/raw-store.ts'
import { blobFolder, cacheTables, type OwnFile, ownFileNames, ownFiles } from './contents.ts'
import { type BackupRecord, FILE_PIECE_BYTES, type Totals } from './records.ts'

export interface GatherComponents {
  store: { snapshot(range: RawRange): Promise<Snapshot> }
  /** Of a peer that goes on working meanwhile. */
  files?: Pick<FileStore, 'hold'> | undefined
  clock: Clock
}

export interface GatherOptions {
  folder: string
  peerId: string
  /** The version of this program. */
  program: string
  signal: AbortSignal
}

/**
 * The rows of a peer as they are at one moment, then the files that they speak of. It may go on
 * working: a file is written before its row is, and none is taken away until this is over.
 */
export async function* gathered(
  { store, files, clock }: GatherComponents,
  { folder, peerId, program, signal }: GatherOptions,
): AsyncGenerator<BackupRecord> {
  const release = files?.hold() ?? (() => {})
  try {
    const { schema, rows } = await store.snapshot({ without: cacheTables, signal })
    if (schema === undefined) throw nothingThere(folder)
    yield { type: 'manifest', manifest: { createdAt: clock.now(), program, peerId, schema } }
    const totals: Totals = { rows: 0, files: 0, fileBytes: 0 }
    for await (const [key, value] of rows) {
      totals.rows += 1
      yield { type: 'row', key, value }
    }
    for await (const record of blobs(join(folder, blobFolder), signal)) {
      if (record.type === 'file') totals.files += 1
      if (record.type === 'bytes') totals.fileBytes += record.bytes.length
      yield record
    }
    yield { type: 'end', totals }
  } finally {
    release()
  }
}

export const nothingThere = (folder: string): PeerError =>
  new PeerError(
    'backup_nothing',
    `There is no peer in ${folder} to make a backup of. Name its folder with --data-dir.`,
  )

async function* blobs(folder: string, signal: AbortSignal): AsyncGenerator<BackupRecord> {
  for (const prefix of blobPrefixes) {
    for (const sha256 of await blobsOf(folder, prefix)) {
      // One that came after the rows may be gone again: nobody will miss it.
      const file = await openBlob(blobPath(folder, sha256))
      if (file === undefined) continue
      try {
        yield* fileRecords(`${blobFolder}/${sha256}`, file, signal)
      } finally {
        await file.close()
      }
    }
  }
}

async function openBlob(path: string): Promise<FileHandle | undefined> {
  // Without this, opening a pipe would wait for its writer for ever.
  const flags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)
  const file = await open(path, flags).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (file === undefined || (await file.stat()).isFile()) return file
  await file.close()
  throw new PeerError('backup_failed', `${path} is not a plain file. Look at it.`)
}

async function* fileRecords(
  path: string,
  file: FileHandle,
  signal: AbortSignal,
): AsyncGenerator<BackupRecord> {
  const { size } = await file.stat()
  yield { type: 'file', path, size }
  const hash = createHash('sha256')
  for (let at = 0; at < size; ) {
    signal.throwIfAborted()
    const memory = Buffer.allocUnsafe(Math.min(FILE_PIECE_BYTES, size - at))
    const { bytesRead } = await file.read(memory, 0, memory.length, at)
    if (bytesRead === 0) throw new Error(`${path} became shorter while it was read`)
    const bytes = memory.subarray(0, bytesRead)
    hash.update(bytes)
    at += bytesRead
    yield { type: 'bytes', bytes }
  }
  yield { type: 'file-end', sha256: hash.digest() }
}

/** The peer's own files, which are small. */
export async function readOwnFiles(folder: string): Promise<Map<OwnFile, Buffer>> {
  const found = new Map<OwnFile, Buffer>()
  for (const name of ownFileNames) {
    const { bytesMax, needed } = ownFiles[name]
    const file = await openBlob(join(folder, name))
    if (file === undefined && needed) throw nothingThere(folder)
    if (file === undefined) continue
    try {
      const memory = Buffer.alloc(bytesMax + 1)
      const { bytesRead } = await file.read(memory, 0, memory.length, 0)
      if (bytesRead > bytesMax) {
        const message = `${join(folder, name)} is too large to be what it is named. Look at it.`
        throw new PeerError('backup_failed', message)
      }
      found.set(name, memory.subarray(0, bytesRead))
    } finally {
      await file.close()
    }
  }
  return found
}

/** Puts the peer's own files behind the manifest. */
export async function* withOwnFiles(
  records: AsyncIterable<BackupRecord>,
  own: ReadonlyMap<OwnFile, Buffer>,
): AsyncGenerator<BackupRecord> {
  let ownBytes = 0
  for await (const record of records) {
    if (record.type !== 'end') yield record
    if (record.type === 'manifest') {
      for (const [path, bytes] of own) {
        ownBytes += bytes.length
        yield* ownRecords(path, bytes)
      }
    } else if (record.type === 'end') {
      const { rows, files, fileBytes } = record.totals
      const totals = { rows, files: files + own.size, fileBytes: fileBytes + ownBytes }
      yield { type: 'end', totals }
    }
  }
}

function* ownRecords(path: OwnFile, bytes: Buffer): Generator<BackupRecord> {
  yield { type: 'file', path, size: bytes.length }
  for (let at = 0; at < bytes.length; at += FILE_PIECE_BYTES) {
    yield { type: 'bytes', bytes: bytes.subarray(at, at + FILE_PIECE_BYTES) }
  }
  yield { type: 'file-end', sha256: createHash('sha256').update(bytes).digest() }
}
