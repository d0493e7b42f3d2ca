import { systemClock } from '../../src/base/clock.ts'
import { noMetrics } from '../../src/base/metrics.ts'
import { type Random, seededRandom } from '../../src/base/random.ts'
import type { Identity } from '../../src/identity/identity.ts'
import { LiveReceipts } from '../../src/receipts/live.ts'
import { HeadIndex } from '../../src/receipts/sync/head-index.ts'
import { Mender } from '../../src/receipts/sync/mender.ts'
import { Puller } from '../../src/receipts/sync/puller.ts'
import { Reconciler } from '../../src/receipts/sync/reconciler.ts'
import { SyncServer } from '../../src/receipts/sync/serve/sync-server.ts'
import { asking } from '../../src/receipts/sync/sync-client.ts'
import { Peaks } from '../../src/wire/merkle.ts'
import { memoryHub } from '../../test/network/memory-hub.ts'
import { batchesOf, diskStage, job, peer } from '../../test/receipts/feeds/disk-stage.ts'
import { author, type Stage, verifying } from '../../test/receipts/feeds/stage.ts'
import { filled } from '../../test/wire/log-examples.ts'
import { type Meter, MeteredStream } from './metered-stream.ts'

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
export async function syncRounds(dirs: SyncDirs, rounds: number): Promise<SyncRound[]> {
  const hub = memoryHub({ clock: systemClock })
  const signal = new AbortController().signal
  const [server, client] = [peer(0), peer(1_000_000)]
  const ahead = await opened(dirs.ahead, server)
  const behind = await opened(dirs.behind, client)
  const { intake, feeds, index } = ahead
  const parts = { feeds, index, bars: intake.bars, clock: systemClock, metrics: noMetrics }
  const network = hub.network(server.peerId)
  const live = new LiveReceipts({ clock: systemClock })
  const sync = new SyncServer({ ...parts, network, live })
  const near = hub.network(client.peerId)
  await Promise.all([network.start({ signal }), near.start({ signal }), sync.start()])
  await near.connect(server.peerId, network.status().addrs, { signal })
  const results: SyncRound[] = []
  try {
    const random = seededRandom(1)
    for (let round = -1; round < rounds; round++) {
      const entryBytes = await addSome(ahead, drawn(random, dirs.logs))
      const meter: Meter = { bytes: 0, roundTrips: 0 }
      const [begin, before] = [performance.now(), process.cpuUsage()]
      await pull(behind, client, {
        open: async (...args) => new MeteredStream(await near.open(...args), meter),
        fault: (peerId, action, reason) => near.fault(peerId, action, reason),
        from: server.peerId,
      })
      const { user, system } = process.cpuUsage(before)
      const ms = performance.now() - begin
      if (index.differing(behind.index.digest).size > 0) throw new Error('something is missing')
      const { bytes, roundTrips } = meter
      const cpuMs = (user + system) / 1000
      // The first round compiles what the others run.
      if (round < 0) continue
      results.push({ roundTrips, overheadBytes: bytes - entryBytes, entryBytes, cpuMs, ms })
    }
    return results
  } finally {
    await sync.stop()
    await Promise.all([near.stop(), network.stop()])
    await Promise.all([closed(ahead), closed(behind)])
  }
}

type Opened = Stage & { index: HeadIndex }

async function opened(dir: string, who: Identity): Promise<Opened> {
  const logs = await diskStage(dir, { who })
  await logs.own.confirm([])
  const index = new HeadIndex({ feeds: logs.feeds, bars: logs.intake.bars })
  await index.start({ signal: AbortSignal.timeout(60_000) })
  return { ...logs, index }
}

async function closed({ index, own, store }: Opened): Promise<void> {
  await index.stop()
  await own.stop()
  await store.close()
}

type From = Parameters<typeof asking>[0]['network'] & { from: string }

async function pull(stage: Opened, { publicKey }: Identity, { from, ...network }: From) {
  const { feeds, intake, index, own: log } = stage
  const mender = new Mender({ feeds, intake, verifying })
  const puller = new Puller({ feeds, intake, mender })
  const parts = { feeds, intake, index, log, publicKey, mender, puller }
  const reconciler = new Reconciler(parts)
  const { signal } = new AbortController()
  await asking({ network, clock: systemClock, verifying }, from, { signal }, (client) =>
    reconciler.reconcile(client),
  )
}

/** The numbers of as many different logs. */
function drawn(random: Random, logs: number): Set<number> {
  const numbers = new Set<number>()
  while (numbers.size < Math.min(GROWN, logs)) numbers.add(1 + random.below(logs))
  return numbers
}

/** Each of these logs goes on; resolves to how many bytes of entries it goes on by. */
async function addSome({ feeds, intake }: Opened, numbers: Iterable<number>): Promise<number> {
  let bytes = 0
  for (const n of numbers) {
    const who = peer(n)
    const feed = author(who, filled(1, 8))
    const { size = 0 } = (await feeds.tables.feeds.get(feed)) ?? {}
    const jobs = Array.from({ length: PER_LOG }, (_, at) => job(who, `job_${size + at}.1`))
    bytes += jobs.reduce((sum, entry) => sum + entry.bytes.length, 0)
    const before = new Peaks(size, await feeds.peaksAt(feed, size))
    for (const batch of batchesOf(who, jobs, PER_LOG, before)) await intake.ingest(batch)
  }
  return bytes
}
