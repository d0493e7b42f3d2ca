// Commits numbered rows to the data folder given as first argument, several at a time, and prints
// each number after its commit resolved. Runs until it is killed.
import { silentLogger } from '../../src/base/logger.ts'
import { bytesValue, integerKey } from '../../src/storage/codec.ts'
import { openStore } from '../../src/storage/store.ts'

const [dir = '', mode = 'commit'] = process.argv.slice(2)
const store = await openStore(dir, { logger: silentLogger })
const codec = { key: integerKey, value: bytesValue }
const log = store.table('log', codec)
const mirror = store.table('mirror', codec)

async function lane(lanes: number, offset: number): Promise<never> {
  for (let n = offset; ; n += lanes) {
    const value = new Uint8Array(n % 2000).fill(n)
    await store.commit(store.batch().put(log, n, value).put(mirror, n, value))
    process.stdout.write(`${n}\n`)
  }
}

process.stdout.write('open\n')
if (mode === 'hold') setInterval(() => {}, 1000)
else await Promise.all([0, 1, 2, 3].map((offset) => lane(4, offset)))
