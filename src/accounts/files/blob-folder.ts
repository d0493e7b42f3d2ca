import { createHash } from 'node:crypto'
import { type FileHandle, mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { PeerError } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import { syncFolder } from '../../base/sync-folder.ts'
import type { ByteSource } from './media/byte-source.ts'

const SHA256 = /^[0-9a-f]{64}$/

/** The bytes of files in a folder, each under its hash: what was sent twice is there once. */
export class BlobFolder {
  readonly #folder: string
  readonly #drafts: string
  readonly #random: Random

  private constructor(folder: string, random: Random) {
    this.#folder = folder
    this.#drafts = join(folder, 'drafts')
    this.#random = random
  }

  /** Throws away what was on its way when the peer went down. */
  static async open(folder: string, random: Random): Promise<BlobFolder> {
    const blobs = new BlobFolder(folder, random)
    await rm(blobs.#drafts, { recursive: true, force: true })
    await mkdir(blobs.#drafts, { recursive: true, mode: 0o700 })
    return blobs
  }

  async draft(): Promise<BlobDraft> {
    const name = Buffer.from(this.#random.bytes(16)).toString('hex')
    const path = join(this.#drafts, name)
    return new BlobDraft(path, await open(path, 'wx+', 0o600).catch(failed))
  }

  /** Puts the bytes of a draft in their place; from then on they survive a power cut. */
  async keep(draft: BlobDraft): Promise<void> {
    const sha256 = draft.sha256()
    await draft.close()
    const folder = this.#folderOf(sha256)
    const made = await mkdir(folder, { recursive: true, mode: 0o700 }).catch(failed)
    if (made !== undefined) await syncFolder(this.#folder)
    // Over what is there, if so: it takes as long as the first time, and nobody can tell.
    await rename(draft.path, join(folder, sha256)).catch(failed)
    await syncFolder(folder)
  }

  open(sha256: string): Promise<FileHandle> {
    return open(join(this.#folderOf(sha256), sha256), 'r')
  }

  /** Nothing is wrong if it is not there. */
  async remove(sha256: string): Promise<void> {
    await rm(join(this.#folderOf(sha256), sha256), { force: true })
  }

  /** The hashes that begin so, of the blobs that are there. */
  list(prefix: string): Promise<string[]> {
    return blobsOf(this.#folder, prefix)
  }

  #folderOf(sha256: string): string {
    return join(this.#folder, sha256.slice(0, PREFIX_CHARS))
  }
}

const PREFIX_CHARS = 2

/** Where the bytes of a hash are in such a folder. */
export const blobPath = (folder: string, sha256: string): string =>
  join(folder, sha256.slice(0, PREFIX_CHARS), sha256)

/** The hashes that begin so, of the blobs in a folder that nobody need have opened. */
export async function blobsOf(folder: string, prefix: string): Promise<string[]> {
  const names = await readdir(join(folder, prefix)).catch((error) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  })
  return names.filter((name) => SHA256.test(name))
}

/** Each is the name of a folder: with a million files, 4,000 in each. */
export const blobPrefixes = Array.from({ length: 256 }, (_, n) =>
  n.toString(16).padStart(PREFIX_CHARS, '0'),
)

/** Bytes on their way into the folder. */
export class BlobDraft implements ByteSource {
  readonly path: string
  readonly #file: FileHandle
  readonly #hash = createHash('sha256')
  #sha256: string | undefined
  #closed = false
  size = 0

  constructor(path: string, file: FileHandle) {
    this.path = path
    this.#file = file
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#hash.update(chunk)
    for (let from = 0; from < chunk.length; ) {
      const { bytesWritten } = await this.#file
        .write(chunk, from, chunk.length - from, this.size)
        .catch(failed)
      from += bytesWritten
      this.size += bytesWritten
    }
  }

  async read(at: number, length: number): Promise<Buffer> {
    const bytes = Buffer.alloc(Math.max(0, Math.min(length, this.size - at)))
    const { bytesRead } = await this.#file.read(bytes, 0, bytes.length, at)
    return bytes.subarray(0, bytesRead)
  }

  /** No more is written after this. */
  sha256(): string {
    this.#sha256 ??= this.#hash.digest('hex')
    return this.#sha256
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    try {
      await this.#file.sync().catch(failed)
    } finally {
      await this.#file.close()
    }
  }

  async discard(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true
      await this.#file.close()
    }
    await rm(this.path, { force: true })
  }
}

/** What the disk does not do is no fault of whoever sends, nor of ours. */
function failed(cause: NodeJS.ErrnoException): never {
  if (cause.code === 'ENOSPC' || cause.code === 'EDQUOT') {
    throw new PeerError('storage_full', 'The disk of this peer is full.', { cause })
  }
  const message = `The disk of this peer does not take files (${cause.code}). Its owner should look at it.`
  throw new PeerError('storage_failed', message, { cause })
}
