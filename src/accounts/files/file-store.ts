import type { FileHandle } from 'node:fs/promises'
import type { Clock } from '../../base/clock.ts'
import { BusyError, messageOf, PeerError } from '../../base/errors.ts'
import { isId, newId } from '../../base/ids.ts'
import type { Logger } from '../../base/logger.ts'
import type { Random } from '../../base/random.ts'
import { Turns } from '../../base/turns.ts'
import { Underway } from '../../base/underway.ts'
import type { Batch } from '../../storage/batch.ts'
import type { Store } from '../../storage/store.ts'
import type { Range, Table } from '../../storage/table.ts'
import { type Holding, Holdings } from '../holdings.ts'
import { ownKey, ownRange } from '../own-rows.ts'
import { BlobFolder, blobPrefixes } from './blob-folder.ts'
import {
  type FileDetails,
  type FileRecord,
  fileOwners,
  fileRows,
  fileUses,
  shownFilename,
} from './file-record.ts'
import { Upload } from './upload.ts'

export interface FileStoreComponents {
  store: Store
  clock: Clock
  random: Random
  logger: Logger
}

const MIB = 1024 * 1024

export const defaultFiles = {
  /** As the source product has them. */
  fileBytesMax: { image: 10 * MIB, video: 50 * MIB, audio: 10 * MIB },
  /** Of all files of an account together: what two hundred films take. */
  accountBytesMax: 10 * 1024 * MIB,
  /** Their count is read through once in the life of the process. */
  accountFilesMax: 10_000,
  /** Coming in at one time, of all accounts: each holds two descriptors and a piece in memory. */
  uploadsMax: 64,
  /** However slowly one account sends, the others get in. */
  accountUploadsMax: 16,
}

export type FileStoreOptions = typeof defaultFiles

/**
 * The files of accounts: the bytes in a folder, each content once, and who has them in the database.
 * A file is there once both are on the disk. Bytes that no file has are removed, after a crash too.
 */
export class FileStore {
  readonly #components: FileStoreComponents
  readonly #options: FileStoreOptions
  readonly #blobs: BlobFolder
  readonly #files: Table<string, FileRecord>
  readonly #owners: Table<string, string>
  readonly #uses: Table<string, string>
  readonly #holdings = new Holdings((account) => this.#count(account))
  /** By hash: whoever brings bytes, and whoever takes the last of them away. */
  readonly #turns = new Turns()
  readonly #stop = new AbortController()
  #swept: Promise<void> = Promise.resolve()
  /** Whose they are that come in. */
  readonly #uploads = new Underway<string>()
  /** Those who read the folder beside a picture of the rows. */
  #holds = 0
  /** Hashes that nobody has any more, but may still be read. */
  readonly #left = new Set<string>()

  private constructor(
    components: FileStoreComponents,
    options: FileStoreOptions,
    blobs: BlobFolder,
  ) {
    this.#components = components
    this.#options = options
    this.#blobs = blobs
    this.#files = components.store.table('files', fileRows)
    this.#owners = components.store.table('files-owners', fileOwners)
    this.#uses = components.store.table('files-uses', fileUses)
  }

  static async open(
    folder: string,
    components: FileStoreComponents,
    options: Partial<FileStoreOptions> = {},
  ): Promise<FileStore> {
    const blobs = await BlobFolder.open(folder, components.random)
    const files = new FileStore(components, { ...defaultFiles, ...options }, blobs)
    files.#swept = files.#sweep().catch((error: unknown) => {
      components.logger.warn('files that nobody has were not removed', { error: messageOf(error) })
    })
    return files
  }

  /** Takes a file in, piece by piece. Whoever began it ends it, by `keep` or `discard`. */
  async begin(account: string): Promise<Upload> {
    const { uploadsMax, accountUploadsMax, accountFilesMax } = this.#options
    const holding = await this.#holdings.of(account)
    const own = this.#uploads.all().filter((each) => each === account)
    if (this.#uploads.size >= uploadsMax || own.length >= accountUploadsMax) {
      throw new BusyError('Too many files are coming in. Send this one again in a moment.')
    }
    if (holding.count >= accountFilesMax) {
      throw new PeerError(
        'file_quota_exceeded',
        `An account keeps ${accountFilesMax} files at most. Delete some that nobody needs.`,
      )
    }
    // Before the wait: several that come at once can't be too many together.
    const leave = this.#uploads.add(account)
    holding.count += 1
    try {
      return new Upload(await this.#blobs.draft(), holding, leave, this.#options)
    } catch (error) {
      leave()
      holding.count -= 1
      throw error
    }
  }

  /** Resolves once the file is there to stay. Whatever goes wrong, nothing is left of it. */
  async keep(account: string, upload: Upload, details: FileDetails): Promise<FileRecord> {
    const { clock, random } = this.#components
    let isKept = false
    try {
      const { mimeType, durationMs = null } = await upload.media(details.kind)
      const record: FileRecord = {
        id: newId('file', clock, random),
        account,
        kind: details.kind,
        model: details.model ?? null,
        filename: shownFilename(details.filename, mimeType),
        mimeType,
        bytes: upload.bytes,
        sha256: upload.draft.sha256(),
        durationMs,
        createdAt: clock.now(),
        clientRequestId: details.clientRequestId ?? null,
      }
      await this.#turns.inTurn(record.sha256, () => this.#settle(record, upload))
      isKept = true
      return record
    } finally {
      upload.leave()
      if (!isKept) await upload.discard()
    }
  }

  async discard(upload: Upload): Promise<void> {
    upload.leave()
    await upload.discard()
  }

  /** The file of this account; undefined for any other's as for none. */
  async get(account: string, id: string): Promise<FileRecord | undefined> {
    return isId('file', id) ? this.#files.get(ownKey(account, id)) : undefined
  }

  /** Whoever it belongs to. */
  async find(id: string): Promise<FileRecord | undefined> {
    const account = isId('file', id) ? await this.#owners.get(id) : undefined
    return account === undefined ? undefined : this.get(account, id)
  }

  async *list(account: string, range: Range<string>): AsyncGenerator<FileRecord> {
    for await (const [, record] of this.#files.range(ownRange(account, range))) yield record
  }

  /** To be read and then closed. Goes on to work for who has it when the file is deleted. */
  async open({ id, sha256 }: FileRecord): Promise<FileHandle> {
    try {
      return await this.#blobs.open(sha256)
    } catch (cause) {
      if ((await this.find(id)) === undefined) throw fileNotFound()
      this.#components.logger.error('the bytes of a file are gone', { id, sha256 })
      const message = 'The content of this file is lost on the disk of this peer. Send it again.'
      throw new PeerError('storage_failed', message, { cause })
    }
  }

  /** Resolves once it is gone for good. Throws `file_not_found`. */
  async delete(account: string, id: string): Promise<void> {
    const record = await this.get(account, id)
    if (record === undefined) throw fileNotFound()
    await this.#turns.inTurn(record.sha256, () => this.#remove(record))
  }

  /**
   * From here on no bytes are removed, until what is returned was called: whoever has the rows as
   * they are now finds the bytes of each of them. What is left over then is removed.
   */
  hold(): () => void {
    this.#holds += 1
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      this.#holds -= 1
      if (this.#holds === 0) void this.#removeLeft()
    }
  }

  /** Resolves when what an earlier crash left is removed, which goes on beside everything else. */
  get swept(): Promise<void> {
    return this.#swept
  }

  /** Files that come in meanwhile are lost: nobody was told that they are there. */
  async close(): Promise<void> {
    this.#stop.abort()
    await this.#swept
  }

  async #settle(record: FileRecord, { draft }: Upload): Promise<void> {
    const { store } = this.#components
    await this.#blobs.keep(draft)
    try {
      await store.commit(this.#put(store.batch(), record))
    } catch (error) {
      // Where the disk failed, the rows may be there all the same: the next start will know.
      if (error instanceof BusyError) await this.#removeIfUnused(record.sha256)
      throw error
    }
  }

  #put(rows: Batch, record: FileRecord): Batch {
    const { account, id, sha256 } = record
    return rows
      .put(this.#files, ownKey(account, id), record)
      .put(this.#owners, id, account)
      .put(this.#uses, ownKey(sha256, id), account)
  }

  async #remove({ account, id, sha256, bytes }: FileRecord): Promise<void> {
    const { store } = this.#components
    const holding = await this.#holdings.of(account)
    // Somebody else may have been first.
    if ((await this.get(account, id)) === undefined) throw fileNotFound()
    const rows = store
      .batch()
      .del(this.#files, ownKey(account, id))
      .del(this.#owners, id)
      .del(this.#uses, ownKey(sha256, id))
    await store.commit(rows)
    holding.count -= 1
    holding.bytes -= bytes
    await this.#removeIfUnused(sha256).catch((error: unknown) => {
      const reason = messageOf(error)
      this.#components.logger.warn('a deleted file is still on the disk', { sha256, reason })
    })
  }

  async #removeIfUnused(sha256: string): Promise<void> {
    for await (const _use of this.#uses.range(ownRange(sha256, { limit: 1 }))) return
    if (this.#holds > 0) this.#left.add(sha256)
    else await this.#blobs.remove(sha256)
  }

  /** What is not removed when the peer stops, the next start removes. */
  async #removeLeft(): Promise<void> {
    for (const sha256 of this.#left) {
      if (this.#holds > 0 || this.#stop.signal.aborted) return
      this.#left.delete(sha256)
      await this.#turns
        .inTurn(sha256, () => this.#removeIfUnused(sha256))
        .catch((error: unknown) => {
          const reason = messageOf(error)
          this.#components.logger.warn('a deleted file is still on the disk', { sha256, reason })
        })
    }
  }

  /** What a crash left between the bytes and the rows. */
  async #sweep(): Promise<void> {
    const { signal } = this.#stop
    for (const prefix of blobPrefixes) {
      const names = await this.#blobs.list(prefix)
      if (names.length === 0) continue
      const used = new Set<string>()
      for await (const [key] of this.#uses.range({ gte: prefix, lt: `${prefix}g` })) {
        used.add(key.slice(0, key.indexOf('/')))
      }
      for (const name of names) {
        if (signal.aborted) return
        if (!used.has(name)) await this.#turns.inTurn(name, () => this.#removeIfUnused(name))
      }
    }
  }

  async #count(account: string): Promise<Holding> {
    const holding = { count: 0, bytes: 0 }
    for await (const { bytes } of this.list(account, {})) {
      holding.count += 1
      holding.bytes += bytes
    }
    return holding
  }
}

export const fileNotFound = () => new PeerError('file_not_found', 'There is no file of this id.')
