import { constants } from 'node:fs'
import { type FileHandle, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../base/clock.ts'

/** As much as some answers' receipts take. */
const WRITE_BYTES = 64 * 1024
const TIMES = 3

/**
 * Writes to the disk as the peer does for each answer, and returns the milliseconds that the middle
 * one of some took. The file has no name, or not for longer than an instant: nothing is left of it.
 */
export async function trialWrite(
  folder: string,
  clock: Pick<Clock, 'elapsed'>,
  signal: AbortSignal,
): Promise<number> {
  await using file = await nameless(folder)
  const times: number[] = []
  for (let at = 0; at < TIMES; at++) {
    signal.throwIfAborted()
    const began = clock.elapsed()
    await file.write(Buffer.alloc(WRITE_BYTES), 0, WRITE_BYTES, at * WRITE_BYTES)
    await file.sync()
    times.push(clock.elapsed() - began)
  }
  return times.sort((a, b) => a - b)[Math.floor(TIMES / 2)] ?? 0
}

/** Of Linux; Node has no name for it. */
const TMPFILE = 0o20000000

async function nameless(folder: string): Promise<FileHandle> {
  if (process.platform === 'linux') {
    const flags = TMPFILE | constants.O_DIRECTORY | constants.O_RDWR
    try {
      return await open(folder, flags, 0o600)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code !== 'EOPNOTSUPP' && code !== 'EISDIR') throw error
    }
  }
  const path = join(folder, `.doctor-${process.pid}.tmp`)
  const file = await open(path, 'wx+', 0o600)
  await rm(path, { force: true })
  return file
}
