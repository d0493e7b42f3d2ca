// Takes in logs of others and writes its own, in the data folder given as first argument, and throws
// away the beginnings of all of them again. Prints what it was told is done. Runs until it is killed.

import { systemRandom } from '../../../src/base/random.ts'
import type { Identity } from '../../../src/identity/identity.ts'
import type { FeedId } from '../../../src/receipts/feeds/feed-id.ts'
import { coordinator, ExampleLog } from '../../wire/log-examples.ts'
import { entryOf, KEPT, others } from './crash-logs.ts'
import { diskStage } from './disk-stage.ts'
import { author } from './stage.ts'

const [dir = ''] = process.argv.slice(2)
// No two starts draw the same epochs.
const seed = systemRandom.below(2 ** 31)
const { feeds, intake, own } = await diskStage(dir, { who: coordinator, seed })
await own.confirm([])

const say = (what: string) => process.stdout.write(`${what}\n`)
const sizeOf = async (feed: FeedId) => (await feeds.tables.feeds.get(feed))?.size ?? 0
const entriesOf = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, n) => entryOf(from + n))

async function follow(who: Identity, name: number): Promise<never> {
  const feed = author(who)
  let size = await sizeOf(feed)
  const log = new ExampleLog(who).append(...entriesOf(0, size))
  for (let ahead = 0; ; ) {
    const end = size + 1 + systemRandom.below(40)
    // Sometimes the head has more entries than come now.
    ahead = Math.max(end, ahead, size + systemRandom.below(80))
    log.append(...entriesOf(log.entries.length, ahead))
    await intake.ingest(await log.batch(size, end))
    size = end
    say(`took ${name} ${size}`)
    if (systemRandom.below(3) > 0) continue
    await intake.prune(feed, size - KEPT)
    say(`pruned ${name} ${size - KEPT}`)
  }
}

async function write(): Promise<never> {
  for (let size = await sizeOf(own.feed); ; size++) {
    await own.append([entryOf(size)], { publish: true })
    say(`took own ${size + 1}`)
    if (size % 20 > 0) continue
    await own.prune(size - KEPT)
    say(`pruned own ${size - KEPT}`)
  }
}

say('open')
await Promise.all([...others.map(follow), write()])
