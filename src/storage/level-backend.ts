import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import { messageOf } from '../base/errors.ts'
import type { Backend, KeyRange, Row } from './backend.ts'
import {
  DataDirInUseError,
  StorageClosedError,
  StorageCorruptError,
  StorageUnavailableError,
} from './errors.ts'

export const defaultLevel = {
  /** Read cache; the working set of a peer (keys, heads, ledger tops) is far below it. */
  cacheBytes: 8 * 1024 * 1024,
  /** Up to two of these are in memory, and one is replayed at a start after a crash. */
  writeBufferBytes: 4 * 1024 * 1024,
  /** 64 tables of 2 MB, which are mapped, and so count as memory once they are read; 10 others. */
  openFilesMax: 74,
}

/** Rows fetched ahead by an iterator: at most this many, and about `READ_AHEAD_BYTES`. */
const READ_AHEAD_ROWS = 256
const READ_AHEAD_BYTES = 64 * 1024

type Db = Level<Uint8Array, Uint8Array>

/** LevelDB in `<dataDir>/store`. The lock file in it makes it this process's alone. */
export async function openLevel(dataDir: string, options = defaultLevel): Promise<Backend> {
  const dir = join(dataDir, 'store')
  try {
    // The rows hold what others said in confidence: closed to them even where the data dir is not.
    await mkdir(dir, { recursive: true, mode: 0o700 })
    await refuseHeadless(dir)
    const db: Db = new Level(dir, {
      keyEncoding: 'view',
      valueEncoding: 'view',
      cacheSize: options.cacheBytes,
      writeBufferSize: options.writeBufferBytes,
      maxOpenFiles: options.openFilesMax,
    })
    await db.open()
    return new LevelBackend(db)
  } catch (error) {
    throw openFailure(dataDir, dir, error)
  }
}

/**
 * Where the file CURRENT is gone, LevelDB begins a new database and deletes what is left of the old
 * one. At a first start that was interrupted there are no rows yet.
 */
async function refuseHeadless(dir: string): Promise<void> {
  const names = await readdir(dir)
  if (names.includes('CURRENT') || !names.some((name) => /^\d+\.(log|ldb|sst)$/.test(name))) return
  throw new StorageCorruptError(`The database in ${dir} has lost files.`)
}

class LevelBackend implements Backend {
  readonly #db: Db

  constructor(db: Db) {
    this.#db = db
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return plain(await this.#db.get(key).catch(readFailure))
  }

  async getMany(keys: Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return (await this.#db.getMany(keys).catch(readFailure)).map(plain)
  }

  async *range({
    gte,
    lt,
    reverse,
    limit,
    signal,
  }: KeyRange): AsyncGenerator<[Uint8Array, Uint8Array]> {
    const iterator = this.#db.iterator({
      gte,
      lt,
      reverse,
      limit,
      highWaterMarkBytes: READ_AHEAD_BYTES,
      signal,
    })
    try {
      for (;;) {
        const rows = await iterator.nextv(READ_AHEAD_ROWS).catch((error: unknown) => {
          signal?.throwIfAborted()
          return readFailure(error)
        })
        if (rows.length === 0) return
        for (const [key, value] of rows) yield [plain(key), plain(value)]
      }
    } finally {
      await iterator.close()
    }
  }

  write(rows: readonly Row[], sync: boolean): Promise<void> {
    return this.#db.batch([...rows], { sync })
  }

  close(): Promise<void> {
    return this.#db.close()
  }
}

/** LevelDB hands out Node Buffers, whose `slice` and JSON differ from those of a Uint8Array. */
function plain(bytes: Uint8Array): Uint8Array
function plain(bytes: Uint8Array | undefined): Uint8Array | undefined
function plain(bytes: Uint8Array | undefined): Uint8Array | undefined {
  return bytes && new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** The codes of an error and of everything that caused it. */
function codesOf(error: unknown): Set<unknown> {
  const codes = new Set<unknown>()
  for (let at = error; at instanceof Error; at = at.cause)
    codes.add((at as { code?: unknown }).code)
  return codes
}

function readFailure(error: unknown): never {
  const codes = codesOf(error)
  // The store was closed while an iteration was under way.
  if (codes.has('LEVEL_ITERATOR_NOT_OPEN') || codes.has('LEVEL_DATABASE_NOT_OPEN')) {
    throw new StorageClosedError()
  }
  if (codes.has('LEVEL_CORRUPTION') || codes.has('LEVEL_IO_ERROR')) {
    throw new StorageCorruptError("A part of the database can't be read.", error)
  }
  throw error
}

function openFailure(dataDir: string, dir: string, error: unknown): Error {
  if (error instanceof StorageCorruptError) return error
  const codes = codesOf(error)
  if (codes.has('LEVEL_LOCKED')) return new DataDirInUseError(dataDir, error)
  if (codes.has('LEVEL_CORRUPTION')) {
    return new StorageCorruptError(`The database in ${dir} is damaged.`, error)
  }
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
  // LevelDB reports a file of its own that is missing as trouble with the disk.
  if (/^IO error: .*: No such file/.test(messageOf(cause))) {
    return new StorageCorruptError(`The database in ${dir} has lost files.`, error)
  }
  return new StorageUnavailableError(dir, `${messageOf(cause)}.`, error)
}
