import { expect, it } from 'vitest'
import { batchesOf, grown, job, peer } from '../feeds/disk-stage.ts'
import { stage } from '../feeds/stage.ts'
import { type Meter, MeteredStream } from './metered-stream.ts'
import { closed, indexed, syncPair } from './sync-pair.ts'

const LOGS = 400
const GROWN = 100
const PER_LOG = 10

/** Signatures cost time, and nothing on the wire. */
const trusting = { verify: () => true, verifyLater: async () => true }

it('a peer that misses 1,000 entries of 100 logs gets them at little cost beside them', async () => {
  const [server, client] = [peer(0), peer(1_000_000)]
  const there = await indexed(await stage({ ...trusting, who: server }))
  const here = await indexed(await stage({ ...trusting, who: client }))
  const authors = Array.from({ length: LOGS }, (_, n) => peer(n + 1))
  for (const who of authors) {
    for (const batch of batchesOf(who, [job(who, 'job_0.1')], 1)) {
      await there.intake.ingest(batch)
      await here.intake.ingest(batch)
    }
  }
  let entryBytes = 0
  for (const who of authors.slice(0, GROWN)) {
    const { entries, batches } = await grown(there, who, PER_LOG)
    entryBytes += entries.reduce((sum, { bytes }) => sum + bytes.length, 0)
    for (const batch of batches) await there.intake.ingest(batch)
  }
  const pair = await syncPair({
    server: { who: server, logs: there },
    client: { who: client, logs: here },
  })
  const meter: Meter = { bytes: 0, roundTrips: 0 }
  await pair.reconcile((stream) => new MeteredStream(stream, meter))
  expect(here.index.digest).toEqual(there.index.digest)
  expect(meter.roundTrips).toBeLessThanOrEqual(4)
  expect(meter.bytes - entryBytes).toBeLessThan(100_000)
  await pair.close()
  await Promise.all([closed(there), closed(here)])
})
