import { link, lstat, open, realpath, rename, rm } from 'node:fs/promises'
import { basename, dirname, join, resolve, sep } from 'node:path'
import { PeerError } from '../base/errors.ts'
import { syncFolder } from '../base/sync-folder.ts'
import { fileFailure } from './errors.ts'
import { removeOrphans } from './orphans.ts'

export interface WriteOptions {
  /** Replaces a file that is there. */
  force: boolean
  signal: AbortSignal
}

/** Before the work: whether the file could be written at the end of it. */
export async function checkTarget(path: string, force: boolean): Promise<void> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw fileFailure(`Cannot write ${path}`, error)
  })
  // A folder, a link or a device: the file would take its place.
  if (found !== undefined && !found.isFile()) {
    throw new PeerError('backup_failed', `${path} is not a plain file. Name another one.`)
  }
  if (found !== undefined && !force) throw isThere(path)
}

/** With --force a backup would take the place of the very key that it is of. */
export async function checkOutside(path: string, dataDir: string): Promise<void> {
  const target = resolve(path)
  const folder = await realpath(dirname(target)).catch(() => dirname(target))
  const own = await realpath(dataDir).catch(() => resolve(dataDir))
  const isWithin = folder === own || folder.startsWith(join(own, sep))
  if (!isWithin || (await lstat(target).catch(() => undefined)) === undefined) return
  throw new PeerError(
    'backup_exists',
    `${path} is in the folder of the peer, and may be what it needs: --force does not write over it. ` +
      'Name another file.',
  )
}

const isThere = (path: string): PeerError =>
  new PeerError('backup_exists', `${path} is there already. --force writes over it.`)

/**
 * Writes a file that its owner alone reads: the whole of it, or nothing, also where the machine stops
 * meanwhile. Returns its size.
 */
export async function writeWhole(
  path: string,
  pieces: AsyncIterable<Uint8Array>,
  { force, signal }: WriteOptions,
): Promise<number> {
  const target = resolve(path)
  const draft = `${target}.${process.pid}${DRAFT_END}`
  try {
    await removeOrphans(dirname(target), `${basename(target)}.`, DRAFT_END)
    // Left behind by a process that had the same number.
    await rm(draft, { force: true })
    const bytes = await writeDraft(draft, pieces, signal)
    if (force) await rename(draft, target)
    else await linkNew(draft, target)
    await syncFolder(dirname(target))
    return bytes
  } catch (error) {
    throw fileFailure(`Cannot write ${path}`, error)
  } finally {
    await rm(draft, { force: true })
  }
}

const DRAFT_END = '.partial'

async function writeDraft(
  draft: string,
  pieces: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<number> {
  const file = await open(draft, 'wx', 0o600)
  let size = 0
  try {
    for await (const piece of pieces) {
      signal.throwIfAborted()
      for (let at = 0; at < piece.length; ) {
        const { bytesWritten } = await file.write(piece, at, piece.length - at, size)
        at += bytesWritten
        size += bytesWritten
      }
    }
    signal.throwIfAborted()
    await file.sync()
    return size
  } finally {
    await file.close()
  }
}

/** Unlike a rename, a link refuses to replace what came meanwhile; some disks have none. */
async function linkNew(draft: string, target: string): Promise<void> {
  try {
    await link(draft, target)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') throw isThere(target)
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(code ?? '')) throw error
    await checkTarget(target, false)
    await rename(draft, target)
  }
}
