import { readFileSync } from 'node:fs'
import { freemem, totalmem } from 'node:os'
import { join } from 'node:path'

/** Bytes of the machine's memory that could be had now. */
export function freeRam(): number {
  const available = process.availableMemory()
  const allowed = process.constrainedMemory()
  if (allowed <= 0 || allowed >= totalmem()) return available
  // In a container Node counts what the system keeps of files as taken, though it gives that back at once: after a
  // large model was fetched there would seem to be no room for it.
  return Math.min(available + cachedFiles(), freemem())
}

/** What the system keeps of files for this container, by the two versions of Linux's cgroups. */
export function cachedFiles(root = '/'): number {
  for (const path of statPaths(root)) {
    const text = readOr(join(root, 'sys/fs/cgroup', path, 'memory.stat'), '')
    if (text === '') continue
    const sizes = ['inactive_file', 'active_file'].map((name) => {
      // The first version has sums of all below it, so named.
      const [, size = '0'] = new RegExp(`^(?:total_)${name} (\\d{1,15})$`, 'm').exec(text) ??
        new RegExp(`^${name} (\\d{1,15})$`, 'm').exec(text) ?? ['', '0']
      return Number(size)
    })
    return sizes.reduce((sum, size) => sum + size, 0)
  }
  return 0
}

/** Its own place, as a host shows it, and the root, as a container does. */
function statPaths(root: string): string[] {
  const lines = readOr(join(root, 'proc/self/cgroup'), '').split('\n')
  const paths = lines.flatMap((line) => {
    const [number, kinds = '', path = ''] = line.split(':')
    if (kinds.split(',').includes('memory')) return [join('memory', path), 'memory']
    return number === '0' && kinds === '' ? [path] : []
  })
  return [...paths, '.', 'memory']
}

function readOr(path: string, other: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return other
  }
}
