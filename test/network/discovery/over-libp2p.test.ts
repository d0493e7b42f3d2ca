import { afterEach, expect, test } from 'vitest'
import { systemClock } from '../../../src/base/clock.ts'
import { noMetrics } from '../../../src/base/metrics.ts'
import { systemRandom } from '../../../src/base/random.ts'
import { identityFromSeed } from '../../../src/identity/identity.ts'
import { ADVERT_RECORD, advertRecordCheck } from '../../../src/network/discovery/advert-record.ts'
import { Discovery } from '../../../src/network/discovery/discovery.ts'
import { eventually, newHost, recorder, stopHosts } from '../hosts.ts'
import { Disk, facts, load, NETWORK, verify } from './stage.ts'

let made = 0
const running: Discovery[] = []

afterEach(async () => {
  await Promise.all(running.splice(0).map((discovery) => discovery.stop()))
  await stopHosts()
})

/** The same over real connections, in real time. */
async function peer(models: string[], bootstrap: string[] = []) {
  const identity = identityFromSeed(new Uint8Array(32).fill(++made))
  const { logger, lines } = recorder()
  const records = { [ADVERT_RECORD]: advertRecordCheck({ network: NETWORK, verify }) }
  const network = await newHost({ network: NETWORK, bootstrap, records }, { identity, logger })
  const disk = new Disk()
  const discovery = new Discovery(
    {
      network,
      identity,
      verify,
      describe: () => facts(models),
      load: () => models.map((name) => load(name)),
      known: disk.peerStore(),
      sequences: disk.sequenceStore(),
      clock: systemClock,
      random: systemRandom,
      logger,
      metrics: noMetrics,
    },
    { network: NETWORK, rejoin: false },
  )
  const signal = AbortSignal.timeout(10_000)
  await network.start({ signal })
  await discovery.start({ signal })
  running.push(discovery)
  const lists = (other: { network: typeof network }) =>
    discovery.directory.get(other.network.status().peerId)
  return { network, discovery, lists, lines }
}

test('peers in a line find each other, follow their load, and see each other leave', async () => {
  const b = await peer(['b'])
  const a = await peer(['a'], b.network.status().addrs)
  const c = await peer(['c'], b.network.status().addrs)
  const soon = (condition: () => boolean) => eventually(condition, 20_000)
  await soon(() => [a, c].every((other) => b.lists(other)?.status !== undefined))
  await soon(() => a.lists(c)?.status !== undefined && c.lists(a)?.status !== undefined)
  await soon(() => a.lists(c)?.rttMs !== undefined)
  await b.discovery.stop()
  await b.network.stop()
  await soon(() => a.lists(b) === undefined && c.lists(b) === undefined)
  expect(a.lists(c)).toBeDefined()
  const errors = [a, b, c].flatMap(({ lines }) => lines.filter(({ level }) => level === 'error'))
  expect(errors).toEqual([])
})
