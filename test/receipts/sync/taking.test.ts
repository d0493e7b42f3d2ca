import { expect, it } from 'vitest'
import { createVerifyNative } from '../../../src/identity/verify-native.ts'
import type { Ingested } from '../../../src/receipts/feeds/intake.ts'
import { take } from '../../../src/receipts/sync/taking.ts'
import { entryCid } from '../../../src/wire/cid.ts'
import { encodeDagCbor } from '../../../src/wire/dag-cbor.ts'
import { type Batch, openBatch } from '../../../src/wire/log-batch.ts'
import { ExampleLog, filled, network, oneJob, provider } from '../../wire/log-examples.ts'

const verifying = { network, verify: createVerifyNative() }
const intake = {
  async ingest(batch: Batch): Promise<Ingested> {
    const { head, entries } = openBatch(batch, verifying)
    return { feed: head, added: entries.length, size: head.size, target: head.size }
  },
}

it('an entry of a newer version is no fault, and ends no more than its own log', async () => {
  const { done } = oneJob()
  const bytes = encodeDagCbor({ v: 2, what: 'nobody knows' })
  const log = new ExampleLog(provider).append(done, { ...done, bytes, cid: entryCid(bytes) })
  expect(await take(intake, await log.batch(0, 1))).toMatchObject({ type: 'taken' })
  const batch = await log.batch(0, 2)
  expect(await take(intake, batch)).toMatchObject({ type: 'newer' })
  const unsigned = { ...batch, head: { ...batch.head, signature: filled(1, 64) } }
  await expect(take(intake, unsigned)).rejects.toMatchObject({ action: 'penalise' })
})
