import { createHash } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../base/clock.ts'
import { messageOf, PeerError } from '../../base/errors.ts'
import { syncFolder } from '../../base/sync-folder.ts'
import { lockFolder } from '../../storage/folder-lock.ts'
import { diskFailure } from './disk-room.ts'
import { type Manifest, manifestText, readManifest } from './manifest.ts'
import { sizeOf } from './remote-file.ts'

/** A model on this machine. */
export interface StoredModel extends Manifest {
  folder: string
  /** The file that llama.cpp is given. */
  path: string
  sizeBytes: number
  /** Why it cannot be used. */
  fault?: string
}

/** A pull that has not come to its end. */
export interface Unfinished {
  name: string
  uri: string
  folder: string
  /** That are there. */
  receivedBytes: number
  /** Undefined where nobody said it. */
  sizeBytes?: number | undefined
  /** For what is to come, where nobody said how much that is. */
  claimedBytes?: number | undefined
}

/** What is noted of a pull. */
export type Plan = Pick<Unfinished, 'name' | 'uri' | 'sizeBytes' | 'claimedBytes'>

const MANIFEST = 'model.json'
const PLAN = 'plan.json'
const PULLING = '.pulling'
const LOCKS = '.locks'
const GONE = '.gone-'
const LOOK_AGAIN_MS = 300
const KEY_CHARS = 16

/**
 * The models on this machine, each in a folder of its own. A folder gets its place by one renaming, when
 * all that is in it was checked and is safe from a power cut: what lies there is whole.
 */
export class ModelFolder {
  readonly root: string
  readonly #clock: Clock

  constructor(root: string, clock: Clock) {
    this.root = root
    this.#clock = clock
  }

  async list(): Promise<StoredModel[]> {
    const names = await namesIn(this.root)
    const found = await Promise.all(
      names
        .filter((name) => !name.startsWith('.'))
        .map((name) => this.#read(join(this.root, name))),
    )
    return found.filter((each) => each !== undefined)
  }

  async unfinished(): Promise<Unfinished[]> {
    const folders = (await namesIn(join(this.root, PULLING))).map((key) =>
      join(this.root, PULLING, key),
    )
    return await Promise.all(folders.map(readPlan))
  }

  async findUri(uri: string): Promise<StoredModel | undefined> {
    return (await this.list()).find((model) => model.uri === uri)
  }

  async findName(name: string): Promise<StoredModel | undefined> {
    return (await this.list()).find((model) => model.name === name)
  }

  /** Waits while another process pulls or removes the same. `onWait` is called once, when it has to. */
  async lock(
    uri: string,
    { signal, onWait }: { signal: AbortSignal; onWait(): void },
  ): Promise<() => Promise<void>> {
    for (let waits = 0; ; waits++) {
      const unlock = await this.tryLock(uri)
      if (unlock !== undefined) return unlock
      if (waits === 0) onWait()
      await this.#clock.sleep(LOOK_AGAIN_MS, signal)
    }
  }

  /** Undefined while another has it. */
  async tryLock(uri: string): Promise<(() => Promise<void>) | undefined> {
    await mkdir(this.root, { recursive: true, mode: 0o700 }).catch(diskFailure(this.root))
    return await lockFolder(join(this.root, LOCKS, keyOf(uri))).catch(diskFailure(this.root))
  }

  /** Where the files of a pull are put together; another try finds what this one leaves. */
  async begin(plan: Plan): Promise<string> {
    const folder = this.#pullingFolder(plan.uri)
    await this.#sweep()
    await mkdir(folder, { recursive: true, mode: 0o700 }).catch(diskFailure(this.root))
    await writeDurably(folder, PLAN, JSON.stringify(plan))
    return folder
  }

  /** What was learnt of a pull that has begun: others leave room for that. */
  async note(plan: Plan): Promise<void> {
    await writeDurably(this.#pullingFolder(plan.uri), PLAN, JSON.stringify(plan))
  }

  /** Throws where another model has that name. */
  async assertFree(name: string, uri: string): Promise<void> {
    const other = await this.#read(this.placeOf(name))
    if (other === undefined || other.uri === uri || other.uri === '') return
    throw new PeerError(
      'model_name_taken',
      `Another model is called "${name}" here (${other.uri}). Give this one another name: NAME=${uri}`,
    )
  }

  /** From here on it is stored. What has its place, damaged or older, makes room for it. */
  async finish(manifest: Manifest, signal: AbortSignal): Promise<StoredModel> {
    const from = this.#pullingFolder(manifest.uri)
    const place = this.placeOf(manifest.name)
    // Two of one name, from two places, may have been pulled at once: the second is told.
    const unlock = await this.lock(`place:${place}`, { signal, onWait() {} })
    try {
      await this.assertFree(manifest.name, manifest.uri)
      await writeDurably(from, MANIFEST, manifestText(manifest))
      await rm(place, { recursive: true, force: true })
      await rename(from, place).catch(diskFailure(this.root))
      await syncFolder(this.root)
    } finally {
      await unlock()
    }
    await rm(join(place, PLAN), { force: true })
    const stored = await this.#read(place)
    if (stored !== undefined) return stored
    throw new PeerError('storage_failed', `${place} went away. Pull again.`)
  }

  /** What was pulled whole before the process was ended, and only lacks its place. */
  async finishLate(uri: string, signal: AbortSignal): Promise<void> {
    const note = join(this.#pullingFolder(uri), MANIFEST)
    const text = await readFile(note, 'utf8').catch(() => '')
    if (text === '') return
    try {
      await this.finish(readManifest(text), signal)
    } catch {
      signal.throwIfAborted()
      // A damaged note, or a name that was taken meanwhile: the files are there, and looked at again.
      await rm(note, { force: true })
    }
  }

  /** The name goes first: what is half removed is no model any more. */
  async remove({ folder }: { folder: string }): Promise<void> {
    const gone = join(this.root, `${GONE}${keyOf(folder)}`)
    await rm(gone, { recursive: true, force: true })
    await rename(folder, gone).catch(diskFailure(this.root))
    await syncFolder(this.root)
    await rm(gone, { recursive: true, force: true })
  }

  async abandon(uri: string): Promise<void> {
    await rm(this.#pullingFolder(uri), { recursive: true, force: true })
  }

  /** One name, one folder: characters that a file system would not take are written as in an address. */
  placeOf(name: string): string {
    return join(this.root, encodeURIComponent(name).replace(/^\./, '%2E').replaceAll('*', '%2A'))
  }

  /** What a removal that was interrupted has left. */
  async #sweep(): Promise<void> {
    for (const name of await namesIn(this.root)) {
      if (name.startsWith(GONE)) await rm(join(this.root, name), { recursive: true, force: true })
    }
  }

  #pullingFolder(uri: string): string {
    return join(this.root, PULLING, keyOf(uri))
  }

  /** Undefined for what is no folder, or has gone meanwhile. */
  async #read(folder: string): Promise<StoredModel | undefined> {
    if (!(await stat(folder).catch(() => undefined))?.isDirectory()) return undefined
    const name = nameIn(folder.slice(this.root.length + 1))
    try {
      const manifest = readManifest(await readFile(join(folder, MANIFEST), 'utf8'))
      const [first] = manifest.files
      const path = join(folder, first?.name ?? '')
      const sizeBytes = manifest.files.reduce((sum, file) => sum + file.sizeBytes, 0)
      const fault = await faultOf(folder, manifest)
      return { ...manifest, folder, path, sizeBytes, ...(fault === undefined ? {} : { fault }) }
    } catch (error) {
      const why = error instanceof PeerError ? error.message : `Its note cannot be read.`
      const empty = { uri: '', files: [], id: '', pulledAt: 0, path: '', sizeBytes: 0 }
      return { name, folder, ...empty, fault: `${why} Remove it with "models rm ${name}".` }
    }
  }
}

/** Somebody may have made a folder of another name there. */
function nameIn(folder: string): string {
  try {
    return decodeURIComponent(folder)
  } catch {
    return folder
  }
}

/** By the sizes alone: reading 40 GB takes a minute. */
async function faultOf(folder: string, { files, uri }: Manifest): Promise<string | undefined> {
  for (const { name, sizeBytes } of files) {
    const found = await stat(join(folder, name)).catch(() => undefined)
    if (found?.size === sizeBytes) continue
    const what = found === undefined ? 'is missing' : `has ${found.size} bytes, not ${sizeBytes}`
    return `${name} ${what}. Pull it again: models pull ${uri}`
  }
  return undefined
}

async function readPlan(folder: string): Promise<Unfinished> {
  const names = await namesIn(folder)
  const sizes = await Promise.all(
    names
      .filter((name) => !name.endsWith('.json'))
      .map((name) => stat(join(folder, name)).catch(() => ({ size: 0 }))),
  )
  const receivedBytes = sizes.reduce((sum, { size }) => sum + size, 0)
  try {
    const plan = JSON.parse(await readFile(join(folder, PLAN), 'utf8')) as Unfinished
    const { name, uri } = plan
    const sizeBytes = sizeOf(plan.sizeBytes)
    const claimedBytes = sizeOf(plan.claimedBytes)
    return { name: String(name), uri: String(uri), folder, receivedBytes, sizeBytes, claimedBytes }
  } catch {
    // It was ended before it had begun.
    return { name: folder.slice(-KEY_CHARS), uri: '', folder, receivedBytes }
  }
}

const keyOf = (text: string): string =>
  createHash('sha256').update(text).digest('hex').slice(0, KEY_CHARS)

async function namesIn(folder: string): Promise<string[]> {
  return await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw new PeerError('storage_failed', `Cannot read ${folder}: ${messageOf(error)}.`)
  })
}

/** Beside, and renamed: a reader sees all of it or none. */
export async function writeDurably(folder: string, name: string, text: string): Promise<void> {
  const fresh = join(folder, `.${name}.new`)
  try {
    await using file = await open(fresh, 'w', 0o600)
    await file.writeFile(text)
    await file.sync()
  } catch (error) {
    diskFailure(folder)(error)
  }
  await rename(fresh, join(folder, name)).catch(diskFailure(folder))
  await syncFolder(folder)
}
