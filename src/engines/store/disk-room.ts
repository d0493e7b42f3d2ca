import { statfs } from 'node:fs/promises'
import { messageOf, PeerError } from '../../base/errors.ts'

/** The machine's other work, and this peer's database, need some too. */
export const ROOM_LEFT_BYTES = 256 * 1024 * 1024

/** Bytes that may be written in a folder. */
export async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize
}

/** LevelDB has the system's words alone. */
const fullWords = /No space left on device|Disk quota exceeded/

/** What the disk does not take, in words that say what to do. */
export function diskFailure(folder: string): (cause: unknown) => never {
  return (cause) => {
    const code = (cause as NodeJS.ErrnoException | undefined)?.code
    const isFull = code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG'
    if (isFull || fullWords.test(messageOf(cause))) throw diskFull(folder, cause)
    if (cause instanceof PeerError) throw cause
    const message =
      `The disk at ${folder} does not take files (${code ?? 'unknown'}). ` +
      'Let this user write there, or give another folder with --data-dir.'
    throw new PeerError('storage_failed', message, { cause })
  }
}

const diskFull = (folder: string, cause: unknown): PeerError =>
  new PeerError(
    'storage_full',
    `The disk at ${folder} is full. Make room and pull again: it goes on where it stopped.`,
    { cause },
  )
