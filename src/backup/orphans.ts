import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'

/** Removes what processes that were killed began here: named by their number between these two. */
export async function removeOrphans(folder: string, begin: string, end: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.startsWith(begin) || !name.endsWith(end)) continue
    const pid = name.slice(begin.length, name.length - end.length)
    if (!/^\d{1,10}$/.test(pid) || isRunning(Number(pid))) continue
    await rm(join(folder, name), { recursive: true, force: true })
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // Of another user, if there is no right to ask.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
