import { access, constants, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { messageOf, PeerError } from '../base/errors.ts'
import { advised, type Found, fail, ok } from './finding.ts'

/** A key file, read as a start would read it; nothing is made where there is none. */
export type ReadKey = () => Promise<unknown>

/** Whether the folder can be used, and the keys in it. */
export async function dataFolder(dataDir: string, keys: readonly ReadKey[]): Promise<Found[]> {
  const folder = await stat(dataDir).catch((error: NodeJS.ErrnoException) => error)
  if (folder instanceof Error) {
    if (folder.code === 'ENOENT') return [await notYet(dataDir)]
    return [unusable(dataDir, folder)]
  }
  if (!folder.isDirectory()) {
    const next = 'Move it away, or give another folder with --data-dir.'
    return [fail('data_dir_no_folder', `The data folder ${dataDir} is not a folder.`, next)]
  }
  const barred = await mayWrite(dataDir)
  if (barred !== undefined) return [barred]
  const found = await Promise.all(keys.map(keyFault))
  const faults = found.filter((each) => each !== undefined)
  return faults.length > 0 ? faults : [ok(`${dataDir} can be used.`)]
}

/** The first start makes it. */
async function notYet(dataDir: string): Promise<Found> {
  const barred = await mayWrite(await existingAbove(dataDir))
  return barred ?? ok(`${dataDir} is made at the first start.`)
}

/** The folder itself, or the next one above it that is there. */
export async function existingAbove(folder: string): Promise<string> {
  const above = dirname(folder)
  const isThere = await stat(folder).then(
    () => true,
    () => false,
  )
  return isThere || above === folder ? folder : await existingAbove(above)
}

async function mayWrite(folder: string): Promise<Found | undefined> {
  try {
    await access(folder, constants.R_OK | constants.W_OK | constants.X_OK)
    return undefined
  } catch (error) {
    // That is the disk's affair, which has its own line.
    return (error as NodeJS.ErrnoException).code === 'EROFS' ? undefined : unusable(folder, error)
  }
}

const unusable = (folder: string, error: unknown): Found =>
  fail(
    'data_dir_rights',
    `${folder} can't be used: ${messageOf(error)}.`,
    'Give it to the user that the peer runs as, or give another folder with --data-dir.',
  )

async function keyFault(read: ReadKey): Promise<Found | undefined> {
  try {
    await read()
    return undefined
  } catch (error) {
    if (!(error instanceof PeerError)) throw error
    return advised('fail', error.code, error.message)
  }
}
