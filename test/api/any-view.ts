import * as fc from 'fast-check'
import type { EntryView, ReceiptView } from '../../src/receipts/view.ts'
import { ryv1Cid } from '../../src/wire/cid.ts'
import { executionEntry, routingEntry, type SealedEntry } from '../../src/wire/entry.ts'
import { type Execution, segmentReceiptsOf } from '../../src/wire/execution.ts'
import { type Receipt, receiptDigest, signReceipt } from '../../src/wire/receipt.ts'
import { readRouting, signRouting } from '../../src/wire/routing.ts'
import {
  coordinator,
  ExampleLog,
  execution,
  filled,
  provider,
  routing,
  signing,
} from '../wire/log-examples.ts'
import { receiptView } from './receipt-views.ts'

const size = fc.integer({ min: 0, max: 2 ** 40 })
const country = fc.constantFrom('DE', 'CA', 'EU')
const time = fc.oneof(
  fc.integer({ min: 0, max: 4 * 10 ** 12 }),
  fc.integer({ min: 0, max: 8_640_000_000_000_000 }),
)
const privacy = fc.constantFrom('plain' as const, 'salted' as const)
const tokens = fc.record({ input: size, cached: size, output: size })

const drafting = fc.record({
  drafter: fc.constantFrom(provider.publicKey, coordinator.publicKey),
  drafted: size,
  accepted: size,
  rolledBack: size,
})
const work = fc.record(
  { tokens, privacy, drafting: fc.array(drafting, { maxLength: 2 }), region: country },
  { requiredKeys: ['tokens', 'privacy', 'drafting'] },
)
const judged = fc.record(
  {
    tokens,
    privacy,
    count: fc.constantFrom('verified' as const, 'bounded' as const, 'claimed' as const),
    dispute: fc.constant('hash'),
    jurisdiction: country,
    region: country,
    endpoint: fc.constantFrom('/v1/completions', 'é "'),
  },
  { requiredKeys: ['tokens', 'privacy', 'count'] },
)

const plan = fc.record({
  of: fc.constantFrom('final' as const, 'segment' as const, 'whole' as const, 'lost' as const),
  work,
  judged,
  at: fc.record({ done: time, told: time }),
  /** Whether there is a routing, and whose place in a log may be shown. */
  routed: fc.boolean(),
  shown: fc.record({ execution: fc.boolean(), routing: fc.boolean() }),
  isSecond: fc.boolean(),
})
type Plan = typeof plan extends fc.Arbitrary<infer Value> ? Value : never

/** What a peer can know of a receipt, and whether all that it knows is in the proof. */
export interface AnyView {
  view: ReceiptView
  isProved: boolean
}

export const anyView: fc.Arbitrary<Promise<AnyView>> = plan.map(viewOf)

async function viewOf({ of, work, judged, at, routed, shown, isSecond }: Plan): Promise<AnyView> {
  const { region: _, ...fields } = execution('job_1.1')
  const body: Execution = { ...fields, ...work }
  const done = executionEntry(at.done, body)
  const [segment = body.receipt] = segmentReceiptsOf(body)
  const isByExecution = of === 'final' || of === 'segment'
  const told = routingEntry(
    at.told,
    routingOf(judged, isByExecution ? done : segment, isSecond || of === 'whole'),
  )
  const summary = readRouting(told.entry.body)
  const views = {
    execution: await entryView(provider, done, body, shown.execution),
    routing: await entryView(coordinator, told, summary, shown.routing),
  }
  const receipts = { final: body.receipt, segment, lost: segment, whole: summary.whole ?? segment }
  const finalCid = of === 'segment' ? cidOf(body.receipt) : summary.whole && cidOf(summary.whole)
  const entries = {
    ...(isByExecution && { execution: views.execution }),
    ...((routed || !isByExecution) && { routing: views.routing }),
  }
  const isSegment = of === 'segment' || of === 'lost'
  return {
    view: {
      ...receiptView(receipts[of]),
      ...entries,
      status: isSegment ? 'segment' : 'final',
      createdAt: isByExecution ? at.done : at.told,
      ...(isSegment && finalCid && { finalCid }),
    },
    isProved: Object.values(entries).every(({ proof }) => proof !== undefined),
  }
}

const cidOf = (receipt: Receipt) => ryv1Cid(receiptDigest(receipt))

/** Of what one node did, or a part of which another has lost; perhaps with a second one. */
function routingOf(judged: Plan['judged'], first: SealedEntry | Receipt, isSecond: boolean) {
  const second = executionEntry(0, execution('job_1.2'))
  const part = 'cid' in first ? { execution: first.cid } : { receipt: first }
  const { jurisdiction, endpoint, region, ...fields } = routing(
    isSecond ? [part, { execution: second.cid }] : [part],
  )
  const whole = signReceipt(
    { jobId: 'job_1', nodePk: coordinator.publicKey, resultHash: filled(8), meteringUnits: 7 },
    (message) => coordinator.sign(message),
  )
  const verdict = judged.dispute === undefined ? ('ok' as const) : ('dispute' as const)
  return signRouting({ ...fields, ...judged, verdict, ...(isSecond && { whole }) }, signing)
}

async function entryView<Body>(
  author: typeof provider,
  { cid, bytes, entry }: SealedEntry,
  body: Body,
  isShown: boolean,
): Promise<EntryView<Body>> {
  const view = { cid: cid.toString(), bytes, at: entry.at, body }
  if (!isShown) return view
  const log = new ExampleLog(author).append({ cid, bytes, entry })
  const { index, head, path } = await log.found(0)
  return { ...view, index, proof: { head, path } }
}
