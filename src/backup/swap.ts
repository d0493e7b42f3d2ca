import { readdir, readlink, realpath, rename, rm, rmdir, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { PeerError } from '../base/errors.ts'
import { syncFolder } from '../base/sync-folder.ts'
import { isInUse } from '../storage/raw-store.ts'
import { removeOrphans } from './orphans.ts'

// A restored data folder is built beside the old one and checked as a whole. Then:
//
//   DIR.restoring-PID -> DIR.restored        it is whole; where there is no DIR, DIR at once
//   DIR               -> DIR.before-restore-TIME
//   DIR.restored      -> DIR
//
// Between the last two there is no DIR. Whoever opens one then finishes it, and begins no new one.
// A DIR that is a disk of its own cannot be replaced. An empty one is filled, by the same rule:
//
//   DIR/.restoring-PID -> DIR/.restored, and all that is in it -> DIR

/** Where a restore goes, and what is there now. */
export interface Target {
  dir: string
  state: 'missing' | 'empty' | 'empty-disk' | 'occupied'
}

/** Looks at the folder, and refuses one that cannot be replaced. Removes what a killed restore left. */
export async function checkFolder(dataDir: string, force: boolean): Promise<Target> {
  await finishRestore(dataDir)
  const dir = await located(dataDir)
  await removeOrphans(dirname(dir), `${basename(dir)}${RESTORING}`, '').catch(unlessMissing)
  const isDisk = (await stateOf(dir)) !== 'missing' && (await isMount(dir))
  if (isDisk) await removeOrphans(dir, RESTORING, '')
  const state = await stateOf(dir, isDisk)
  if (await isInUse(dir)) throw inUse(dir)
  if (state === 'occupied' && isDisk) throw occupiedDisk(dir)
  if (state === 'occupied' && !force) {
    throw new PeerError(
      'data_dir_not_empty',
      `${dir} is not empty. Restore into another folder with --data-dir, or say --force: then it ` +
        `is moved aside, to ${dir}${ASIDE}….`,
    )
  }
  if (state === 'occupied' && !(await isOfPeer(dir))) {
    throw new PeerError(
      'data_dir_not_empty',
      `What is in ${dir} is no peer's, and is not moved. Restore into another folder with --data-dir.`,
    )
  }
  // What stands in for an old folder that is still there is of a restore that was given up.
  await rm(dir + RESTORED, { recursive: true, force: true })
  return { dir, state: isDisk ? 'empty-disk' : state }
}

/** Where it is built: on the same disk. */
export const stagingOf = ({ dir, state }: Target): string =>
  (state === 'empty-disk' ? join(dir, RESTORING) : dir + RESTORING) + process.pid

/** Puts a folder that is whole, and on the disk, in its place. Returns where the old one went. */
export async function moveIn(
  staging: string,
  { dir, state }: Target,
  now: number,
): Promise<string | undefined> {
  const parent = dirname(dir)
  if (state === 'empty-disk') {
    await rename(staging, join(dir, RESTORED))
    await moveOut(dir)
    return undefined
  }
  if (state !== 'occupied') {
    // A folder replaces an empty one, but not on Windows.
    if (state === 'empty') await rmdir(dir)
    await rename(staging, dir).catch((error: NodeJS.ErrnoException) => {
      throw error.code === 'ENOTEMPTY' || error.code === 'EEXIST' ? filledMeanwhile(dir) : error
    })
    await syncFolder(parent)
    return undefined
  }
  const aside = dir + ASIDE + new Date(now).toISOString().replace(/[:.]/g, '-')
  await rename(staging, dir + RESTORED)
  await syncFolder(parent)
  await rename(dir, aside).catch(async (error: unknown) => {
    await rm(dir + RESTORED, { recursive: true, force: true })
    throw error
  })
  // A peer that was started meanwhile has its database open there, and goes on with it.
  if (await isInUse(aside)) {
    await rename(aside, dir)
    await rm(dir + RESTORED, { recursive: true, force: true })
    throw inUse(dir)
  }
  await rename(dir + RESTORED, dir)
  await syncFolder(parent)
  return aside
}

/** Does the last step of a restore that was killed before it: to be asked before a folder is opened. */
export async function finishRestore(dataDir: string): Promise<boolean> {
  const dir = await located(dataDir)
  const inner = await stateOf(join(dir, RESTORED)).catch(() => 'missing')
  if (inner !== 'missing') {
    await moveOut(dir)
    return true
  }
  if ((await stateOf(dir + RESTORED).catch(() => 'missing')) === 'missing') return false
  const state = await stateOf(dir)
  if (state === 'occupied') return false
  try {
    if (state === 'empty') await rmdir(dir)
    await rename(dir + RESTORED, dir)
  } catch (error) {
    // Another process was first.
    unlessMissing(error as NodeJS.ErrnoException)
    return false
  }
  await syncFolder(dirname(dir))
  return true
}

/** Fills a folder with what was restored within it. Another process may do the same. */
async function moveOut(dir: string): Promise<void> {
  const inner = join(dir, RESTORED)
  await syncFolder(dir)
  for (const name of (await readdir(inner).catch(unlessMissing)) ?? []) {
    await rename(join(inner, name), join(dir, name)).catch(unlessMissing)
  }
  await syncFolder(dir)
  await rmdir(inner).catch(unlessMissing)
}

const RESTORING = '.restoring-'
const RESTORED = '.restored'
const ASIDE = '.before-restore-'

/** Behind a link, also where what it leads to is not there now. */
async function located(dataDir: string): Promise<string> {
  const dir = resolve(dataDir)
  const end = await readlink(dir).catch(() => undefined)
  return realpath(dir).catch(() => (end === undefined ? dir : resolve(dirname(dir), end)))
}

/** What some file systems put into the first folder of a disk. */
const OF_DISK = 'lost+found'

async function stateOf(dir: string, isDisk = false): Promise<'missing' | 'empty' | 'occupied'> {
  const names = await readdir(dir).catch(unlessMissing)
  if (names === undefined) return 'missing'
  return names.some((name) => !(isDisk && name === OF_DISK)) ? 'occupied' : 'empty'
}

function unlessMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}

/** Whether another disk is behind it: then nothing beside it can be moved there in one step. */
export async function isMount(dir: string): Promise<boolean> {
  const [own, above] = await Promise.all([stat(dir), stat(dirname(dir))])
  return own.dev !== above.dev || dirname(dir) === dir
}

/** By mistake it could be somebody's home that is moved aside. */
async function isOfPeer(dir: string): Promise<boolean> {
  const names = await readdir(dir)
  return ['identity.key', 'store'].some((name) => names.includes(name))
}

const occupiedDisk = (dir: string): PeerError =>
  new PeerError(
    'data_dir_is_mount',
    `${dir} is a disk of its own and not empty; it cannot be moved aside. ` +
      `Empty it, or restore into a folder on it: --data-dir ${join(dir, 'peer')}`,
  )

const filledMeanwhile = (dir: string): PeerError =>
  new PeerError(
    'data_dir_not_empty',
    `Something else was put into ${dir} meanwhile, such as another restore. It was left as it is.`,
  )

const inUse = (dir: string): PeerError =>
  new PeerError(
    'data_dir_in_use',
    `A peer runs on ${dir}. Stop it first, or restore into another folder with --data-dir.`,
  )
