import { Webhooks } from '../../../src/accounts/webhooks/webhooks.ts'
import { systemClock } from '../../../src/base/clock.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { noMetrics } from '../../../src/base/metrics.ts'
import { systemRandom } from '../../../src/base/random.ts'
import { openStore } from '../../../src/storage/store.ts'

/** As in a peer, on a real disk and in real time; into this machine too. */
export async function openHooks(dir: string) {
  const store = await openStore(dir, { logger: silentLogger })
  const around = { clock: systemClock, random: systemRandom, logger: silentLogger }
  const webhooks = await Webhooks.open(
    { ...around, store, metrics: noMetrics },
    { userAgent: 'test/1', poster: { allowPrivate: true } },
  )
  return { store, webhooks }
}
