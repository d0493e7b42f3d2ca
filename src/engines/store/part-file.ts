import { createHash, type Hash } from 'node:crypto'
import { constants, type FileHandle, open, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { syncFolder } from '../../base/sync-folder.ts'
import { diskFailure } from './disk-room.ts'
import { hashOf, sizeOf } from './remote-file.ts'

/** What the bytes that are there belong to. */
export interface PartFacts {
  sha256?: string | undefined
  sizeBytes?: number | undefined
  /** The server's name for this state of the file: it goes on only with the same. */
  etag?: string | undefined
}

const READ_BYTES = 1024 * 1024
/** What a power cut takes with it is no more than this: the hash at the end would tell, and all be lost. */
const SYNC_BYTES = 256 * 1024 * 1024
export const MAGIC = Buffer.from('GGUF')

/** A file on its way, beside a note of what it is. Its own name it gets when all of it is there. */
export class PartFile {
  readonly #folder: string
  readonly #name: string
  readonly #file: FileHandle
  #hash: Hash = createHash('sha256')
  #facts: PartFacts
  #unsynced = 0
  size = 0
  /** The first bytes of all. */
  head: Buffer = Buffer.alloc(0)

  private constructor(folder: string, name: string, file: FileHandle, facts: PartFacts) {
    this.#folder = folder
    this.#name = name
    this.#file = file
    this.#facts = facts
  }

  /** Goes on with what an earlier try has left of the same file. */
  static async open(folder: string, name: string, wanted: PartFacts): Promise<PartFile> {
    const flags = constants.O_RDWR | constants.O_CREAT
    const kept = await readNote(notePath(folder, name))
    const file = await open(partPath(folder, name), flags, 0o600).catch(diskFailure(folder))
    const part = new PartFile(folder, name, file, { ...kept, ...wanted })
    try {
      if (kept !== undefined && agree(kept, wanted)) await part.#readWhatIsThere(wanted.sizeBytes)
      else {
        await part.restart()
        await part.note(wanted)
      }
    } catch (error) {
      await part.close()
      throw error
    }
    return part
  }

  get facts(): PartFacts {
    return this.#facts
  }

  /** Before the first of the bytes that it is about. */
  async note(facts: PartFacts): Promise<void> {
    this.#facts = facts
    const path = notePath(this.#folder, this.#name)
    await writeFile(`${path}.new`, JSON.stringify(facts), { mode: 0o600 })
      .then(() => rename(`${path}.new`, path))
      .catch(diskFailure(this.#folder))
  }

  async append(bytes: Uint8Array): Promise<void> {
    for (let from = 0; from < bytes.length; ) {
      const { bytesWritten } = await this.#file
        .write(bytes, from, bytes.length - from, this.size + from)
        .catch(diskFailure(this.#folder))
      from += bytesWritten
    }
    this.#count(bytes)
    this.#unsynced += bytes.length
    if (this.#unsynced < SYNC_BYTES) return
    this.#unsynced = 0
    await this.#file.datasync().catch(diskFailure(this.#folder))
  }

  async restart(): Promise<void> {
    if ((await this.#file.stat()).size > 0) {
      await this.#file.truncate(0).catch(diskFailure(this.#folder))
    }
    this.#hash = createHash('sha256')
    this.size = 0
    this.head = Buffer.alloc(0)
  }

  sha256(): string {
    return this.#hash.copy().digest('hex')
  }

  /** Under its own name; from then on it survives a power cut. */
  async finish(): Promise<void> {
    await this.#file.sync().catch(diskFailure(this.#folder))
    await this.#file.close()
    const path = join(this.#folder, this.#name)
    await rename(partPath(this.#folder, this.#name), path).catch(diskFailure(this.#folder))
    await rm(notePath(this.#folder, this.#name), { force: true })
    await syncFolder(this.#folder)
  }

  async close(): Promise<void> {
    await this.#file.close().catch(() => {})
  }

  async discard(): Promise<void> {
    await this.close()
    await rm(partPath(this.#folder, this.#name), { force: true })
    await rm(notePath(this.#folder, this.#name), { force: true })
  }

  async #readWhatIsThere(sizeMax = Number.POSITIVE_INFINITY): Promise<void> {
    const buffer = Buffer.allocUnsafe(READ_BYTES)
    // What is no file of ours, such as a device, has no length, and no end.
    const { size } = await this.#file.stat()
    while (this.size < size) {
      const { bytesRead } = await this.#file.read(buffer, 0, buffer.length, this.size)
      if (bytesRead === 0) break
      this.#count(buffer.subarray(0, bytesRead))
    }
    if (this.size > sizeMax) await this.restart()
  }

  #count(bytes: Uint8Array): void {
    if (this.size < MAGIC.length) {
      this.head = Buffer.concat([this.head, bytes.subarray(0, MAGIC.length - this.head.length)])
    }
    this.#hash.update(bytes)
    this.size += bytes.length
  }
}

const partPath = (folder: string, name: string): string => join(folder, `${name}.part`)
const notePath = (folder: string, name: string): string => join(folder, `${name}.part.json`)

async function readNote(path: string): Promise<PartFacts | undefined> {
  try {
    const { sha256, sizeBytes, etag } = JSON.parse(await readFile(path, 'utf8')) as PartFacts
    return {
      sha256: hashOf(sha256),
      sizeBytes: sizeOf(sizeBytes),
      // It goes back to its server as a header.
      etag: typeof etag === 'string' && /^[\x21-\x7e]{1,1000}$/.test(etag) ? etag : undefined,
    }
  } catch {
    return undefined
  }
}

/** What one of both does not know speaks for nothing. */
function agree(kept: PartFacts, wanted: PartFacts): boolean {
  const same = <T>(a: T | undefined, b: T | undefined) =>
    a === undefined || b === undefined || a === b
  return same(kept.sha256, wanted.sha256) && same(kept.sizeBytes, wanted.sizeBytes)
}
