import { type FileHandle, mkdir, open, readdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { blobPath } from '../accounts/files/blob-folder.ts'
import { syncFolder } from '../base/sync-folder.ts'
import type { RawRow } from '../storage/raw-rows.ts'
import { RawStore } from '../storage/raw-store.ts'
import { blobFolder, blobOf } from './contents.ts'
import { damaged } from './errors.ts'
import type { BackupRecord } from './records.ts'
import { isDamaged } from './tally.ts'

/** Rows that are written in one piece. */
const ROWS_MAX = 4096
const ROWS_BYTES_MAX = 1024 * 1024

/** A data folder that comes into being, record by record. What it takes was checked. */
export class Staging {
  readonly #path: string
  readonly #store: RawStore
  #rows: RawRow[] = []
  #rowsBytes = 0
  #file: { path: string; at: string; handle: FileHandle } | undefined
  #isClosed = false

  private constructor(path: string, store: RawStore) {
    this.#path = path
    this.#store = store
  }

  static async open(path: string): Promise<Staging> {
    await rm(path, { recursive: true, force: true })
    await mkdir(join(path, blobFolder), { recursive: true, mode: 0o700 })
    return new Staging(path, await RawStore.open(path))
  }

  async take(record: BackupRecord): Promise<void> {
    if (record.type === 'row') await this.#row(record.key, record.value)
    else if (record.type === 'file') await this.#begin(record.path)
    else if (record.type === 'bytes') await this.#file?.handle.writeFile(record.bytes)
    else if (record.type === 'file-end') await this.#endOfFile(record.sha256)
  }

  async finish(): Promise<void> {
    await this.#write()
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#file?.handle.close()
    await this.#store.close()
  }

  async #row(key: Uint8Array, value: Uint8Array): Promise<void> {
    this.#rows.push([key, value])
    this.#rowsBytes += key.length + value.length
    const isFull = this.#rows.length >= ROWS_MAX || this.#rowsBytes >= ROWS_BYTES_MAX
    if (isFull) await this.#write()
  }

  async #write(): Promise<void> {
    // All is brought to the disk together, at the end.
    await this.#store.write(this.#rows.splice(0), { sync: false })
    this.#rowsBytes = 0
  }

  async #begin(path: string): Promise<void> {
    const sha256 = blobOf(path)
    const at =
      sha256 === undefined ? join(this.#path, path) : blobPath(join(this.#path, blobFolder), sha256)
    await mkdir(dirname(at), { recursive: true, mode: 0o700 })
    const handle = await open(at, 'wx', 0o600).catch((error: NodeJS.ErrnoException) => {
      throw error.code === 'EEXIST' ? damaged('a file that is there twice') : error
    })
    this.#file = { path, at, handle }
  }

  async #endOfFile(sha256: Uint8Array): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.handle.close()
    // Under its name everybody expects other bytes: better none, which is said to who asks for them.
    if (file !== undefined && isDamaged(file.path, sha256)) await rm(file.at)
  }

  /** Brings a whole folder to the disk. */
  static async sync(path: string): Promise<void> {
    for (const entry of await readdir(path, { withFileTypes: true })) {
      const inner = join(path, entry.name)
      if (entry.isDirectory()) await Staging.sync(inner)
      else await syncFile(inner)
    }
    await syncFolder(path)
  }
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r+')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}
