// Emits numbered events to the URL given as second argument, with the data folder given as first,
// and prints each number after its commit resolved. Runs until it is killed.
import { openHooks } from './real-hooks.ts'
import { endpoint, event } from './stage.ts'

const [dir = '', url = '', from = '0'] = process.argv.slice(2)
const { store, webhooks } = await openHooks(dir)
if (webhooks.list('ada').length === 0) await endpoint(webhooks, url)
await webhooks.start()

async function lane(lanes: number, offset: number): Promise<never> {
  for (let n = Number(from) + offset; ; n += lanes) {
    const rows = store.batch()
    webhooks.emit(event(n), rows)
    await store.commit(rows)
    process.stdout.write(`${n}\n`)
  }
}

process.stdout.write('open\n')
await Promise.all([0, 1, 2].map((offset) => lane(3, offset)))
