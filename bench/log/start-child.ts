// Opens the logs in the folder given as first argument, asks some things, and prints what it took.
import { createHash } from 'node:crypto'
import { diskStage, peer } from '../../test/receipts/feeds/disk-stage.ts'
import { closed, indexed } from '../../test/receipts/sync/sync-pair.ts'
import { memoryOf } from '../peer.ts'
import { quantile } from '../statistics.ts'
import type { Started } from './start.ts'

const ASKED = 2000
const [dir = ''] = process.argv.slice(2)

const begin = performance.now()
const stage = await indexed(await diskStage(dir, { who: peer(0) }))
const { feeds, own } = stage
await feeds.head(own.feed)
const startMs = performance.now() - begin
const begun = await memoryOf(process.pid)

const all: { feed: typeof own.feed; size: number }[] = []
for await (const { feed } of feeds.feeds()) {
  const row = await feeds.tables.feeds.get(feed)
  all.push({ feed, size: row?.size ?? 0 })
}

const proofs: number[] = []
const finds: number[] = []
for (let n = 0; n < ASKED; n++) {
  // Any spread will do, as long as it is wide and the same each time.
  const { feed, size } = all[(n * 7919) % all.length] ?? { feed: own.feed, size: 1 }
  const index = (n * 104_729) % size
  const first = performance.now()
  await feeds.prove({ feed, index })
  proofs.push(performance.now() - first)
  const entry = await feeds.entry({ feed, index })
  const digest = createHash('sha256')
    .update(entry?.bytes ?? '')
    .digest()
  const second = performance.now()
  const [place] = await feeds.find('entry', digest, { limit: 1 })
  finds.push(performance.now() - second)
  if (place?.index !== index) throw new Error('an entry is not there')
}
const started: Started = {
  startMs,
  begun,
  asked: await memoryOf(process.pid),
  proofMs: [quantile(proofs, 0.5), quantile(proofs, 0.99)],
  findMs: [quantile(finds, 0.5), quantile(finds, 0.99)],
}
await closed(stage)
process.stdout.write(JSON.stringify(started))
