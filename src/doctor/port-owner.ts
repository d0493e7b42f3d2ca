import { readdir, readFile, readlink } from 'node:fs/promises'

/** Processes that are looked through. */
const PROCESSES_MAX = 4096
const FILES_MAX = 4096
const LISTENS = '0A'

/** The process that listens on a TCP port of this machine; undefined where the system doesn't tell. */
export async function portOwner(port: number, signal: AbortSignal): Promise<number | undefined> {
  const tables = await Promise.all(
    ['tcp', 'tcp6'].map((name) => readFile(`/proc/net/${name}`, 'utf8').catch(() => '')),
  )
  const sockets = new Set(tables.flatMap((table) => listeners(table, port)))
  if (sockets.size === 0) return undefined
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  for (const pid of pids.slice(0, PROCESSES_MAX)) {
    signal.throwIfAborted()
    if (await holds(pid, sockets)) return Number(pid)
  }
  return undefined
}

/** As `/proc/<pid>/fd` names sockets. */
function listeners(table: string, port: number): string[] {
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  return table.split('\n').flatMap((line) => {
    const [, local, , state, , , , , , inode] = line.trim().split(/\s+/)
    return local?.endsWith(`:${hex}`) && state === LISTENS ? [`socket:[${inode}]`] : []
  })
}

/** False for a process of another user, whose files are not shown. */
async function holds(pid: string, sockets: ReadonlySet<string>): Promise<boolean> {
  const folder = `/proc/${pid}/fd`
  const files = (await readdir(folder).catch(() => [])).slice(0, FILES_MAX)
  const targets = await Promise.all(
    files.map((file) => readlink(`${folder}/${file}`).catch(() => '')),
  )
  return targets.some((target) => sockets.has(target))
}
