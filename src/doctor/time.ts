import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Found, ok, warn } from './finding.ts'
import type { LogHead } from './peer-seen.ts'
import { counted, spanText } from './text.ts'

/** What clocks that are kept right differ by, and what it takes a head to come here. */
const TOLERANCE_MS = 10_000
/** A file system may keep whole seconds, or another machine may write them. */
const FILE_TOLERANCE_MS = 60_000
const FILES_MAX = 256

export interface TimeEvidence {
  now: number
  /** When the newest file of the data folder was written, as it says itself. */
  newestFileMs: number | undefined
  /** How far the clocks of other peers are ahead of this one, one for each. */
  offsets: readonly number[]
  /** Whether the system says that time servers keep its clock. */
  isSynced: boolean | undefined
}

/**
 * Whether this machine's clock is right: by the clocks of peers whose logs grow or lie in the future,
 * by files that were written before, and by the system's own word.
 */
export function time({ now, newestFileMs, offsets, isSynced }: TimeEvidence): Found {
  const set = 'Switch on time servers (timedatectl set-ntp true), then restart the peer.'
  const offset = median(offsets)
  if (offset !== undefined && Math.abs(offset) > TOLERANCE_MS) {
    const behind = offset > 0 ? 'behind' : 'ahead of'
    return warn(
      'clock_wrong',
      `This machine's clock is ${spanText(Math.abs(offset))} ${behind} that of others: ` +
        `${counted(offsets.length, 'peer')}, by the time on what they log now` +
        `${offsets.length === 1 ? ' (or it is the other that is wrong)' : ''}.`,
      set,
    )
  }
  if (newestFileMs !== undefined && newestFileMs - now > FILE_TOLERANCE_MS) {
    return warn(
      'clock_set_back',
      `This machine's clock is at least ${spanText(newestFileMs - now)} behind: a file of the data ` +
        'folder was written later than now.',
      set,
    )
  }
  if (isSynced === false) {
    const cause = 'The system says that no time server keeps its clock right.'
    return warn('clock_not_synced', cause, set)
  }
  const by = [
    offsets.length > 0 ? [`the clocks of ${counted(offsets.length, 'peer')}`] : [],
    newestFileMs === undefined ? [] : ['the files of the data folder'],
    isSynced === true ? ["the system's own word"] : [],
  ].flat()
  if (by.length === 0) return ok('Nothing speaks against this clock, but nothing was there to ask.')
  return ok(`This clock is not found wrong, by ${by.join(', ')}.`)
}

/**
 * How far other clocks are ahead, as far as heads tell: one that grew between two looks was signed
 * in between, and one from the future at the latest now. Others say nothing.
 */
export function offsetsOf(
  before: { heads: readonly LogHead[]; now: number },
  after: { heads: readonly LogHead[]; now: number },
  self: string,
): number[] {
  const known = new Map(before.heads.map((head) => [nameOf(head), head.size]))
  const offsets = new Map<string, number>()
  for (const head of after.heads) {
    if (head.author === self) continue
    const size = known.get(nameOf(head))
    const isNew = size !== undefined && head.size > size
    const ahead = head.atMs - after.now
    if (isNew) offsets.set(head.author, ahead > 0 ? ahead : Math.min(0, head.atMs - before.now))
    else if (ahead > TOLERANCE_MS && !offsets.has(head.author)) offsets.set(head.author, ahead)
  }
  return [...offsets.values()]
}

const nameOf = ({ author, epoch }: LogHead): string => `${author} ${epoch}`

function median(values: readonly number[]): number | undefined {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]
}

/** The latest time of writing that files of the folder carry. */
export async function newestFile(dataDir: string): Promise<number | undefined> {
  const folders = [dataDir, join(dataDir, 'store')]
  const paths = await Promise.all(
    folders.map(async (folder) =>
      (await readdir(folder).catch(() => [])).slice(0, FILES_MAX).map((name) => join(folder, name)),
    ),
  )
  const times = await Promise.all(
    paths.flat().map((path) =>
      stat(path).then(
        ({ mtimeMs }) => mtimeMs,
        () => 0,
      ),
    ),
  )
  return times.length === 0 ? undefined : Math.max(...times)
}
