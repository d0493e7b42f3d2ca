import { describe, expect, it } from 'vitest'
import type { Place } from '../../src/receipts/feeds/feed-id.ts'
import type { NewEntries } from '../../src/receipts/feeds/feed-store.ts'
import { lookupLimits, ReceiptLookup } from '../../src/receipts/lookup.ts'
import { placeText } from '../../src/receipts/place-text.ts'
import { requestHash } from '../../src/receipts/requests.ts'
import type { ReceiptView } from '../../src/receipts/view.ts'
import { Cid, parseCid, rawCid, ryv1Cid } from '../../src/wire/cid.ts'
import { encodeEntry, executionEntry, routingEntry } from '../../src/wire/entry.ts'
import { openReceiptOf, segmentReceiptsOf } from '../../src/wire/execution.ts'
import { checkProof, type Proof } from '../../src/wire/proof.ts'
import { openDigest, type Receipt, receiptDigest } from '../../src/wire/receipt.ts'
import { signRouting } from '../../src/wire/routing.ts'
import { openFound } from '../../src/wire/sync.ts'
import { FakeClock, settled } from '../base/fake-clock.ts'
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
import { proofStage } from './stage.ts'

const work = execution()
const done = executionEntry(work.times.finished, work)
const request = requestHash('req_1')
const told = routingEntry(
  work.times.finished,
  signRouting({ ...routing([{ execution: done.cid }]), request }, signing),
)
const [segment] = segmentReceiptsOf(work) as [Receipt]
const cids = {
  final: ryv1Cid(receiptDigest(work.receipt)),
  raw: rawCid(receiptDigest(work.receipt)),
  open: ryv1Cid(openDigest(openReceiptOf(work))),
  segment: ryv1Cid(receiptDigest(segment)),
  execution: done.cid.toString(),
  routing: told.cid.toString(),
}

async function stage() {
  const proof = await proofStage({ clock: new FakeClock(), identity: coordinator, network })
  /** As a coordinator keeps the work of another peer. */
  const keep = async (publish: boolean) => {
    const rows = proof.store.batch()
    await proof.held.put(rows, done, provider.peerId)
    proof.requests.put(rows, 'req_1', { account: 'alice', cid: told.cid })
    await proof.log.append([told], { publish, rows })
  }
  return { ...proof, keep }
}

const proofOf = ({ receipt, execution, routing }: ReceiptView): Proof => ({
  network,
  receipt: receipt as Receipt,
  entries: [execution, routing].flatMap((entry) =>
    entry?.proof === undefined
      ? []
      : [{ entry: entry.bytes, index: entry.index as number, ...entry.proof }],
  ),
})

describe('what was published', () => {
  it('is found by every CID that is in it', async () => {
    const { receipts, keep } = await stage()
    await keep(true)
    for (const asked of [cids.final, cids.raw, cids.execution, cids.routing]) {
      const view = await receipts.find(asked)
      expect(view).toMatchObject({ status: 'final', cid: cids.final, verified: true })
      expect(view).toMatchObject({
        execution: { cid: cids.execution },
        routing: { cid: cids.routing },
      })
    }
    const open = await receipts.find(cids.open)
    expect(open).toMatchObject({ status: 'open', cid: cids.open, finalCid: cids.final })
  })

  it('is its account’s by the request, and nothing to another', async () => {
    const { receipts, keep } = await stage()
    await keep(true)
    const own = await receipts.ofRequest('req_1', 'alice')
    expect(own).toMatchObject({ cid: cids.final, routing: { cid: cids.routing } })
    expect(await receipts.ofRequest('req_1', 'bob')).toBeUndefined()
    expect(await receipts.ofRequest('req_2', 'alice')).toBeUndefined()
    expect(await receipts.ofAccount(cids.final, 'bob')).toBeUndefined()
  })
})

describe('what was not published', () => {
  it('is found by its account alone, by request and by CID', async () => {
    const { receipts, keep } = await stage()
    await keep(false)
    for (const asked of Object.values(cids)) {
      expect(await receipts.find(asked)).toBeUndefined()
      expect(await receipts.ofAccount(asked, 'bob')).toBeUndefined()
    }
    expect(await receipts.recent({ limit: 10 })).toEqual({ views: [] })
    for (const own of [
      await receipts.ofRequest('req_1', 'alice'),
      await receipts.ofAccount(cids.final, 'alice'),
      await receipts.ofAccount(cids.routing, 'alice'),
    ]) {
      expect(own).toMatchObject({ cid: cids.final, verified: true })
      expect(own?.routing?.body.verdict).toBe('ok')
      // No head of that log is ever shown.
      expect(own?.routing).not.toHaveProperty('proof')
    }
  })

  it('is not told of the public work of another peer', async () => {
    const { receipts, log } = await stage()
    await log.append([done], { publish: true })
    await log.append([told], { publish: false })
    expect(await receipts.find(cids.final)).not.toHaveProperty('routing')
  })
})

it('a segment is found as long as it is remembered, with what it became part of', async () => {
  const { receipts, live, keep } = await stage()
  live.segment(segment)
  live.opened(openReceiptOf(work))
  // Not of work that is not published.
  expect(await receipts.find(cids.segment)).toBeUndefined()
  expect(await receipts.find(cids.open)).toBeUndefined()
  live.opened(openReceiptOf(work), { isPublic: true })
  expect(await receipts.find(cids.open)).toMatchObject({ status: 'open' })
  expect(await receipts.find(cids.segment)).toMatchObject({ status: 'segment' })
  expect(await receipts.find(cids.segment)).not.toHaveProperty('execution')
  live.finished(work.receipt)
  await keep(true)
  expect(await receipts.find(cids.segment)).toMatchObject({
    ...{ status: 'segment', cid: cids.segment, finalCid: cids.final, verified: true },
    execution: { cid: cids.execution },
  })
})

it('what another peer proved is shown with its proof', async () => {
  const { receipts, verify, live } = await stage()
  const log = new ExampleLog(provider).append(encodeEntry({ kind: 'note', at: 1, body: {} }), done)
  for (const [text, status] of [
    [cids.final, 'final'],
    [cids.segment, 'segment'],
    [cids.execution, 'final'],
  ] as const) {
    const asked = parseCid(text)
    const found = openFound(await log.found(1), asked, { network, verify })
    const view = (await receipts.shown.elsewhere(found, asked)) as ReceiptView
    expect(view.status).toBe(status)
    expect(checkProof(proofOf(view), { verify })).toMatchObject({ holds: true })
  }
  expect(live.get(receiptDigest(work.receipt))).toBeUndefined()
})

it('lists go on past what nobody can read', async () => {
  const { receipts, log } = await stage()
  const bad = (n: number) => encodeEntry({ kind: 'execution', at: 1, body: { n } })
  await log.append([done], { publish: true })
  for (let n = 0; n < 100; n += 10) {
    await log.append(
      Array.from({ length: 10 }, (_, at) => bad(n + at)),
      { publish: true },
    )
  }
  const [listed, ...more] = (await receipts.recent({ limit: 10 })).views
  expect(listed).toMatchObject({ cid: cids.final })
  expect(more).toEqual([])
})

it('lists end where a log holds nothing but what is no receipt', async () => {
  const { feeds, live, held, requests, verify } = await stage()
  const place = { feed: { author: provider.publicKey, epoch: filled(3, 8) }, index: 0 }
  let rows = 0
  const endless = Object.assign(Object.create(feeds), {
    recent: async ({ limit }: { limit: number }) => {
      rows += limit
      return Array.from({ length: limit }, () => ({ arrived: 1, place }))
    },
  })
  const lookup = new ReceiptLookup({ feeds: endless, live, held, requests, verify }, { network })
  expect((await lookup.recent({ limit: 10 })).views).toEqual([])
  expect(rows).toBe(lookupLimits.scannedMax)
})

/** A routing entry about so many works that nobody did. */
function idle(n: number, parts: number) {
  const none = Array.from({ length: parts }, (_, at) => ({
    execution: new Cid('entry', filled(n + at)),
  }))
  return routingEntry(1, signRouting({ ...routing(none), jobId: `job_${n}` }, signing))
}

it('lists look for so many works and no more, and go on from where they stopped', async () => {
  const { feeds, live, held, requests, verify, log } = await stage()
  await log.append([done], { publish: true })
  for (let n = 0; n < 200; n += 10) {
    const some = Array.from({ length: 10 }, (_, at) => idle(n + at, 32))
    await log.append(some, { publish: true })
  }
  let finds = 0
  const counted = Object.assign(Object.create(feeds), {
    recent: feeds.recent.bind(feeds),
    entry: feeds.entry.bind(feeds),
    entriesAt: feeds.entriesAt.bind(feeds),
    isPrivate: feeds.isPrivate.bind(feeds),
    prove: feeds.prove.bind(feeds),
    find: (...asked: Parameters<typeof feeds.find>) => {
      finds++
      return feeds.find(...asked)
    },
  })
  const lookup = new ReceiptLookup({ feeds: counted, live, held, requests, verify }, { network })
  let page = await lookup.recent({ limit: 10 })
  const places = new Set<string>()
  while (page.stoppedAt !== undefined) {
    expect(page.views).toEqual([])
    expect(finds).toBeLessThan(lookupLimits.scannedMax + lookupLimits.rowsMax * 40)
    finds = 0
    places.add(page.stoppedAt)
    page = await lookup.recent({ limit: 10, after: page.stoppedAt })
  }
  expect(places.size).toBe(Math.floor(200 / lookupLimits.rowsMax))
  expect(page).toMatchObject({ views: [{ cid: cids.final }] })
  // Nobody finds their way into what is shown to nobody.
  await log.append([executionEntry(1, execution('job_9.1'))], { publish: false })
  const own = await feeds.tables.own.get({ author: coordinator.publicKey, name: 'private' })
  const hidden = {
    feed: { author: coordinator.publicKey, epoch: own?.epoch ?? filled(0, 8) },
    index: 0,
  }
  expect(await lookup.recent({ limit: 10, after: placeText(hidden) })).toEqual({ views: [] })
})

const note = encodeEntry({ kind: 'note', at: 1, body: {} })

it('tells all that listen of each public one, and looks it up once', async () => {
  const { feeds, live, held, requests, verify, log } = await stage()
  let reads = 0
  const counted = Object.assign(Object.create(feeds), {
    onEntries: feeds.onEntries.bind(feeds),
    entry: (place: Place) => {
      reads++
      return feeds.entry(place)
    },
    find: feeds.find.bind(feeds),
    prove: feeds.prove.bind(feeds),
  })
  const lookup = new ReceiptLookup({ feeds: counted, live, held, requests, verify }, { network })
  const heard: string[][] = [[], [], []]
  const told = heard.map((list) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const stop = lookup.onReceipt(({ cid }) => {
      list.push(cid)
      resolve()
    })
    return { promise, stop }
  })
  await log.append([executionEntry(1, execution('job_9.1'))], { publish: false })
  await log.append([done], { publish: true })
  await Promise.all(told.map(({ promise }) => promise))
  expect(heard).toEqual([[cids.final], [cids.final], [cids.final]])
  // To see what it is, and what it says.
  expect(reads).toBe(2)
  for (const { stop } of told) stop()
  await log.append([note], { publish: true })
  expect(reads).toBe(2)
})

it('looks up few at once for those that listen, however many come', async () => {
  const { feeds, live, held, requests, verify, log } = await stage()
  const works = Array.from({ length: 16 }, (_, n) => executionEntry(1, execution(`job_${n}.1`)))
  await log.append(works, { publish: true })
  const go = Promise.withResolvers<void>()
  let [underWay, most, reads] = [0, 0, 0]
  let tell = (_: NewEntries) => {}
  const slow = Object.assign(Object.create(feeds), {
    onEntries: (listener: (entries: NewEntries) => void) => {
      tell = listener
      return () => {}
    },
    find: feeds.find.bind(feeds),
    prove: feeds.prove.bind(feeds),
    entry: async (place: Place) => {
      reads++
      most = Math.max(most, ++underWay)
      await go.promise
      underWay--
      return feeds.entry(place)
    },
  })
  const lookup = new ReceiptLookup({ feeds: slow, live, held, requests, verify }, { network })
  const heard = new Set<string>()
  lookup.onReceipt(() => {
    throw new Error('a listener with a fault')
  })
  lookup.onReceipt(({ cid }) => heard.add(cid))
  for (let n = 0; n < 1_000; n++) tell({ feed: log.feed, first: 0, entries: works })
  await settled()
  expect(most).toBe(lookupLimits.newsAtOnce)
  go.resolve()
  await expect.poll(() => heard.size).toBe(16)
  await expect.poll(() => underWay).toBe(0)
  expect(reads).toBeLessThanOrEqual(2 * (lookupLimits.newsAtOnce + lookupLimits.newsMax))
  // And go on when more comes.
  heard.clear()
  tell({ feed: log.feed, first: 3, entries: works.slice(3, 4) })
  await expect.poll(() => heard.size).toBe(1)
})

it('a list goes on behind the entry of another peer', async () => {
  const { receipts, keep, log } = await stage()
  const older = execution('job_9.1')
  await log.append([executionEntry(1, older)], { publish: true })
  await keep(true)
  const first = await receipts.recent({ limit: 1 })
  expect(first.views).toMatchObject([{ cid: cids.final }])
  for (const after of [cids.final, cids.execution]) {
    const cids = (await receipts.recent({ limit: 10, after })).views.map(({ cid }) => cid)
    expect(cids).toContain(ryv1Cid(receiptDigest(older.receipt)))
  }
})
