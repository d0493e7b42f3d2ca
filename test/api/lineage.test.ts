import { expect, it } from 'vitest'
import { receiptRoutes } from '../../src/api/receipts/receipts.ts'
import { HeldEntries } from '../../src/receipts/held.ts'
import { LiveReceipts } from '../../src/receipts/live.ts'
import { ReceiptLookup } from '../../src/receipts/lookup.ts'
import { RequestIndex } from '../../src/receipts/requests.ts'
import { ryv1Cid } from '../../src/wire/cid.ts'
import { executionEntry, routingEntry, type SealedEntry } from '../../src/wire/entry.ts'
import { openReceiptOf, segmentReceiptsOf } from '../../src/wire/execution.ts'
import { checkProof, readProof } from '../../src/wire/proof.ts'
import { openDigest, type Receipt, receiptDigest, signReceipt } from '../../src/wire/receipt.ts'
import { signRouting } from '../../src/wire/routing.ts'
import { FakeClock } from '../base/fake-clock.ts'
import { stage } from '../receipts/feeds/stage.ts'
import {
  coordinator,
  ExampleLog,
  execution,
  filled,
  network,
  provider,
  routing,
  signing,
} from '../wire/log-examples.ts'
import { errorOf, startServer } from './harness.ts'
import { verify } from './receipt-server.ts'

interface Step {
  step: string
  cid: string
  from: string[]
  signed: boolean | null
  place: { index: number } | null
}
interface Lineage {
  steps: Step[]
  proof: unknown
  verified: boolean
}

/** A coordinator, and what it said; of providers, these entries came to it. */
async function start(told: SealedEntry[], did: SealedEntry[]) {
  const clock = new FakeClock()
  const { store, feeds, own, intake } = await stage({ who: coordinator, clock })
  await own.append(told, { publish: true })
  const log = new ExampleLog(provider).append(...did)
  if (did.length > 0) await intake.ingest(await log.batch(0, did.length))
  const live = new LiveReceipts({ clock })
  const requests = new RequestIndex({ store })
  const held = new HeldEntries({ store, clock })
  const receipts = new ReceiptLookup({ feeds, live, held, requests, verify }, { network })
  const verifying = { network, verify }
  const { url } = await startServer([receiptRoutes({ receipts, verifying, clock })])
  const get = (cid: string) => fetch(`${url}/v8/receipts/${cid}/lineage`)
  const lineage = async (cid: string) => (await (await get(cid)).json()) as Lineage
  return { live, get, lineage }
}

const cidOf = (receipt: Receipt) => ryv1Cid(receiptDigest(receipt))
const at = 1_790_000_009_000
const done = ['job_1.1', 'job_1.2'].map((id) => executionEntry(at, execution(id)))
const [first, second] = done as [SealedEntry, SealedEntry]
const checked = ({ proof }: Lineage) => checkProof(readProof(JSON.stringify(proof)), { verify })

it('leads from the open receipt to what the coordinator says, by every CID of them', async () => {
  const told = routingEntry(at, signRouting(routing([{ execution: first.cid }]), signing))
  const { lineage } = await start([told], [first])
  const work = execution('job_1.1')
  const [segment] = segmentReceiptsOf(work) as [Receipt]
  const cids = {
    open: ryv1Cid(openDigest(openReceiptOf(work))),
    segment: cidOf(segment),
    receipt: cidOf(work.receipt),
    execution: first.cid.toString(),
    routing: told.cid.toString(),
  }
  const expected = [
    { step: 'open', cid: cids.open, from: [], signed: true, by: provider.peerId, place: null },
    { step: 'segment', cid: cids.segment, from: [cids.open], signed: null },
    { step: 'receipt', cid: cids.receipt, from: [cids.open, cids.segment], signed: true },
    { step: 'execution', cid: cids.execution, from: [cids.receipt], place: { index: 0, size: 1 } },
    { step: 'routing', cid: cids.routing, from: [cids.execution], signed: true },
  ]
  for (const cid of [cids.open, cids.receipt, cids.execution, cids.routing]) {
    const told = await lineage(cid)
    expect(told).toMatchObject({
      ...{ object: 'receipt.lineage', job_id: 'job_1', request: '09'.repeat(32) },
      ...{ prompt_root: '07'.repeat(32), model: 'llama-3.2-3b', missing: [], verified: true },
      steps: expected,
    })
    expect(checked(told)).toMatchObject({ holds: true, cid: cids.receipt })
  }
})

it('joins the parts of an answer that several made, and says what is missing', async () => {
  const sign = (message: Uint8Array) => coordinator.sign(message)
  const nodePk = coordinator.publicKey
  const whole = signReceipt(
    { jobId: 'job_1', nodePk, resultHash: filled(5), meteringUnits: 500 },
    sign,
  )
  const [lost] = segmentReceiptsOf(execution('job_1.3')) as [Receipt]
  const parts = [{ execution: first.cid }, { execution: second.cid }, { receipt: lost }]
  const told = routingEntry(at, signRouting({ ...routing(parts), whole }, signing))
  const { lineage } = await start([told], [first])
  for (const cid of [told.cid.toString(), cidOf(whole), first.cid.toString()]) {
    const all = await lineage(cid)
    expect(all).toMatchObject({ missing: [second.cid.toString()], verified: true })
    expect(all.steps.map(({ step }) => step)).toEqual([
      ...['open', 'segment', 'receipt', 'execution', 'segment', 'whole', 'routing'],
    ])
    const ends = [first.cid.toString(), cidOf(lost)]
    expect(all.steps.at(-2)).toMatchObject({ cid: cidOf(whole), from: ends, signed: true })
    expect(all.steps.at(-1)?.from).toEqual([...ends, cidOf(whole)])
    const report = checked(all)
    expect(report).toMatchObject({ holds: true, cid: cidOf(whole) })
    expect(report.findings.map(({ what }) => what).sort()).toEqual([
      ...['entry', 'entry', 'execution', 'receipt', 'routing'],
    ])
  }
})

it('of work that goes on, is its beginning', async () => {
  const { live, lineage } = await start([], [])
  const open = openReceiptOf(execution('job_1.1'))
  live.opened(open, { isPublic: true })
  const begun = await lineage(ryv1Cid(openDigest(open)))
  expect(begun).toMatchObject({ verified: true, proof: null, missing: [], request: null })
  expect(begun.steps).toMatchObject([{ step: 'open', signed: true, from: [] }])
})

it('is of nothing where there is none', async () => {
  const { get } = await start([], [])
  const missing = await get(first.cid.toString())
  expect(missing.status).toBe(404)
  expect((await errorOf(missing)).error.code).toBe('receipt_not_found')
  expect((await get('x')).status).toBe(400)
})
