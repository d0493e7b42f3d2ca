import { diskStage, grown, peer } from '../../test/receipts/feeds/disk-stage.ts'
import { type Meter, MeteredStream } from '../../test/receipts/sync/metered-stream.ts'
import { closed, indexed, syncPair } from '../../test/receipts/sync/sync-pair.ts'

/** How many logs go on before a round, and by how many entries each. */
const GROWN = 100
const PER_LOG = 10
export const MISSING = GROWN * PER_LOG

export interface SyncRound {
  roundTrips: number
  /** What went over the wire in both directions, without the entries themselves. */
  overheadBytes: number
  entryBytes: number
  /** Of both peers together: they are in one process. */
  cpuMs: number
  ms: number
}

export interface SyncDirs {
  /** Two folders with the same logs; in each round one of them gets some entries before the other. */
  ahead: string
  behind: string
  /** How many logs. */
  logs: number
}

/** One peer misses 1,000 entries of 100 logs, and gets them from another. */
export async function syncRounds(
  { ahead, behind, logs }: SyncDirs,
  rounds: number,
): Promise<SyncRound[]> {
  const [server, client] = [peer(0), peer(1_000_000)]
  const there = await indexed(await diskStage(ahead, { who: server }))
  const here = await indexed(await diskStage(behind, { who: client }))
  const pair = await syncPair({
    server: { who: server, logs: there },
    client: { who: client, logs: here },
  })
  const results: SyncRound[] = []
  try {
    for (let round = -1; round < rounds; round++) {
      let entryBytes = 0
      for (const n of someOf(logs)) {
        const { entries, batches } = await grown(there, peer(n), PER_LOG)
        entryBytes += entries.reduce((sum, { bytes }) => sum + bytes.length, 0)
        for (const batch of batches) await there.intake.ingest(batch)
      }
      const meter: Meter = { bytes: 0, roundTrips: 0 }
      const [begin, before] = [performance.now(), process.cpuUsage()]
      await pair.reconcile((stream) => new MeteredStream(stream, meter))
      const { user, system } = process.cpuUsage(before)
      const ms = performance.now() - begin
      const differing = there.index.differing(here.index.digest)
      if (differing.size > 0) throw new Error('something is missing')
      const { bytes, roundTrips } = meter
      const cpuMs = (user + system) / 1000
      // The first round compiles what the others run.
      if (round < 0) continue
      results.push({ roundTrips, overheadBytes: bytes - entryBytes, entryBytes, cpuMs, ms })
    }
    return results
  } finally {
    await pair.close()
    await Promise.all([closed(there), closed(here)])
  }
}

/** The numbers of some logs, any of them. */
function someOf(logs: number): Set<number> {
  const numbers = new Set<number>()
  while (numbers.size < Math.min(GROWN, logs)) {
    numbers.add(1 + Math.floor(Math.random() * logs))
  }
  return numbers
}
