import { open, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { bytesDropped } from './level-losses.ts'

export type StoreDamage =
  | { type: 'none'; files: number }
  /** It was never opened. */
  | { type: 'empty' }
  /** LevelDB went on without a part of it when it was opened last. */
  | { type: 'lost'; bytes: number }
  | { type: 'damaged'; what: string }

/** The last eight bytes of each of LevelDB's tables. */
const TABLE_END = Buffer.from('57fb808b247547db', 'hex')
/** Tables that are looked at, of 2 MB each: more than that is not done in the time there is. */
const TABLES_MAX = 4096
const AT_ONCE = 64

/**
 * Looks at the files of the database in a data folder, and opens nothing. Of one that is in use the
 * tables are not read: the newest may just be written.
 */
export async function lookAtStore(
  dataDir: string,
  { inUse, signal }: { inUse: boolean; signal: AbortSignal },
): Promise<StoreDamage> {
  const dir = join(dataDir, 'store')
  const names = await readdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (names === undefined || names.length === 0) return { type: 'empty' }
  const tables = inUse ? [] : names.filter((name) => /^\d+\.(ldb|sst)$/.test(name))
  const what = (await lostFile(dir, names)) ?? (await cutTable(dir, tables, signal))
  if (what !== undefined) return { type: 'damaged', what }
  const bytes = await bytesDropped(dataDir)
  return bytes > 0 ? { type: 'lost', bytes } : { type: 'none', files: names.length }
}

/** CURRENT names the manifest, which names all tables. */
async function lostFile(dir: string, names: readonly string[]): Promise<string | undefined> {
  const hasRows = names.some((name) => /^\d+\.(log|ldb|sst)$/.test(name))
  if (!names.includes('CURRENT')) return hasRows ? 'the file CURRENT is missing' : undefined
  const manifest = (await readFile(join(dir, 'CURRENT'), 'utf8')).trim()
  if (!/^MANIFEST-\d+$/.test(manifest)) return 'the file CURRENT is unreadable'
  return names.includes(manifest) ? undefined : `the file ${manifest} is missing`
}

async function cutTable(
  dir: string,
  tables: readonly string[],
  signal: AbortSignal,
): Promise<string | undefined> {
  for (let from = 0; from < Math.min(tables.length, TABLES_MAX); from += AT_ONCE) {
    signal.throwIfAborted()
    const some = tables.slice(from, from + AT_ONCE)
    const whole = await Promise.all(some.map((name) => isWhole(join(dir, name))))
    const cut = some.find((_, at) => whole[at] === false)
    if (cut !== undefined) return `the file ${cut} is cut off`
  }
  return undefined
}

async function isWhole(path: string): Promise<boolean> {
  const file = await open(path).catch((error: NodeJS.ErrnoException) => {
    // Merged into another one meanwhile.
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (file === undefined) return true
  try {
    const { size } = await file.stat()
    const end = Buffer.alloc(TABLE_END.length)
    await file.read(end, 0, end.length, Math.max(0, size - end.length))
    return TABLE_END.equals(end)
  } finally {
    await file.close()
  }
}
