import { statfs } from 'node:fs/promises'
import type { Clock } from '../base/clock.ts'
import { existingAbove } from './data-folder.ts'
import { type Found, fail, ok, skip, warn } from './finding.ts'
import { bytesText } from './text.ts'
import { trialWrite } from './trial-write.ts'

/** Less, and a few thousand receipts fill it. */
const ROOM_LOW_BYTES = 512 * 1024 * 1024
/** LevelDB's log and the tables that are made of it: with less not even a start is sure. */
const ROOM_MIN_BYTES = 32 * 1024 * 1024
/** Each answer waits for one; a spinning disk takes 20 ms. */
const WRITE_SLOW_MS = 150

export const diskHangs: Found = fail(
  'disk_hangs',
  'The disk of the data folder gives no answer.',
  'Look whether it is a network disk that is gone, and what the system logged of it (dmesg).',
)

/** Whether the disk under the data folder takes what is written, how fast, and how much more. */
export async function disk(
  dataDir: string,
  clock: Pick<Clock, 'elapsed'>,
  signal: AbortSignal,
): Promise<Found> {
  const folder = await existingAbove(dataDir)
  const { bavail, bsize } = await statfs(folder)
  const free = bavail * bsize
  try {
    const ms = await trialWrite(folder, clock, signal)
    return judge(folder, free, ms)
  } catch (error) {
    const found = faultOf(folder, free, (error as NodeJS.ErrnoException).code ?? '')
    if (found === undefined) throw error
    return found
  }
}

function judge(folder: string, free: number, ms: number): Found {
  if (free < ROOM_MIN_BYTES) return full(folder, free)
  const took = `${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms`
  if (ms > WRITE_SLOW_MS) {
    return warn(
      'disk_slow',
      `The disk at ${folder} is slow: a write that must not be lost takes ${took}, and each answer ` +
        'waits for one.',
      'Put the data folder on a local disk (--data-dir), or find out what else keeps this one busy.',
    )
  }
  if (free < ROOM_LOW_BYTES) {
    const cause = `The disk at ${folder} is nearly full: ${bytesText(free)} are free.`
    return warn('disk_low', cause, `Make room: ${bytesText(ROOM_LOW_BYTES)} or more.`)
  }
  return ok(`${bytesText(free)} are free at ${folder}; a write takes ${took}.`)
}

const full = (folder: string, free: number): Found =>
  fail(
    'disk_full',
    `The disk at ${folder} is full: ${bytesText(free)} are free.`,
    'Make room, or put the data folder on another disk (--data-dir); then start the peer again.',
  )

function faultOf(folder: string, free: number, code: string): Found | undefined {
  switch (code) {
    case 'ENOSPC':
      return full(folder, free)
    case 'EDQUOT':
    case 'EFBIG':
      return fail(
        'disk_quota',
        `This user may write no more at ${folder}: a quota or a limit is reached.`,
        'Make room in what belongs to this user, or have the limit raised (quota, ulimit -f).',
      )
    case 'EROFS':
      return fail(
        'disk_read_only',
        `The disk at ${folder} can only be read.`,
        'It was mounted so, or the system found it faulty (dmesg): mount it for writing, or give ' +
          'another folder with --data-dir.',
      )
    case 'EIO':
      return fail(
        'disk_broken',
        `The disk at ${folder} can't be written: the system reports a fault of it.`,
        'Save what is on it and replace it (dmesg and smartctl say more).',
      )
    case 'EACCES':
    case 'EPERM':
      return skip('What this user may do in the data folder is said above.')
    default:
      return undefined
  }
}
