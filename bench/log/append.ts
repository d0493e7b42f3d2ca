import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Disk,
  job,
  openDisk,
  peer,
  type Rows,
  recordedStage,
} from '../../test/receipts/feeds/disk-stage.ts'
import { median } from '../statistics.ts'

type Own = Awaited<ReturnType<typeof recordedStage>>['own']
type Entry = ReturnType<typeof job>

/** In one turn; appends and fdatasync take turns, so that both meet the same disk. */
const TURN = 50
/** Of each appender in a turn, at least: it is one of a crowd that goes on. */
const IN_A_ROW = 5
/** Before anything is measured: then it runs compiled code, as a peer that has run for a while. */
const WARM_UP = 10_000

/** How many appenders wait at a time. */
export const crowds = [1, 8, 100] as const

export interface AppendRound {
  appenders: (typeof crowds)[number]
  /** Milliseconds of each append. */
  append: number[]
  /**
   * Of each fdatasync of a file to which as much was added as those appends write at once, by a
   * process that computes as long in between: a disk answers a busy machine later than an idle one.
   */
  fdatasync: number[]
  /** So much was added. */
  bytes: number
  /** Of each write of the same rows, in the same groups, into a database with nothing on top. */
  database: number[]
}

/** What an entry takes to be on the disk under a signed head, against the disk itself. */
export async function appendRounds(turns: number): Promise<AppendRound[]> {
  const dir = await mkdtemp(join(tmpdir(), 'pinaivu-bench-log-'))
  const who = peer(1)
  const { own, store, groups } = await recordedStage(dir, { who })
  const bare = await openDisk(join(dir, 'bare'))
  const file = await open(join(dir, 'file'), 'a')
  let jobs = 0
  const entriesOf = (count: number) =>
    Array.from({ length: count }, () => job(who, `job_${jobs++}.1`))
  const together = async (entries: readonly Entry[], appenders: number) => {
    groups.length = 0
    const lanes = Array.from({ length: appenders }, (_, lane) =>
      appendTimes(
        own,
        entries.filter((_entry, at) => at % appenders === lane),
      ),
    )
    return (await Promise.all(lanes)).flat()
  }
  const round = async (appenders: AppendRound['appenders']): Promise<AppendRound> => {
    const each = Math.max(IN_A_ROW, Math.ceil(TURN / appenders))
    const inTurn = each * appenders
    const before = await together(entriesOf(WARM_UP), appenders)
    const bytes = Math.round(median(groups.map(bytesOf)))
    const computingMs = Math.max(0, median(before) - median(await writeTimes(bare, groups)))
    const count = Math.max(each, TURN / 5)
    const entries = entriesOf(turns * inTurn)
    const append: number[] = []
    const fdatasync: number[] = []
    const database: number[] = []
    for (let turn = 0; turn < turns; turn++) {
      fdatasync.push(...(await syncTimes(file, { bytes, count, computingMs })))
      const mine = entries.slice(turn * inTurn, (turn + 1) * inTurn)
      append.push(...(await together(mine, appenders)))
      database.push(...(await writeTimes(bare, groups)))
    }
    return { appenders, append, fdatasync, bytes, database }
  }
  try {
    const rounds: AppendRound[] = []
    for (const appenders of crowds) rounds.push(await round(appenders))
    return rounds
  } finally {
    await file.close()
    await own.stop()
    await store.close()
    await bare.close()
    await rm(dir, { recursive: true })
  }
}

async function appendTimes(own: Own, entries: readonly Entry[]): Promise<number[]> {
  const times: number[] = []
  for (const entry of entries) {
    const begin = performance.now()
    await own.append([entry], { publish: true })
    times.push(performance.now() - begin)
  }
  return times
}

const bytesOf = (rows: Rows): number =>
  rows.reduce((sum, row) => sum + row.key.length + (row.type === 'put' ? row.value.length : 0), 0)

async function writeTimes(disk: Disk, groups: readonly Rows[]) {
  const times: number[] = []
  for (const rows of groups) {
    const begin = performance.now()
    await disk.write(rows, true)
    times.push(performance.now() - begin)
  }
  return times
}

async function syncTimes(
  file: FileHandle,
  { bytes, count, computingMs }: { bytes: number; count: number; computingMs: number },
): Promise<number[]> {
  const added = new Uint8Array(bytes)
  const times: number[] = []
  for (let n = 0; n < count; n++) {
    const until = performance.now() + computingMs
    while (performance.now() < until);
    const begin = performance.now()
    await file.write(added)
    await file.datasync()
    times.push(performance.now() - begin)
  }
  return times
}
