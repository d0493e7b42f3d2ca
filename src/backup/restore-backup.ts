import { constants, createReadStream } from 'node:fs'
import { type FileHandle, open, rm } from 'node:fs/promises'
import { type Clock, systemClock } from '../base/clock.ts'
import { PeerError } from '../base/errors.ts'
import { silentLogger } from '../base/logger.ts'
import { readIdentity } from '../identity/key-file.ts'
import { markRestored } from '../receipts/feeds/own-restored.ts'
import { StorageVersionError } from '../storage/errors.ts'
import { newestFormat } from '../storage/raw-store.ts'
import { openStore } from '../storage/store.ts'
import { checked } from './checked.ts'
import { opened } from './chunks.ts'
import { damaged, fileFailure } from './errors.ts'
import { type AskPassphrase, HEADER_BYTES, openHeader } from './header.ts'
import { type BackupRecord, type Manifest, readRecords } from './records.ts'
import { Staging } from './staging.ts'
import { checkFolder, moveIn, stagingOf } from './swap.ts'
import { type Facts, facts, type Progress, Tally } from './tally.ts'

export interface RestoreOptions {
  file: string
  dataDir: string
  passphrase: AskPassphrase
  /** Moves a folder that is there aside. */
  force: boolean
  clock?: Clock
  onProgress?: (progress: Progress & { of: number }) => void
  signal: AbortSignal
}

export interface RestoreReport extends Facts {
  dataDir: string
  /** Where the folder is now that was there before. */
  movedTo: string | null
}

/**
 * Makes a data folder out of a backup. All of it is read and checked before anything is put in its
 * place; until then, and whatever goes wrong, the folder is as it was.
 */
export async function restoreBackup(options: RestoreOptions): Promise<RestoreReport> {
  const { file, dataDir, force, signal, clock = systemClock } = options
  const source = await openSource(file)
  try {
    const target = await checkFolder(dataDir, force)
    const { key, header } = await openHeader(await beginningOf(source), options.passphrase)
    const path = stagingOf(target)
    const tally = new Tally()
    try {
      const chunks = opened(piecesOf(source, options, tally), { key, header })
      await fill(path, tally.watch(checked(readRecords(chunks))), signal)
      await settle(path, tally.manifest as Manifest, clock.now())
      signal.throwIfAborted()
      const movedTo = (await moveIn(path, target, clock.now())) ?? null
      return { ...facts(tally), dataDir: target.dir, movedTo }
    } finally {
      await rm(path, { recursive: true, force: true })
    }
  } catch (error) {
    throw fileFailure(`Cannot restore into ${dataDir}`, error)
  } finally {
    await source.close()
  }
}

async function openSource(file: string): Promise<FileHandle> {
  // Without this, opening a pipe would wait for its writer for ever.
  const flags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)
  const source = await open(file, flags).catch((error: unknown) => {
    throw fileFailure(`Cannot read ${file}`, error)
  })
  if ((await source.stat()).isFile()) return source
  await source.close()
  throw new PeerError('backup_foreign', `${file} is not a file.`)
}

async function beginningOf(source: FileHandle): Promise<Buffer> {
  const memory = Buffer.alloc(HEADER_BYTES)
  const { bytesRead } = await source.read(memory, 0, HEADER_BYTES, 0)
  return memory.subarray(0, bytesRead)
}

/** The encrypted rest of the file. */
async function* piecesOf(
  source: FileHandle,
  { file, signal, onProgress }: RestoreOptions,
  tally: Tally,
): AsyncGenerator<Uint8Array> {
  const { size } = await source.stat()
  let bytes = HEADER_BYTES
  const options = { fd: source, autoClose: false, start: HEADER_BYTES, highWaterMark: 256 * 1024 }
  for await (const piece of createReadStream(file, options)) {
    signal.throwIfAborted()
    bytes += piece.length
    yield piece
    onProgress?.({ rows: tally.rows, files: tally.files, bytes, of: size })
  }
}

async function fill(
  path: string,
  records: AsyncIterable<BackupRecord>,
  signal: AbortSignal,
): Promise<void> {
  const staging = await Staging.open(path)
  try {
    for await (const record of records) {
      signal.throwIfAborted()
      if (record.type === 'manifest') refuseNewer(record.manifest)
      else await staging.take(record)
    }
    await staging.finish()
  } finally {
    await staging.close()
  }
}

function refuseNewer({ schema }: Manifest): void {
  const newest = newestFormat()
  if (schema.version > newest) {
    throw new StorageVersionError(schema.version, newest, schema.program)
  }
}

/** Opens what was restored as a peer will, and has it go on in a log of its own. */
async function settle(path: string, manifest: Manifest, now: number): Promise<void> {
  const identity = await readIdentity(path)
  if (identity?.peerId !== manifest.peerId) throw damaged('its key is not that of its peer')
  const store = await openStore(path, { logger: silentLogger })
  try {
    await markRestored(store, now)
  } finally {
    await store.close()
  }
  await Staging.sync(path)
}
