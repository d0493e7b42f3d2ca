import { mkdir } from 'node:fs/promises'
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
    const level = new Level(folder)
    await level.open()
    return () => level.close()
  } catch (error) {
    if (isLocked(error)) return undefined
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
    throw new StorageUnavailableError(folder, `${(cause as Error).message}.`, error)
  }
}

function isLocked(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ((at as { code?: unknown }).code === 'LEVEL_LOCKED') return true
  }
  return false
}
