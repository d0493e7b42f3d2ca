import { describe, expect, it } from 'vitest'
import type { ArrivalKey } from '../../../src/receipts/feeds/keys.ts'
import { MemoryBackend } from '../../../src/storage/memory-backend.ts'
import { encodeEntry, executionEntry, routingEntry } from '../../../src/wire/entry.ts'
import { headsEquivocation } from '../../../src/wire/equivocation.ts'
import { readHead } from '../../../src/wire/head.ts'
import { openDigest, receiptDigest } from '../../../src/wire/receipt.ts'
import { signRouting } from '../../../src/wire/routing.ts'
import {
  coordinator,
  ExampleLog,
  execution,
  filled,
  provider,
  routing,
  signing,
} from '../../wire/log-examples.ts'
import { author, gather, note, notes, providersLog, stage, stands } from './stage.ts'

const feed = author(provider)

/** A peer that follows logs of others. */
const follower = (options: Parameters<typeof stage>[0] = {}) =>
  stage({ who: coordinator, ...options })

describe('entries of another peer', () => {
  it('are taken with the head that proves them, and proved to others', async () => {
    const { feeds, intake } = await follower()
    const log = providersLog(40)
    expect(await intake.ingest(await log.batch(0, 25, 25))).toMatchObject({ added: 25, size: 25 })
    expect(await intake.ingest(await log.batch(25, 40))).toMatchObject({ added: 15, size: 40 })
    expect(await feeds.head(feed)).toEqual(log.head())
    const proof = await feeds.prove({ feed, index: 31 })
    expect(proof && stands(note(31), 31, proof)).toBe(true)
    expect(proof && stands(note(30), 31, proof)).toBe(false)
    expect(await feeds.prove({ feed, index: 40 })).toBeUndefined()
    expect(await feeds.prove({ feed: author(coordinator), index: 0 })).toBeUndefined()
  })

  it('that are here already are passed over, the rest is taken', async () => {
    const { feeds, intake } = await follower()
    const log = providersLog(30)
    await intake.ingest(await log.batch(0, 20, 20))
    expect(await intake.ingest(await log.batch(10, 30))).toMatchObject({ added: 10, size: 30 })
    expect(await intake.ingest(await log.batch(10, 30))).toMatchObject({ added: 0, size: 30 })
    expect(await intake.ingest(await log.batch(0, 5, 5))).toMatchObject({ added: 0, size: 30 })
    expect(await feeds.head(feed)).toEqual(log.head())
  })

  it('come in parts under one head, which shows once all of them are here', async () => {
    const { feeds, intake } = await follower()
    const log = providersLog(50)
    await intake.ingest(await log.batch(0, 10, 10))
    expect(await intake.ingest(await log.batch(10, 30))).toMatchObject({ size: 30, target: 50 })
    expect(await feeds.head(feed)).toEqual(log.head(10))
    expect(await feeds.prove({ feed, index: 20 })).toBeUndefined()
    const proof = await feeds.prove({ feed, index: 3 })
    expect(proof && stands(note(3), 3, proof)).toBe(true)
    await intake.ingest(await log.batch(30, 50))
    expect(await feeds.head(feed)).toEqual(log.head(50))
  })

  it('that do not join what is here are a gap', async () => {
    const { intake } = await follower()
    const log = providersLog(30)
    const gap = { code: 'log_gap', action: 'ignore', next: 0 }
    await expect(intake.ingest(await log.batch(10, 30))).rejects.toMatchObject(gap)
    await intake.ingest(await log.batch(0, 10, 10))
    await expect(intake.ingest(await log.batch(11, 30))).rejects.toMatchObject({ ...gap, next: 10 })
  })

  it('may begin in the middle, with the peaks of what stands before', async () => {
    const { feeds, intake } = await follower()
    const log = providersLog(60)
    const peaks = [...log.peaks(23).hashes]
    await intake.ingest({ ...(await log.batch(23, 40, 50)), peaks })
    await intake.ingest(await log.batch(40, 60))
    const proof = await feeds.prove({ feed, index: 45 })
    expect(proof && stands(note(45), 45, proof)).toBe(true)
    await expect(feeds.batch(feed, { from: 22 })).rejects.toMatchObject({ code: 'log_pruned' })
    const other = await follower()
    const onwards = await feeds.batch(feed, { from: 23, peaks: true })
    expect(onwards && (await other.intake.ingest(onwards))).toMatchObject({ size: 60 })
    // Peaks of another log do not come to the root.
    const wrong = { ...(await log.batch(23, 40)), peaks: [...providersLog(23, 5).peaks().hashes] }
    const third = await follower()
    await expect(third.intake.ingest(wrong)).rejects.toMatchObject({ code: 'bad_log' })
  })

  it('are still there after a restart', async () => {
    const backend = new MemoryBackend()
    const log = providersLog(50)
    const before = await follower({ backend })
    await before.intake.ingest(await log.batch(0, 33))
    await before.store.close()
    const { feeds, intake } = await follower({ backend })
    await intake.ingest(await log.batch(33, 50))
    const proof = await feeds.prove({ feed, index: 7 })
    expect(proof && stands(note(7), 7, proof)).toBe(true)
  })
})

describe('what does not hold', () => {
  it('is refused, and nothing of it is kept', async () => {
    const { feeds, intake } = await follower()
    const log = providersLog(20)
    const batch = await log.batch(0, 20)
    const other = await providersLog(20, 19).batch(0, 20)
    const forged = { ...batch.head, signature: filled(1, 64) }
    const others = new ExampleLog(coordinator, filled(9, 8)).append(...notes(20, 50))
    const refused = async (wrong: typeof batch, code: string) => {
      const failure = { code, action: 'penalise' }
      await expect(intake.ingest(wrong), code).rejects.toMatchObject(failure)
    }
    await refused({ ...batch, head: forged }, 'bad_signature')
    await refused({ ...batch, entries: other.entries }, 'bad_log')
    await refused({ ...batch, entries: batch.entries.slice(0, 19) }, 'bad_log')
    await refused({ ...batch, entries: batch.entries.toReversed() }, 'bad_log')
    await refused({ ...batch, head: others.head() }, 'bad_log')
    await refused({ ...batch, entries: [...batch.entries, note(1).bytes] }, 'malformed')
    await refused({ ...batch, entries: batch.entries.with(3, Uint8Array.of(0xa0)) }, 'malformed')
    const omitted = { ...(await log.batch(0, 10)), entries: notes(9).map(({ bytes }) => bytes) }
    await refused(omitted, 'bad_log')
    expect(await feeds.head(feed)).toBeUndefined()
    expect(await feeds.find('entry', note(1).cid.digest)).toEqual([])
  })

  it('for the own log is refused: only this peer writes to it', async () => {
    const { intake, own } = await follower()
    await own.append(notes(2), { publish: true })
    const mine = new ExampleLog(coordinator, own.feed.epoch).append(...notes(4))
    await expect(intake.ingest(await mine.batch(2, 4))).rejects.toMatchObject({ code: 'own_log' })
  })
})

describe('an author of two histories', () => {
  it('is barred when two of its heads have one size, and the proof is kept', async () => {
    const backend = new MemoryBackend()
    const { intake, store } = await follower({ backend })
    const log = providersLog(20)
    const other = providersLog(20, 12)
    await intake.ingest(await log.batch(0, 20))
    const proof = headsEquivocation(log.head(), other.head())
    const failure = { code: 'equivocation', action: 'ignore', proof }
    await expect(intake.ingest(await other.batch(12, 20))).rejects.toMatchObject(failure)
    expect(await intake.bars.proof(provider.publicKey)).toEqual(proof)
    const barred = { code: 'author_barred' }
    await expect(intake.ingest(await log.batch(0, 20))).rejects.toMatchObject(barred)
    await store.close()
    const again = await follower({ backend })
    expect(await again.intake.bars.has(provider.publicKey)).toBe(true)
  })

  it('is found by a head on the way to which the feed is', async () => {
    const { intake } = await follower()
    await intake.ingest(await providersLog(30).batch(0, 10))
    const other = await providersLog(30, 20).batch(10, 30)
    await expect(intake.ingest(other)).rejects.toMatchObject({ code: 'equivocation' })
  })

  it('is suspected when an older head, or what came on the way, is of another log', async () => {
    const { intake } = await follower()
    const forked = { code: 'log_forked', action: 'ignore', feed }
    await intake.ingest(await providersLog(30).batch(0, 25))
    const old = await providersLog(20, 8).batch(8, 20)
    await expect(intake.ingest(old)).rejects.toMatchObject(forked)
    const past = await providersLog(40, 27).batch(25, 40)
    await expect(intake.ingest(past)).rejects.toMatchObject(forked)
  })

  it('is told from a peer that lies by peaks, which its head proves', async () => {
    const { intake } = await follower()
    await intake.ingest(await providersLog(20).batch(0, 20))
    const other = providersLog(30, 12)
    const batch = await other.batch(20, 30)
    await expect(intake.ingest(batch)).rejects.toMatchObject({ code: 'bad_log' })
    const proved = { ...batch, peaks: [...other.peaks(20).hashes] }
    await expect(intake.ingest(proved)).rejects.toMatchObject({ code: 'log_forked' })
    const whole = await other.batch(0, 30)
    await expect(intake.ingest(whole)).rejects.toMatchObject({ code: 'log_forked' })
  })

  it('is barred by a proof from elsewhere, once; a claim without one bars nobody', async () => {
    const { intake, own } = await follower()
    const claim = headsEquivocation(providersLog(9).head(), providersLog(9, 3).head())
    const same = headsEquivocation(providersLog(9).head(), providersLog(9).head())
    const nothing = { code: 'no_equivocation', action: 'penalise' }
    await expect(intake.bars.add(same)).rejects.toMatchObject(nothing)
    expect(await intake.bars.add(claim)).toBe(true)
    expect(await intake.bars.add(claim)).toBe(false)
    // About this peer itself it is for others to judge, in this epoch or one before.
    for (const epoch of [own.feed.epoch, filled(8, 8)]) {
      const mine = (n: number) => new ExampleLog(coordinator, epoch).append(note(n)).head()
      const aboutMe = headsEquivocation(mine(1), mine(2))
      await expect(intake.bars.add(aboutMe)).rejects.toMatchObject({ code: 'own_log' })
    }
    expect(await intake.bars.has(coordinator.publicKey)).toBe(false)
  })
})

describe('a log whose author threw away what lies between', () => {
  /** 100 entries are here, of those that come next the first is the 300th, or that of `log`. */
  async function behind(log = providersLog(400), intake = { skipsGaps: true }) {
    const here = await follower({ intake })
    await here.intake.ingest(await providersLog(400).batch(0, 100, 100))
    const late = { ...(await log.batch(300, 350)), peaks: [...log.peaks(300).hashes] }
    return { ...here, late }
  }

  it('goes on behind the gap, and nothing is left of what stood before it', async () => {
    const { feeds, intake, late } = await behind()
    expect(await intake.ingest(late)).toMatchObject({ added: 50, size: 350, target: 400 })
    await intake.ingest(await providersLog(400).batch(350, 400))
    expect(await feeds.head(feed)).toEqual(providersLog(400).head())
    const proof = await feeds.prove({ feed, index: 301 })
    expect(proof && stands(note(301), 301, proof)).toBe(true)
    expect(await feeds.find('entry', note(99).cid.digest)).toEqual([])
    expect((await feeds.recent({ limit: 999 })).length).toBe(100)
    const bytes = notes(100, 300).reduce((sum, entry) => sum + entry.bytes.length, 0)
    expect(await feeds.tables.feeds.get(feed)).toMatchObject({ size: 400, start: 300, bytes })
    const cost = bytes + 100 * 256
    expect(await feeds.tables.totals.get('others')).toMatchObject({ feeds: 1, bytes: cost })
    // The tree of what goes on, and no row of the one before.
    const fresh = await follower()
    await fresh.intake.ingest(late)
    await fresh.intake.ingest(await providersLog(400).batch(350, 400))
    const tiles = await gather(feeds.tables.tiles.range())
    expect(tiles).toEqual(await gather(fresh.feeds.tables.tiles.range()))
  })

  it('is the fault of who sent it where its peaks do not come to the head', async () => {
    const { feeds, intake, late } = await behind()
    const peaks = [...providersLog(300, 5).peaks().hashes]
    await expect(intake.ingest({ ...late, peaks })).rejects.toMatchObject({ code: 'bad_log' })
    expect(await feeds.tables.feeds.get(feed)).toMatchObject({ size: 100, start: 0 })
  })

  it('is another history where the subtrees of what is here are others', async () => {
    // 292 is 256 + 32 + 4, and 300 is 256 + 32 + 8 + 4.
    const { feeds, intake } = await follower({ intake: { skipsGaps: true } })
    await intake.ingest(await providersLog(400).batch(0, 292, 292))
    const other = providersLog(400, 280)
    const late = { ...(await other.batch(300, 350)), peaks: [...other.peaks(300).hashes] }
    await expect(intake.ingest(late)).rejects.toMatchObject({ code: 'log_forked' })
    expect(await feeds.head(feed)).toEqual(providersLog(292).head())
  })

  it.each([300, 320])(
    'is another history where the head awaited at %s is another',
    async (size) => {
      const { intake } = await follower({ intake: { skipsGaps: true } })
      await intake.ingest(await providersLog(size).batch(0, 100))
      const other = providersLog(400, size - 1)
      const late = { ...(await other.batch(300, 350)), peaks: [...other.peaks(300).hashes] }
      await expect(intake.ingest(late)).rejects.toMatchObject({ code: 'log_forked' })
    },
  )

  it('goes on past a head that it was on the way to', async () => {
    const { intake } = await follower({ intake: { skipsGaps: true } })
    await intake.ingest(await providersLog(200).batch(0, 100))
    const log = providersLog(400)
    const late = { ...(await log.batch(300, 400)), peaks: [...log.peaks(300).hashes] }
    expect(await intake.ingest(late)).toMatchObject({ size: 400, target: 400 })
  })

  it('shows two histories as before by the head that was known last', async () => {
    const { intake, late } = await behind()
    await intake.ingest(late)
    const other = await providersLog(100, 40).batch(40, 100)
    await expect(intake.ingest(other)).rejects.toMatchObject({ code: 'equivocation' })
  })

  it('stays as it is where all of it is to be kept', async () => {
    const { feeds, intake, late } = await behind(undefined, { skipsGaps: false })
    await expect(intake.ingest(late)).rejects.toMatchObject({ code: 'log_gap', next: 100 })
    expect(await feeds.tables.feeds.get(feed)).toMatchObject({ size: 100, start: 0 })
  })
})

describe('what is looked for', () => {
  const work = execution('job_7.1')
  const receipt = receiptDigest(work.receipt)
  const open = openDigest({ ...work.open, jobId: work.receipt.jobId, nodePk: work.receipt.nodePk })
  const done = executionEntry(5, work)
  const lost = routingEntry(6, signRouting(routing([{ receipt: work.receipt }]), signing))
  const told = routingEntry(6, signRouting(routing([{ execution: done.cid }]), signing))
  const others = new ExampleLog(coordinator).append(lost, told)
  const theirs = { ...feed, author: coordinator.publicKey }

  /** A third peer. */
  const third = () => stage({ who: { ...provider, publicKey: filled(3) } })

  it('is found by its digest: the log of who signed it before those that embed it', async () => {
    const { feeds, intake } = await third()
    await intake.ingest(await others.batch(0, 2))
    expect(await feeds.find('receipt', receipt)).toEqual([{ feed: theirs, index: 0 }])
    await intake.ingest(await new ExampleLog(provider).append(note(1), done).batch(0, 2))
    expect(await feeds.find('receipt', receipt)).toEqual([
      { feed, index: 1 },
      { feed: theirs, index: 0 },
    ])
    expect(await feeds.find('receipt', receipt, { limit: 1 })).toHaveLength(1)
    expect(await feeds.find('open', open)).toEqual([{ feed, index: 1 }])
    expect(await feeds.find('entry', done.cid.digest)).toEqual([{ feed, index: 1 }])
    expect(await feeds.find('mention', done.cid.digest)).toEqual([{ feed: theirs, index: 1 }])
    expect(await feeds.find('receipt', filled(1))).toEqual([])
    expect((await feeds.entry({ feed, index: 1 }))?.bytes).toEqual(done.bytes)
  })

  it('is not found in entries whose receipt nobody signed, or that are not as they should be', async () => {
    const { feeds, intake } = await third()
    const forged = executionEntry(5, {
      ...work,
      receipt: { ...work.receipt, signature: filled(1, 64) },
    })
    const broken = encodeEntry({ kind: 'execution', at: 1, body: { receipt: 1 } })
    // Another's work in the own log.
    const stolen = new ExampleLog(coordinator).append(forged, broken, done)
    await intake.ingest(await stolen.batch(0, 3))
    expect(await feeds.find('receipt', receipt)).toEqual([{ feed: theirs, index: 2 }])
    expect(await feeds.find('open', open)).toEqual([])
    expect(await feeds.find('entry', forged.cid.digest)).toHaveLength(1)
  })

  it('is listed newest first, page by page', async () => {
    const { feeds, intake } = await third()
    await intake.ingest(await providersLog(5).batch(0, 5))
    const first = await feeds.recent({ limit: 2 })
    expect(first.map(({ place }) => place.index)).toEqual([4, 3])
    const [, last] = first
    const second = await feeds.recent({ limit: 9, ...(last && { before: last }) })
    expect(second.map(({ place }) => place.index)).toEqual([2, 1, 0])
  })

  it('is listed once each, whatever came together in one moment', async () => {
    const { feeds, intake } = await third()
    for (const [from, end] of [
      [0, 2],
      [2, 5],
    ] as const) {
      await intake.ingest(await providersLog(5).batch(from, end))
    }
    const first = await feeds.recent({ limit: 2 })
    const second = await feeds.recent({ limit: 9, before: first[1] as ArrivalKey })
    expect([...first, ...second].map(({ place }) => place.index)).toEqual([4, 3, 2, 1, 0])
  })

  it('is every feed, or those of one author', async () => {
    const { feeds, intake } = await third()
    await intake.ingest(await others.batch(0, 2))
    await intake.ingest(await providersLog(5).batch(0, 5))
    const all = await gather(feeds.feeds())
    expect(all.map(({ head }) => readHead(head).size).sort()).toEqual([2, 5])
    expect(await gather(feeds.feeds({ author: provider.publicKey }))).toEqual([
      { feed, head: providersLog(5).head(), start: 0 },
    ])
    const [first] = all
    expect(await gather(feeds.feeds(first && { after: first.feed }))).toHaveLength(1)
  })
})

describe('a feed that is pruned', () => {
  it('still appends, proves what is left, and gives back its room', async () => {
    const { feeds, intake, store } = await follower({ intake: { bytesMax: 200_000 } })
    const log = new ExampleLog(provider).append(...notes(600))
    await intake.ingest(await log.batch(0, 500))
    await intake.prune(feed, 450)
    expect(await feeds.entry({ feed, index: 449 })).toBeUndefined()
    expect(await feeds.find('entry', note(3).cid.digest)).toEqual([])
    expect(await feeds.recent({ limit: 1000 })).toHaveLength(50)
    await intake.ingest(await log.batch(500, 600))
    const proof = await feeds.prove({ feed, index: 450 })
    expect(proof && stands(note(450), 450, proof)).toBe(true)
    await expect(feeds.prove({ feed, index: 3 })).rejects.toMatchObject({ code: 'log_pruned' })
    const [row] = await gather(feeds.tables.feeds.range())
    expect(row?.[1]).toMatchObject({ size: 600, start: 450 })
    const kept = notes(150, 450).reduce((sum, { bytes }) => sum + bytes.length, 0)
    expect(row?.[1].bytes).toBe(kept)
    expect((await feeds.tables.totals.get('others'))?.bytes).toBe(kept + 150 * 256)
    await intake.prune(feed, 9999)
    expect(await feeds.recent({ limit: 1000 })).toEqual([])
    expect((await feeds.tables.totals.get('others'))?.bytes).toBe(0)
    await store.close()
  })
})
