import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'

/** A line of /proc/locks: kind, mode, access, process, major:minor:inode in hex, hex and decimal. */
const LOCK = /POSIX\s+\S+\s+\S+\s+(\d+)\s+([0-9a-f]+):([0-9a-f]+):(\d+)\s/g

/** Whether this system says who holds a lock. */
export const tellsHolder = process.platform === 'linux'

/**
 * The process that has the database in this folder open. Undefined where none has, or where the
 * system doesn't tell.
 */
export async function lockHolder(dataDir: string): Promise<number | undefined> {
  const file = await stat(join(dataDir, 'store', 'LOCK'), { bigint: true }).catch(() => undefined)
  const locks = await readFile('/proc/locks', 'utf8').catch(() => '')
  if (file === undefined) return undefined
  const { ino, dev } = file
  for (const [, pid, major, minor, inode] of locks.matchAll(LOCK)) {
    const isIt = inode === String(ino) && deviceOf(`${major}`, `${minor}`) === dev
    // A process of another container has no number here.
    if (isIt && Number(pid) > 0) return Number(pid)
  }
  return undefined
}

/** As Linux puts both numbers of a device into one. */
function deviceOf(majorHex: string, minorHex: string): bigint {
  const major = BigInt(`0x${majorHex}`)
  const minor = BigInt(`0x${minorHex}`)
  return (
    ((major & 0xfffn) << 8n) |
    ((major & ~0xfffn) << 32n) |
    (minor & 0xffn) |
    ((minor & ~0xffn) << 12n)
  )
}

/** `node (process 123)`, as far as this user may know. */
export async function processText(pid: number): Promise<string> {
  const name = (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')).trim()
  return name === '' ? `process ${pid}` : `${name} (process ${pid})`
}
