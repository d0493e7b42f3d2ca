import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** As LevelDB says it of a log that it reads again at its start. */
const DROPPED = /: dropping (\d+) bytes; /g

/**
 * How many bytes LevelDB passed over when it was opened, as they were not what had been written.
 * It goes on without them, and tells nobody but its own log.
 */
export async function bytesDropped(dataDir: string): Promise<number> {
  const text = await readFile(join(dataDir, 'store', 'LOG'), 'utf8').catch(() => '')
  let bytes = 0
  for (const [, count] of text.matchAll(DROPPED)) bytes += Number(count)
  return bytes
}
