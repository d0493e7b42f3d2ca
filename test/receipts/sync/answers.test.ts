import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MemoryBackend } from '../../../src/storage/memory-backend.ts'
import { Cid } from '../../../src/wire/cid.ts'
import { encodeEntry, executionEntry } from '../../../src/wire/entry.ts'
import { headsEquivocation } from '../../../src/wire/equivocation.ts'
import { openReceiptOf, segmentReceiptsOf } from '../../../src/wire/execution.ts'
import { readHead } from '../../../src/wire/head.ts'
import { type Batch, grow, openBatch } from '../../../src/wire/log-batch.ts'
import { openDigest, receiptDigest, signOpenReceipt } from '../../../src/wire/receipt.ts'
import { checkOpen, getRequest, openFound, type SyncAnswer } from '../../../src/wire/sync.ts'
import { FeedsDigest } from '../../../src/wire/sync-digest.ts'
import { ExampleLog, execution, filled, provider } from '../../wire/log-examples.ts'
import { note, notes, stage, verifying } from '../feeds/stage.ts'
import { given, kindsOf, logOf, peer, rangeOf, serving } from './serve-stage.ts'

const batchesOf = (answers: readonly SyncAnswer[]): Batch[] =>
  answers.flatMap((answer) => (answer.type === 'batch' ? [answer.batch] : []))

const shape = ({ first, entries, head, peaks }: Batch) => ({
  first,
  end: first + entries.length,
  size: readHead(head).size,
  peaks: peaks.length,
})

const fork = (log: ExampleLog, who = peer(1)) =>
  headsEquivocation(log.head(), logOf(who, log.entries.length, 1_000_000).head())

const nothing = new FeedsDigest().bytes

describe('a digest', () => {
  test('is answered by the places in the buckets that differ', async () => {
    const { asker, index, ...peerHere } = await serving()
    for (let n = 1; n <= 20; n++) await given(peerHere, logOf(peer(n), n))
    const one = await asker()
    const answers = await one.ask({ type: 'digest', buckets: nothing })
    expect(kindsOf(answers)).toEqual(['places', 'end'])
    expect(answers[0]?.type === 'places' && answers[0].places).toHaveLength(20)
    expect(kindsOf(await one.ask({ type: 'digest', buckets: index.digest }))).toEqual(['end'])
  })

  test('is answered in several frames where there are many logs', async () => {
    const { asker, feeds, index } = await serving()
    const log = logOf(peer(1), 1)
    const head = log.head()
    for (let n = 0; n < 1_100; n++) {
      const epoch = new Uint8Array(8)
      new DataView(epoch.buffer).setUint32(0, n)
      const batch = { head, first: 1, entries: [], path: [], peaks: [] }
      feeds.tellHead({ feed: { author: peer(1).publicKey, epoch }, batch })
    }
    expect(index.size).toBe(1_100)
    const answers = await (await asker()).ask({ type: 'digest', buckets: nothing })
    const counts = answers.map((answer) => answer.type === 'places' && answer.places.length)
    expect(counts).toEqual([512, 512, 76, false])
  })
})

describe('authors', () => {
  test('are answered by the newest head of each of their logs', async () => {
    const { asker, own, ...peerHere } = await serving()
    await own.append([note(1)], { publish: true })
    await given(peerHere, logOf(peer(1), 7))
    await given(peerHere, new ExampleLog(peer(1), filled(4, 8)).append(...notes(2)))
    const { author: ownAuthor } = own.feed
    const authors = [peer(1).publicKey, peer(2).publicKey, ownAuthor]
    const answers = await (await asker()).ask({ type: 'authors', authors })
    const heads = answers.flatMap((answer) => (answer.type === 'heads' ? answer.heads : []))
    expect(heads.map((head) => readHead(head).size).toSorted()).toEqual([1, 2, 7])
  })

  test('who are not believed have none', async () => {
    const { asker, intake } = await serving()
    const log = logOf(peer(1), 7)
    await given({ intake }, log)
    await intake.bars.add(fork(log))
    const one = await asker()
    const authors = [peer(1).publicKey]
    expect(kindsOf(await one.ask({ type: 'authors', authors }))).toEqual(['end'])
  })

  test('with as many logs as there may be are answered in frames that fit', async () => {
    const { asker, intake } = await serving()
    const authors = Array.from({ length: 5 }, (_, n) => peer(n + 1))
    for (const who of authors) {
      for (let n = 0; n < 64; n++) {
        await given({ intake }, new ExampleLog(who, filled(n, 8)).append(note(n)))
      }
    }
    const request = { type: 'authors' as const, authors: authors.map((who) => who.publicKey) }
    const answers = await (await asker()).ask(request)
    expect(kindsOf(answers)).toEqual(['heads', 'heads', 'end'])
    const heads = answers.flatMap((answer) => (answer.type === 'heads' ? answer.heads : []))
    expect(heads).toHaveLength(5 * 64)
  })
})

describe('ranges', () => {
  test('are answered in their order, and each by index', async () => {
    const { asker, ...peerHere } = await serving()
    const big = new ExampleLog(peer(1)).append(
      ...Array.from({ length: 20 }, (_, n) => note(n, 8000)),
    )
    await given(peerHere, big, { step: 4 })
    await given(peerHere, logOf(peer(2), 30))
    const ranges = [
      rangeOf(peer(2), { from: 10, to: 12 }),
      rangeOf(peer(1), { from: 3 }),
      rangeOf(peer(2), { from: 29 }),
    ]
    const answers = await (await asker()).ask({ type: 'ranges', ranges })
    expect(kindsOf(answers).at(-1)).toBe('end')
    expect(batchesOf(answers).map(shape)).toEqual([
      { first: 10, end: 12, size: 30, peaks: 0 },
      { first: 3, end: 9, size: 20, peaks: 0 },
      { first: 9, end: 15, size: 20, peaks: 0 },
      { first: 15, end: 20, size: 20, peaks: 0 },
      { first: 29, end: 30, size: 30, peaks: 0 },
    ])
  })

  test('bring another peer to the same logs, whatever it had of them', async () => {
    const { asker, own, feeds, intake } = await serving()
    for (let n = 0; n < 300; n++) await own.append([note(n, 300)], { publish: true })
    await given({ intake }, logOf(peer(1), 3_000))
    const there = await stage({ who: peer(101) })
    await given(there, new ExampleLog(peer(1)).append(...notes(1_234)))
    const ranges = [
      { ...rangeOf(peer(1)), from: 1_234 },
      { ...rangeOf(peer(1)), ...own.feed },
    ]
    const answers = await (await asker()).ask({ type: 'ranges', ranges })
    for (const batch of batchesOf(answers)) await there.intake.ingest(batch)
    for (const feed of [own.feed, rangeOf(peer(1))]) {
      expect(await there.feeds.head(feed)).toEqual(await feeds.head(feed))
    }
  })

  test('beyond what there is, of unknown logs, and of the end of all numbers are nothing', async () => {
    const { asker, ...peerHere } = await serving()
    await given(peerHere, logOf(peer(1), 3))
    const most = Number.MAX_SAFE_INTEGER
    const ranges = [
      rangeOf(peer(1), { from: 3 }),
      rangeOf(peer(1), { from: most - 1, to: most }),
      rangeOf(peer(1), { from: most, peaks: true }),
      rangeOf(peer(2), { to: most }),
      rangeOf(peer(1), { epoch: filled(9, 8), peaks: true }),
    ]
    expect(kindsOf(await (await asker()).ask({ type: 'ranges', ranges }))).toEqual(['end'])
    const all = await (await asker()).ask({
      type: 'ranges',
      ranges: [rangeOf(peer(1), { to: most })],
    })
    expect(batchesOf(all).map(shape)).toEqual([{ first: 0, end: 3, size: 3, peaks: 0 }])
  })

  test('bring peaks where they are asked for, so that anybody can check them', async () => {
    const { asker, ...peerHere } = await serving()
    const log = new ExampleLog(peer(1)).append(
      ...Array.from({ length: 40 }, (_, n) => note(n, 4000)),
    )
    await given(peerHere, log, { step: 10 })
    const ranges = [rangeOf(peer(1), { from: 11, peaks: true })]
    const batches = batchesOf(await (await asker()).ask({ type: 'ranges', ranges }))
    expect(batches.map(({ peaks }) => peaks.length)).toEqual([3, 0, 0])
    const there = await stage({ who: peer(101) })
    for (const batch of batches) await there.intake.ingest(batch)
    expect(await there.feeds.head(rangeOf(peer(1)))).toEqual(log.head())
  })

  test('of a log whose beginning was thrown away come from where it begins, with peaks', async () => {
    const { asker, intake } = await serving()
    const log = logOf(peer(1), 700)
    await given({ intake }, log)
    await intake.prune(rangeOf(peer(1)), 600)
    const one = await asker()
    const answers = await one.ask({ type: 'ranges', ranges: [rangeOf(peer(1), { from: 17 })] })
    expect(kindsOf(answers)).toEqual(['batch', 'end pruned'])
    expect(batchesOf(answers).map(shape)).toEqual([{ first: 600, end: 700, size: 700, peaks: 4 }])
    const there = await stage({ who: peer(101) })
    for (const batch of batchesOf(answers)) await there.intake.ingest(batch)
    expect(await there.feeds.head(rangeOf(peer(1)))).toEqual(log.head())
    const before = await one.ask({ type: 'ranges', ranges: [rangeOf(peer(1), { to: 600 })] })
    expect(kindsOf(before)).toEqual(['end pruned'])
    await intake.prune(rangeOf(peer(1)), 700)
    const none = await one.ask({ type: 'ranges', ranges: [rangeOf(peer(1))] })
    expect(kindsOf(none)).toEqual(['end pruned'])
  })

  test('bring exactly what is there of them, whatever is asked', async () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 20_000 }), { minLength: 1, maxLength: 24 })
    const index = fc.nat(30)
    const wanted = fc.record({ from: index, more: index, peaks: fc.boolean() })
    await fc.assert(
      fc.asyncProperty(
        sizes,
        index,
        fc.array(wanted, { maxLength: 6 }),
        async (all, cut, asked) => {
          const { asker, intake } = await serving()
          const entries = all.map((bytes, n) => note(n, bytes))
          await given({ intake }, new ExampleLog(peer(1)).append(...entries), { step: 2 })
          const start = Math.min(cut, all.length)
          await intake.prune(rangeOf(peer(1)), start)
          const one = await asker()
          for (const { from, more, peaks } of asked) {
            const to = more === 0 ? 0 : from + more
            const end = Math.min(to === 0 ? all.length : to, all.length)
            const answers = await one.ask({
              type: 'ranges',
              ranges: [rangeOf(peer(1), { from, to, peaks })],
            })
            const batches = batchesOf(answers)
            const expected = entries.slice(Math.max(from, start), end).map(({ bytes }) => bytes)
            expect(batches.flatMap((batch) => batch.entries)).toEqual(expected)
            const isCut = from < start && from < end
            expect(answers.at(-1)).toEqual({ type: 'end', reason: isCut ? 'pruned' : '' })
            const [first] = batches
            if (first !== undefined && (peaks || isCut)) grow(openBatch(first, verifying))
          }
        },
      ),
    )
  })

  test('of an author that is not believed are answered by why, once', async () => {
    const { asker, intake } = await serving()
    const log = logOf(peer(1), 7)
    await given({ intake }, log)
    await given({ intake }, logOf(peer(2), 1))
    await intake.bars.add(fork(log))
    const ranges = [rangeOf(peer(1)), rangeOf(peer(1), { epoch: filled(9, 8) }), rangeOf(peer(2))]
    const answers = await (await asker()).ask({ type: 'ranges', ranges })
    expect(kindsOf(answers)).toEqual(['equivocation', 'batch', 'end'])
    const [proof] = answers
    const there = await stage({ who: peer(101) })
    expect(proof?.type === 'equivocation' && (await there.intake.bars.add(proof))).toBe(true)
  })
})

describe('get', () => {
  const done = executionEntry(execution().times.finished, execution())
  const open = openReceiptOf(execution())
  const whole = receiptDigest(execution().receipt)
  const [part = execution().receipt] = segmentReceiptsOf(execution())
  const log = () => new ExampleLog(provider).append(note(1), done, note(2))

  test('finds an entry by its CID and by those of its receipts', async () => {
    const { asker, intake } = await serving()
    await given({ intake }, log())
    const one = await asker()
    const receipts = [whole, openDigest(open), receiptDigest(part)]
    const cids = [done.cid, ...receipts.map((digest) => new Cid('receipt', digest))]
    for (const cid of cids) {
      const [answer, end] = await one.ask(getRequest(cid))
      expect(end).toEqual({ type: 'end', reason: '' })
      if (answer?.type !== 'found') throw new Error('not found')
      expect(openFound(answer, cid, verifying)).toMatchObject({ index: 1, bytes: done.bytes })
    }
  })

  test('finds an open receipt that is in no entry yet', async () => {
    const { asker, live } = await serving()
    const cid = new Cid('receipt', openDigest(open))
    live.opened(open, { isPublic: true })
    const one = await asker()
    const [answer] = await one.ask(getRequest(cid))
    if (answer?.type !== 'open') throw new Error('not found')
    checkOpen(answer.receipt, cid, verifying)
    // It has ended, and its entry is in no log that others may see.
    live.finished(execution().receipt)
    expect(kindsOf(await one.ask(getRequest(cid)))).toEqual(['end'])
  })

  test('finds nothing where there is nothing', async () => {
    const { asker } = await serving()
    const one = await asker()
    for (const kind of ['entry', 'receipt'] as const) {
      expect(kindsOf(await one.ask(getRequest(new Cid(kind, filled(1)))))).toEqual(['end'])
    }
  })

  test('finds nothing in the log of an author that is not believed', async () => {
    const { asker, intake } = await serving()
    await given({ intake }, log())
    await intake.bars.add(fork(log(), provider))
    expect(kindsOf(await (await asker()).ask(getRequest(done.cid)))).toEqual(['end'])
  })
})

describe('what others may not see', () => {
  const secret = 'planted-secret-4711'
  const secretEntry = encodeEntry({ kind: 'note', at: 1, body: { secret } })

  test('a private log is never told of, by no question', async () => {
    const { asker, own, feeds, live } = await serving()
    await own.append([note(1)], { publish: true })
    const [place] = await own.append([secretEntry], { publish: false })
    if (place === undefined) throw new Error('no place')
    const jobId = secret
    const open = signOpenReceipt(
      { jobId, nodePk: peer(100).publicKey, promptRoot: filled(1), inputTokens: 1 },
      (message) => peer(100).sign(message),
    )
    live.opened(open)
    expect(await feeds.entry(place)).toBeDefined()
    const one = await asker()
    const range = { ...place.feed, from: 0, to: 0, peaks: true }
    const { author } = place.feed
    const follower = await asker()
    follower.write({ type: 'follow', ranges: [range, { ...range, ...own.feed }] })
    const answers = [
      ...(await one.ask({ type: 'digest', buckets: nothing })),
      ...(await one.ask({ type: 'authors', authors: [author] })),
      ...(await one.ask({ type: 'ranges', ranges: [range, { ...range, ...own.feed }] })),
      ...(await one.ask(getRequest(secretEntry.cid))),
      ...(await one.ask(getRequest(new Cid('receipt', openDigest(open))))),
    ]
    await own.append([secretEntry], { publish: false })
    await own.append([note(2)], { publish: true })
    for (let n = 0; n < 2; n++) answers.push((await follower.read()) as SyncAnswer)
    expect(kindsOf(answers)).toEqual(
      'places end heads end batch end end end batch batch'.split(' '),
    )
    const said = JSON.stringify(answers, (_, value) =>
      value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value,
    )
    expect(said).not.toContain(secret)
    expect(said).not.toContain(Buffer.from(place.feed.epoch).toString('latin1'))
  })

  test('a log that is held is not told of until it is shown', async () => {
    const backend = new MemoryBackend()
    const before = await serving({ backend })
    const kept = encodeEntry({ kind: 'note', at: 2, body: { n: 2 } })
    await before.own.append([kept], { publish: true })
    const { asker, own } = await serving({ backend, seed: 2 })
    const range = { ...own.feed, from: 0, to: 0, peaks: false }
    const one = await asker()
    const askAll = async () => [
      ...(await one.ask({ type: 'digest', buckets: nothing })),
      ...(await one.ask({ type: 'authors', authors: [own.feed.author] })),
      ...(await one.ask({ type: 'ranges', ranges: [range] })),
      ...(await one.ask(getRequest(kept.cid))),
    ]
    const follower = await asker()
    follower.write({ type: 'follow', ranges: [range] })
    expect(kindsOf(await askAll())).toEqual(['end', 'end', 'end', 'end'])
    await own.append([note(3)], { publish: true })
    expect(kindsOf(await askAll())).toEqual(['end', 'end', 'end', 'end'])
    await own.confirm([])
    expect(kindsOf(await askAll())).toEqual('places end heads end batch end found end'.split(' '))
    expect(await follower.read()).toMatchObject({ type: 'batch', batch: { first: 0 } })
  })
})
