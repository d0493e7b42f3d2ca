import { constants } from 'node:fs'
import {
  copyFile,
  link,
  mkdir,
  open,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { type Clock, systemClock } from '../base/clock.ts'
import { BusyError, InvalidError, messageOf, PeerError } from '../base/errors.ts'
import { syncFolder } from '../base/sync-folder.ts'
import { configPath, readIfThere } from './config.ts'
import { configTemplate } from './template.ts'

const ownerOnly = 0o600
/** A change takes milliseconds: so long waits who comes while somebody else is at it. */
const LOCK_MS = 5_000
const LOOK_AGAIN_MS = 20
/** Of one change, by an editor that keeps writing meanwhile. */
const TRIES_MAX = 5

/** Writes the file with everything commented out, whole or not at all, and never over another. */
export async function writeFirstConfig(dataDir: string): Promise<boolean> {
  const path = configPath(dataDir)
  if (await isThere(path)) return false
  // One name for all: the folder has one peer, and a crash must not leave a file each time.
  const fresh = `${path}.first.tmp`
  try {
    await writeDurably(fresh, configTemplate(), ownerOnly)
    await linkNew(fresh, path)
    await syncFolder(dataDir)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  } finally {
    await rm(fresh, { force: true }).catch(() => {})
  }
}

/**
 * Replaces the text of config.toml by what `change` makes of it; undefined leaves it as it is. Of
 * several programs that do so at once none undoes what another has done. Says whether it changed.
 */
export async function changeConfig(
  dataDir: string,
  change: (text: string) => string | undefined,
  { signal, clock = systemClock }: { signal: AbortSignal; clock?: Clock },
): Promise<boolean> {
  const named = configPath(dataDir)
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 })
    // The link of who keeps such files elsewhere stays one.
    const path = await realpath(named).catch(() => named)
    const unlock = await lock(path, clock, signal)
    try {
      return await replace(path, change)
    } finally {
      await unlock()
    }
  } catch (error) {
    if (error instanceof PeerError || signal.aborted) throw error
    const isFull = ['ENOSPC', 'EDQUOT', 'EFBIG'].includes(codeOf(error) ?? '')
    const why = isFull
      ? 'the disk is full. It is as it was: make room, then try again'
      : messageOf(error)
    const message = `Cannot change ${named}: ${why}.`
    throw new PeerError('config_unwritable', message, { cause: error })
  }
}

async function replace(
  path: string,
  change: (text: string) => string | undefined,
): Promise<boolean> {
  for (let tries = 1; ; tries++) {
    const before = readNamed(path)
    const after = change(before ?? configTemplate())
    if (after === undefined || after === before) return false
    const fresh = `${path}.tmp`
    const mode = before === undefined ? ownerOnly : (await stat(path)).mode & 0o777
    try {
      await writeDurably(fresh, after, mode)
      // An editor knows of no lock.
      if (readIfThere(path) === before) {
        await rename(fresh, path)
        await syncFolder(dirname(path))
        return true
      }
    } finally {
      await rm(fresh, { force: true })
    }
    if (tries === TRIES_MAX) throw new BusyError(`${path} keeps changing. Try again.`)
  }
}

function readNamed(path: string): string | undefined {
  try {
    return readIfThere(path)
  } catch (error) {
    if (error instanceof InvalidError)
      throw new InvalidError(error.param, `${path}: ${error.message}`)
    throw error
  }
}

/** Held by one process at a time; left behind by one that was killed, the next takes it over. */
async function lock(path: string, clock: Clock, signal: AbortSignal): Promise<() => Promise<void>> {
  const held = `${path}.lock`
  const mine = `${held}.${process.pid}.${lockCount++}`
  const until = clock.elapsed() + LOCK_MS
  try {
    await writeFile(mine, `${process.pid}\n`, { mode: ownerOnly })
    while (!(await tookIt(mine, held))) {
      signal.throwIfAborted()
      if (clock.elapsed() > until) {
        throw new BusyError(`Another program changes ${path}. If none does, delete ${held}.`)
      }
      if (!(await takenOver(held, mine))) await clock.sleep(LOOK_AGAIN_MS, signal)
    }
  } finally {
    await rm(mine, { force: true })
  }
  await sweep(held)
  return () => rm(held, { force: true })
}

let lockCount = 0

/** What processes left that were killed while they asked for the lock. */
async function sweep(held: string): Promise<void> {
  const folder = dirname(held)
  for (const name of await readdir(folder)) {
    const [, pid] = name.startsWith(basename(held)) ? (/\.lock\.(\d+)\./.exec(name) ?? []) : []
    if (pid !== undefined && !isRunning(Number(pid))) await rm(join(folder, name), { force: true })
  }
}

/** With a link the lock is there with its owner's number in it, or not at all. */
async function tookIt(mine: string, held: string): Promise<boolean> {
  try {
    await linkNew(mine, held)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  }
}

/** Takes away the lock of a process that is gone; of several who see that, one does it. */
async function takenOver(held: string, mine: string): Promise<boolean> {
  const owner = Number(await readFile(held, 'utf8').catch(() => '0'))
  if (!(owner > 0) || isRunning(owner)) return false
  const away = `${mine}.away`
  try {
    await rename(held, away)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return true
    throw error
  }
  // Between the look and the rename another may have taken it over: then it is given back.
  const taken = Number(await readFile(away, 'utf8'))
  if (taken !== owner) await link(away, held).catch(() => {})
  await rm(away, { force: true })
  return true
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return codeOf(error) === 'EPERM'
  }
}

/** Unlike a rename, a link refuses to replace what is there. Some file systems have none. */
async function linkNew(from: string, to: string): Promise<void> {
  await link(from, to).catch(async (error: unknown) => {
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(codeOf(error) ?? '')) throw error
    await copyFile(from, to, constants.COPYFILE_EXCL)
  })
}

async function writeDurably(path: string, text: string, mode: number): Promise<void> {
  // A left-over of a crash could have other rights, and writing to it would keep them.
  await rm(path, { force: true })
  const file = await open(path, 'wx', mode)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined
