// Appends numbered entries to the own log in the data folder given as first argument, several at a
// time, some of them to the private log, and prints what was acknowledged and which heads were shown.
// Runs until it is killed.

import { systemClock } from '../../../src/base/clock.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { systemRandom } from '../../../src/base/random.ts'
import { FeedStore } from '../../../src/receipts/feeds/feed-store.ts'
import { OwnFeed } from '../../../src/receipts/feeds/own-feed.ts'
import { integerKey } from '../../../src/storage/codec.ts'
import { openStore } from '../../../src/storage/store.ts'
import { readHead } from '../../../src/wire/head.ts'
import { network, provider } from '../../wire/log-examples.ts'
import { note, verify } from './stage.ts'

const [dir = '', from = '0'] = process.argv.slice(2)
const store = await openStore(dir, { logger: silentLogger })
const settled = store.table('settled', { key: integerKey, value: integerKey })
const feeds = new FeedStore({ store })
const own = new OwnFeed({
  feeds,
  store,
  publicKey: provider.publicKey,
  signing: { network, sign: (message) => provider.sign(message) },
  verify,
  clock: systemClock,
  random: systemRandom,
  logger: silentLogger,
})
await own.start()
await own.confirm([])
own.onHead(({ head }) => process.stdout.write(`head ${readHead(head).size}\n`))

const LANES = 6

async function lane(offset: number): Promise<never> {
  for (let n = Number(from) + offset; ; n += LANES) {
    const publish = n % 5 !== 0
    const rows = store.batch().put(settled, n, n)
    await own.append([note(n, (n % 7) * 900)], { publish, rows })
    process.stdout.write(`done ${n}\n`)
  }
}

process.stdout.write('open\n')
await Promise.all(Array.from({ length: LANES }, (_, offset) => lane(offset)))
