import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { diskStage, job, peer } from '../../test/receipts/feeds/disk-stage.ts'

/** In one turn; appends and fdatasync take turns, so that both meet the same disk. */
const TURN = 50

/** How many appenders wait at a time. */
export const crowds = [1, 8, 100] as const

export interface AppendRound {
  appenders: (typeof crowds)[number]
  /** Milliseconds of each append. */
  append: number[]
  /** Of each fdatasync of a file to which as much was added as those appends write at once. */
  fdatasync: number[]
}

/** What an entry takes to be on the disk under a signed head, against the disk itself. */
export async function appendRounds(turns: number): Promise<AppendRound[]> {
  const dir = await mkdtemp(join(tmpdir(), 'pinaivu-bench-log-'))
  const who = peer(1)
  const { own, store } = await diskStage(dir, { who })
  const file = await open(join(dir, 'file'), 'a')
  const rounds = crowds.map((appenders): AppendRound => ({ appenders, append: [], fdatasync: [] }))
  let jobs = 0
  try {
    for (let turn = -1; turn < turns; turn++) {
      for (const { appenders, append, fdatasync } of rounds) {
        const each = Math.ceil(TURN / appenders)
        const entries = Array.from({ length: appenders * each }, () => job(who, `job_${jobs++}.1`))
        const bytes = new Uint8Array((entries[0]?.bytes.length ?? 0) * appenders)
        const synced = await syncTimes(file, bytes, Math.max(each, TURN / 5))
        const lane = async (mine: typeof entries) => {
          const times: number[] = []
          for (const entry of mine) {
            const begin = performance.now()
            await own.append([entry], { publish: true })
            times.push(performance.now() - begin)
          }
          return times
        }
        const lanes = Array.from({ length: appenders }, (_, n) =>
          lane(entries.slice(n * each, (n + 1) * each)),
        )
        const appended = (await Promise.all(lanes)).flat()
        // The first turn compiles what the others run.
        if (turn < 0) continue
        append.push(...appended)
        fdatasync.push(...synced)
      }
    }
    return rounds
  } finally {
    await file.close()
    await own.stop()
    await store.close()
    await rm(dir, { recursive: true })
  }
}

async function syncTimes(file: FileHandle, bytes: Uint8Array, count: number): Promise<number[]> {
  const times: number[] = []
  for (let n = 0; n < count; n++) {
    const begin = performance.now()
    await file.write(bytes)
    await file.datasync()
    times.push(performance.now() - begin)
  }
  return times
}
