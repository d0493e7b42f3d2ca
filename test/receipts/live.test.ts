import { expect, it } from 'vitest'
import { identityFromSeed } from '../../src/identity/identity.ts'
import { LiveReceipts } from '../../src/receipts/live.ts'
import {
  openDigest,
  receiptDigest,
  segmentJobId,
  signOpenReceipt,
  signReceipt,
} from '../../src/wire/receipt.ts'
import { FakeClock } from '../base/fake-clock.ts'

const identity = identityFromSeed(new Uint8Array(32).fill(1))
const nodePk = identity.publicKey
const sign = (message: Uint8Array) => identity.sign(message)
const hash = new Uint8Array(32)

const openOf = (jobId: string) =>
  signOpenReceipt({ jobId, nodePk, promptRoot: hash, inputTokens: 1 }, sign)
const receiptOf = (jobId: string) =>
  signReceipt({ jobId, nodePk, resultHash: hash, meteringUnits: 1 }, sign)

it('knows what a job signed, and its end once that is there', () => {
  const live = new LiveReceipts({ clock: new FakeClock() })
  const open = openOf('job_1.1')
  const segment = receiptOf(segmentJobId('job_1.1', 32))
  live.opened(open)
  live.segment(segment)
  expect(live.get(openDigest(open))).toMatchObject({ open })
  expect(live.get(openDigest(open))).not.toHaveProperty('finalDigest')
  const final = receiptOf('job_1.1')
  live.finished(final)
  const finalDigest = receiptDigest(final)
  expect(live.get(openDigest(open))).toMatchObject({ open, finalDigest })
  expect(live.get(receiptDigest(segment))).toMatchObject({ receipt: segment, finalDigest })
})

it('knows the end of a job of which another than its node tells', () => {
  const live = new LiveReceipts({ clock: new FakeClock() })
  const open = openOf('job_1.1')
  live.opened(open)
  const whole = receiptOf('job_1')
  live.finished(whole, open)
  expect(live.get(openDigest(open))?.finalDigest).toEqual(receiptDigest(whole))
})

it('takes the end of one job for no other’s', () => {
  const live = new LiveReceipts({ clock: new FakeClock() })
  const open = openOf('job_1.1')
  live.opened(open)
  live.finished(receiptOf('job_1.2'))
  expect(live.get(openDigest(open))).not.toHaveProperty('finalDigest')
})

it('makes room', () => {
  const live = new LiveReceipts({ clock: new FakeClock() }, { opensMax: 2 })
  const opens = ['a', 'b', 'c'].map(openOf)
  for (const open of opens) live.opened(open)
  expect(opens.map((open) => live.get(openDigest(open)) !== undefined)).toEqual([false, true, true])
})
