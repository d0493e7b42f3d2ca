import { systemClock } from '../../../src/base/clock.ts'
import { noMetrics } from '../../../src/base/metrics.ts'
import type { Identity } from '../../../src/identity/identity.ts'
import { memoryHub } from '../../../src/network/memory/memory-hub.ts'
import type { FrameStream } from '../../../src/network/network.ts'
import { LiveReceipts } from '../../../src/receipts/live.ts'
import { HeadIndex } from '../../../src/receipts/sync/head-index.ts'
import { Mender } from '../../../src/receipts/sync/mender.ts'
import { Puller } from '../../../src/receipts/sync/puller.ts'
import { Reconciler } from '../../../src/receipts/sync/reconciler.ts'
import { SyncServer } from '../../../src/receipts/sync/serve/sync-server.ts'
import { asking } from '../../../src/receipts/sync/sync-client.ts'
import { type Stage, verifying } from '../feeds/stage.ts'

/** A peer's logs, and the heads of all of them in memory. */
export interface IndexedStage extends Stage {
  index: HeadIndex
}

export async function indexed(logs: Stage): Promise<IndexedStage> {
  await logs.own.confirm([])
  const index = new HeadIndex({ feeds: logs.feeds, bars: logs.intake.bars })
  const signal = AbortSignal.timeout(60_000)
  await index.start({ signal })
  await index.load({ signal })
  return { ...logs, index }
}

export async function closed({ index, own, store }: IndexedStage): Promise<void> {
  await index.stop()
  await own.stop()
  await store.close()
}

export interface PairMember {
  who: Identity
  logs: IndexedStage
}

/** Two peers on a network in memory; the one asks the other. */
export async function syncPair({ server, client }: { server: PairMember; client: PairMember }) {
  const hub = memoryHub({ clock: systemClock })
  const { signal } = new AbortController()
  const [there, here] = [server.logs, client.logs]
  const far = hub.network(server.who.peerId)
  const near = hub.network(client.who.peerId)
  const { intake, feeds, index } = there
  const parts = { feeds, index, bars: intake.bars, clock: systemClock, metrics: noMetrics }
  const sync = new SyncServer({ ...parts, network: far, live: new LiveReceipts(parts) })
  await Promise.all([far.start({ signal }), near.start({ signal }), sync.start()])
  await near.connect(server.who.peerId, far.status().addrs, { signal })
  return {
    /** Brings the client up to the server; `watch` may stand between it and its stream. */
    async reconcile(watch: (stream: FrameStream) => FrameStream): Promise<void> {
      const network = {
        open: async (...args: Parameters<typeof near.open>) => watch(await near.open(...args)),
        fault: near.fault.bind(near),
      }
      const { publicKey } = client.who
      const mender = new Mender({ ...here, verifying })
      const puller = new Puller({ ...here, mender, clock: systemClock })
      const reconciler = new Reconciler({ ...here, log: here.own, publicKey, mender, puller })
      await asking(
        { network, clock: systemClock, verifying },
        server.who.peerId,
        { signal },
        (asked) => reconciler.reconcile(asked),
      )
    },
    async close(): Promise<void> {
      await sync.stop()
      await Promise.all([near.stop(), far.stop()])
    },
  }
}
