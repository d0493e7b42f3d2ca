import { afterEach, expect, test } from 'vitest'
import { systemClock } from '../../../src/base/clock.ts'
import { noMetrics } from '../../../src/base/metrics.ts'
import { LiveReceipts } from '../../../src/receipts/live.ts'
import { HeadIndex } from '../../../src/receipts/sync/head-index.ts'
import { SyncServer } from '../../../src/receipts/sync/serve/sync-server.ts'
import { protocols } from '../../../src/wire/protocols.ts'
import { eventually, newHost, startHost, stopHosts } from '../../network/hosts.ts'
import { note, stage } from '../feeds/stage.ts'
import { Asker, kindsOf, peer, server } from './serve-stage.ts'

afterEach(stopHosts)

/** The same over real connections, in real time. */
async function connected() {
  const logs = await stage({ who: server, clock: systemClock })
  const { feeds, intake } = logs
  const { bars } = intake
  const index = new HeadIndex({ feeds, bars })
  const network = await newHost({}, { identity: server })
  const live = new LiveReceipts({ clock: systemClock })
  const parts = { network, feeds, index, bars, live, clock: systemClock, metrics: noMetrics }
  const sync = new SyncServer(parts)
  const signal = AbortSignal.timeout(20_000)
  await network.start({ signal })
  await index.start({ signal })
  await index.load({ signal })
  await sync.start()
  const far = await startHost({ bootstrap: network.status().addrs })
  await eventually(() => far.isConnected(server.peerId))
  const asker = async () => new Asker(await far.open(server.peerId, protocols.sync, { signal }))
  return { ...logs, sync, asker, range: { ...logs.own.feed, from: 0, to: 0, peaks: false } }
}

test('logs go over real connections, asked for and followed', async () => {
  const { own, feeds, sync, asker, range } = await connected()
  for (let n = 0; n < 60; n++) await own.append([note(n, 20_000)], { publish: true })
  const there = await stage({ who: peer(101) })
  const [one, follower] = [await asker(), await asker()]
  one.write({ type: 'digest', buckets: new Uint8Array(2048) }, { type: 'ranges', ranges: [range] })
  expect(kindsOf(await one.answers())).toEqual(['places', 'end'])
  const answers = await one.answers()
  for (const answer of answers) {
    if (answer.type === 'batch') await there.intake.ingest(answer.batch)
  }
  expect(await there.feeds.head(own.feed)).toEqual(await feeds.head(own.feed))

  // One that reads nothing keeps no other from being told.
  const slow = await asker()
  for (const each of [follower, slow])
    each.write({ type: 'follow', ranges: [{ ...range, from: 60 }] })
  for (let n = 60; n < 120; n++) {
    await own.append([note(n, 20_000)], { publish: true })
    const answer = await follower.read()
    if (answer?.type === 'batch') await there.intake.ingest(answer.batch)
  }
  expect(await there.feeds.head(own.feed)).toEqual(await feeds.head(own.feed))
  expect(sync.status()).toEqual({ streams: 3, followed: 2 })
  await follower.stream.close()
  await one.stream.close()
  slow.stream.reset(new Error('gone'))
  await eventually(() => sync.status().streams === 0)
  await sync.stop()
})
