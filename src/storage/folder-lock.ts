import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import { StorageUnavailableError } from './errors.ts'

/**
 * Makes what this folder stands for this process's alone; undefined where another has it, or another
 * part of this process. The lock is the system's, by way of LevelDB, which has one on each platform: it
 * goes with its process, however that ends.
 */
export async function lockFolder(folder: string): Promise<(() => Promise<void>) | undefined> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    return await lock(folder).catch(async () => {
      await clear(folder)
      return await lock(folder)
    })
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
    throw new StorageUnavailableError(folder, `${(cause as Error).message}.`, error)
  }
}

async function lock(folder: string): Promise<(() => Promise<void>) | undefined> {
  const level = new Level(folder)
  try {
    await level.open()
    return () => level.close()
  } catch (error) {
    if (isLocked(error)) return undefined
    throw error
  }
}

/** A power cut may have left what cannot be read. All that anybody needs of it is the lock itself. */
async function clear(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (name !== 'LOCK') await rm(join(folder, name), { recursive: true, force: true })
  }
}

function isLocked(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ((at as { code?: unknown }).code === 'LEVEL_LOCKED') return true
  }
  return false
}
