import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { diskStage, job, peer } from '../../test/receipts/feeds/disk-stage.ts'

/** In one turn; append and fdatasync take turns, so that both meet the same disk. */
const TURN = 50

export interface AppendRound {
  /** Milliseconds of each append, alone and among eight, and of each fdatasync. */
  alone: number[]
  ofEight: number[]
  fdatasync: number[]
}

/** What an entry takes to be on the disk under a signed head, against the disk itself. */
export async function appendRound(turns: number): Promise<AppendRound> {
  const dir = await mkdtemp(join(tmpdir(), 'pinaivu-bench-log-'))
  const who = peer(1)
  const { own, store } = await diskStage(dir, { who })
  const file = await open(join(dir, 'file'), 'a')
  const round: AppendRound = { alone: [], ofEight: [], fdatasync: [] }
  let jobs = 0
  const append = async () => {
    const entry = job(who, `job_${jobs++}.1`)
    const begin = performance.now()
    await own.append([entry], { publish: true })
    return performance.now() - begin
  }
  try {
    const bytes = job(who, 'job_0.1').bytes
    for (let turn = 0; turn < turns; turn++) {
      for (let n = 0; n < TURN; n++) {
        const begin = performance.now()
        await file.write(bytes)
        await file.datasync()
        round.fdatasync.push(performance.now() - begin)
      }
      for (let n = 0; n < TURN; n++) round.alone.push(await append())
      const lane = async () => {
        for (let n = 0; n < TURN / 2; n++) round.ofEight.push(await append())
      }
      await Promise.all(Array.from({ length: 8 }, lane))
    }
    return round
  } finally {
    await file.close()
    await own.stop()
    await store.close()
    await rm(dir, { recursive: true })
  }
}
