import { constants } from 'node:fs'
import { open } from 'node:fs/promises'

/** Makes a new name in a folder survive a power cut. Windows can't open folders, and needs no help. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(folder, constants.O_RDONLY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
