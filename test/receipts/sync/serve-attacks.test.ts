import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FeedStore } from '../../../src/receipts/feeds/feed-store.ts'
import { Cid } from '../../../src/wire/cid.ts'
import { headsEquivocation } from '../../../src/wire/equivocation.ts'
import { FRAME_BYTES_MAX } from '../../../src/wire/protocols.ts'
import { encodeSyncRequest, getRequest, type Range } from '../../../src/wire/sync.ts'
import { FeedsDigest } from '../../../src/wire/sync-digest.ts'
import { settled } from '../../base/fake-clock.ts'
import { ExampleLog, filled } from '../../wire/log-examples.ts'
import { note, stage } from '../feeds/stage.ts'
import { given, kindsOf, logOf, peer, rangeOf, server, serving } from './serve-stage.ts'

const most = Number.MAX_SAFE_INTEGER

/** Entries of 16 KiB, three in a frame. */
const bigLog = (size: number) =>
  new ExampleLog(peer(1)).append(...Array.from({ length: size }, (_, n) => note(n, 16_000)))

const fork = (size: number, who = peer(1)) =>
  headsEquivocation(logOf(who, size).head(), logOf(who, size, 1_000_000).head())

describe('a question that is none', () => {
  const raw = (request: Parameters<typeof encodeSyncRequest>[0]) => encodeSyncRequest(request)
  const [one, other] = [logOf(peer(1), 2), logOf(peer(2), 2)]
  const unsigned = { ...fork(2).one, signature: filled(1, 64) }

  const bad: [name: string, frame: () => Uint8Array, code: string][] = [
    ['bytes of no message', () => Uint8Array.of(0xff, 0xff, 0xff), 'malformed'],
    ['two contents', () => Uint8Array.of(0x12, 0x00, 0x12, 0x00), 'malformed'],
    ['a short digest', () => raw({ type: 'digest', buckets: filled(1, 2047) }), 'malformed'],
    ['a long digest', () => raw({ type: 'digest', buckets: filled(1, 2049) }), 'malformed'],
    ['no digest', () => Uint8Array.of(0x0a, 0x00), 'malformed'],
    ['a key of 31 bytes', () => raw({ type: 'authors', authors: [filled(1, 31)] }), 'malformed'],
    [
      'too many authors',
      () => raw({ type: 'authors', authors: Array(257).fill(filled(1)) }),
      'malformed',
    ],
    [
      'too many ranges',
      () => raw({ type: 'ranges', ranges: Array(257).fill(rangeOf(peer(1))) }),
      'malformed',
    ],
    [
      'a range that ends before it begins',
      () => raw({ type: 'ranges', ranges: [rangeOf(peer(1), { from: 5, to: 5 })] }),
      'malformed',
    ],
    ['a CID of another hash', () => raw({ type: 'get', cid: filled(0x12, 36) }), 'malformed'],
    [
      'heads of one history',
      () => raw({ type: 'equivocation', ...headsEquivocation(one.head(1), one.head(2)) }),
      'no_equivocation',
    ],
    [
      'heads of two logs',
      () => raw({ type: 'equivocation', ...headsEquivocation(one.head(), other.head()) }),
      'no_equivocation',
    ],
    [
      'a head that nobody signed',
      () => raw({ type: 'equivocation', ...fork(2), one: unsigned }),
      'bad_signature',
    ],
  ]
  test.each(bad)('%s is a fault', async (_, frame, code) => {
    const { asker, hub, sync, intake } = await serving()
    const one = await asker()
    one.stream.write(frame())
    await expect(one.answers()).rejects.toMatchObject({ code: 'stream_reset' })
    expect(hub.faults).toMatchObject([{ action: 'penalise', reason: code }])
    expect(sync.status()).toEqual({ streams: 0, followed: 0 })
    expect(await intake.bars.has(peer(1).publicKey)).toBe(false)
  })

  test('whatever bytes come, they are answered or a fault', async () => {
    const { asker, hub, sync, clock } = await serving()
    let asked = 0
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 200 }), async (frame) => {
        const faults = hub.faults.length
        const one = await asker(peer((asked++ % 100) + 101))
        one.stream.write(frame)
        await one.stream.close()
        const answers = await one.answers().catch(() => 'reset' as const)
        const isFault = hub.faults.length > faults
        expect(isFault).toBe(answers === 'reset')
        await clock.advance(1_000)
        expect(sync.status().streams).toBe(0)
      }),
    )
  })

  test('of a newer version is answered by its end', async () => {
    const { asker, hub } = await serving()
    const one = await asker()
    one.stream.write(Uint8Array.of(0x7a, 0x01, 0x00))
    expect(await one.answers()).toEqual([{ type: 'end', reason: '' }])
    expect(kindsOf(await one.ask({ type: 'ranges', ranges: [] }))).toEqual(['end'])
    expect(hub.faults).toEqual([])
  })
})

describe('too much', () => {
  test('is asked for in several questions', async () => {
    const answerBytesMax = 8 * FRAME_BYTES_MAX
    const { asker, ...peerHere } = await serving({ limits: { answerBytesMax } })
    const log = bigLog(70)
    await given(peerHere, log, { step: 2 })
    const there = await stage({ who: peer(101) })
    const one = await asker()
    const words: string[] = []
    for (let from = 0; from < 70; ) {
      const answers = await one.ask({
        type: 'ranges',
        ranges: [rangeOf(peer(1), { from, to: most })],
      })
      for (const answer of answers) {
        if (answer.type === 'batch') from = (await there.intake.ingest(answer.batch)).size
      }
      words.push(...kindsOf(answers.slice(-1)))
    }
    expect(words).toEqual(['end too_much', 'end too_much', 'end'])
    expect(await there.feeds.head(rangeOf(peer(1)))).toEqual(log.head())
  })

  test('of one peer waits, while another is answered', async () => {
    const rate = { perSecond: 64 * 1024, burst: 128 * 1024 }
    const { asker, clock, ...peerHere } = await serving({
      limits: { perPeer: rate, turnMs: 3_000 },
    })
    await given(peerHere, bigLog(30), { step: 2 })
    const ranges = [rangeOf(peer(1))]
    const greedy = await asker(peer(201))
    greedy.write({ type: 'ranges', ranges })
    const all = greedy.answers()
    await clock.advance(1_000)
    const other = await asker(peer(202))
    const one = other.ask({ type: 'ranges', ranges: [rangeOf(peer(1), { from: 29 })] })
    expect(kindsOf(await one)).toEqual(['batch', 'end'])
    const begun = clock.elapsed()
    await clock.advance(20_000)
    expect(kindsOf(await all)).toEqual([...Array(10).fill('batch'), 'end'])
    expect(clock.elapsed() - begun).toBeGreaterThan(4_000)
  })

  test('of questions without an answer makes a peer wait as well, in the end in vain', async () => {
    const rate = { perSecond: 64 * 1024, burst: 2 * 1024 * 1024 }
    const { asker, clock } = await serving({ limits: { perPeer: rate } })
    const unknown: Range[] = Array.from({ length: 256 }, (_, n) =>
      rangeOf(peer(1), { epoch: filled(n, 8) }),
    )
    const one = await asker()
    for (let n = 0; n < 4; n++) one.write({ type: 'ranges', ranges: unknown })
    const all: string[] = []
    const reading = (async () => {
      while (!all.includes('end busy')) all.push(...kindsOf(await one.answers()))
    })()
    await clock.advance(10_000)
    await reading
    expect(all).toEqual(['end', 'end', 'end', 'end busy'])
  })

  test('of streams, by all peers together, is refused', async () => {
    const { asker, sync, hub } = await serving({ limits: { streamsMax: 3 } })
    const open = await Promise.all([201, 202, 203].map((seed) => asker(peer(seed))))
    const late = await asker(peer(204))
    expect(await late.answers()).toEqual([{ type: 'end', reason: 'busy' }])
    expect(await late.read()).toBeUndefined()
    await open[0]?.stream.close()
    await settled()
    const again = await asker(peer(204))
    expect(kindsOf(await again.ask({ type: 'ranges', ranges: [] }))).toEqual(['end'])
    expect(sync.status().streams).toBe(3)
    expect(hub.faults).toEqual([])
  })

  test('of streams that follow, by one peer, is a fault of it', async () => {
    const { asker, sync, hub } = await serving()
    const ranges = Array.from({ length: 256 }, (_, n) => rangeOf(peer(1), { epoch: filled(n, 8) }))
    for (let n = 0; n < 9; n++) {
      const one = await asker()
      if (!one.stream.ended.aborted) one.write({ type: 'follow', ranges })
    }
    await settled()
    expect(sync.status()).toEqual({ streams: 8, followed: 8 * 256 })
    expect(hub.faults).toMatchObject([{ action: 'penalise', reason: 'too many sync/1 streams' }])
  })

  test('of streams that follow leaves room for questions', async () => {
    const { asker, sync, hub } = await serving({ limits: { streamsMax: 4, followersMax: 3 } })
    const ranges = [rangeOf(peer(1))]
    const followers = await Promise.all([201, 202, 203].map((seed) => asker(peer(seed))))
    for (const each of followers) each.write({ type: 'follow', ranges })
    await settled()
    const late = await asker(peer(204))
    expect(kindsOf(await late.ask({ type: 'ranges', ranges }))).toEqual(['end'])
    expect(kindsOf(await late.ask({ type: 'follow', ranges }))).toEqual(['end busy'])
    await followers[0]?.stream.close()
    await settled()
    const again = await asker(peer(204))
    again.write({ type: 'follow', ranges })
    await settled()
    expect(sync.status()).toEqual({ streams: 3, followed: 3 })
    expect(hub.faults).toEqual([])
  })

  test('of streams by peers in one net is refused, and others are answered', async () => {
    const { asker, hub } = await serving({ limits: { streamsMax: 8, netStreamsMax: 3 } })
    const near = await Promise.all(
      [201, 202, 203].map((seed) => asker(peer(seed), `10.0.0.${seed}`)),
    )
    const late = await asker(peer(204), '10.0.0.204')
    expect(await late.answers()).toEqual([{ type: 'end', reason: 'busy' }])
    const question = { type: 'ranges' as const, ranges: [] }
    const far = await asker(peer(205), '10.0.1.201')
    expect(kindsOf(await far.ask(question))).toEqual(['end'])
    await near[0]?.stream.close()
    await settled()
    const again = await asker(peer(204))
    expect(kindsOf(await again.ask(question))).toEqual(['end'])
    expect(hub.faults).toEqual([])
  })

  test('of questions at once is answered in their order, as fast as they are read', async () => {
    const { asker, ...peerHere } = await serving()
    await given(peerHere, bigLog(3))
    const one = await asker()
    const ranges = [rangeOf(peer(1))]
    for (let n = 0; n < 200; n++) {
      one.write({ type: 'ranges', ranges }, getRequest(new Cid('entry', filled(1))))
    }
    await settled()
    expect(one.stream.ended.aborted).toBe(false)
    for (let n = 0; n < 200; n++) {
      expect(kindsOf(await one.answers())).toEqual(['batch', 'end'])
      expect(kindsOf(await one.answers())).toEqual(['end'])
    }
  })

  test('of questions for all there is costs no more than what is sent', async () => {
    const { asker, feeds } = await serving()
    const read: string[] = []
    for (const name of ['batch', 'head', 'entry', 'find'] as const) {
      const method = FeedStore.prototype[name]
      // biome-ignore lint/suspicious/noExplicitAny: whatever is called is counted.
      feeds[name] = function (this: FeedStore, ...all: any[]) {
        read.push(name)
        return Reflect.apply(method, feeds, all)
      } as never
    }
    const one = await asker()
    for (let n = 0; n < 100; n++) {
      expect(kindsOf(await one.ask({ type: 'digest', buckets: new FeedsDigest().bytes }))).toEqual([
        'end',
      ])
    }
    expect(read).toEqual([])
  })
})

describe('a reader', () => {
  test('that asks nothing for long is left', async () => {
    const { asker, clock, sync, hub } = await serving()
    const one = await asker()
    expect(kindsOf(await one.ask({ type: 'ranges', ranges: [] }))).toEqual(['end'])
    await clock.advance(29_000)
    expect(sync.status().streams).toBe(1)
    await clock.advance(2_000)
    expect(await one.read()).toBeUndefined()
    expect(sync.status().streams).toBe(0)
    expect(hub.faults).toEqual([])
  })

  test('that takes nothing holds back a few frames, and then loses the stream', async () => {
    const { asker, clock, sync, feeds, ...peerHere } = await serving()
    await given(peerHere, bigLog(60), { step: 2 })
    let reads = 0
    const { batch } = feeds
    feeds.batch = (...all) => {
      reads += 1
      return batch.apply(feeds, all)
    }
    const one = await asker()
    one.write({ type: 'ranges', ranges: [rangeOf(peer(1))] })
    await clock.advance(10_000)
    expect(reads).toBeLessThan(10)
    expect(sync.status().streams).toBe(1)
    await clock.advance(11_000)
    expect(sync.status().streams).toBe(0)
    await expect(one.answers()).rejects.toMatchObject({ code: 'stream_reset' })
  })

  test('that is slow gets only so much in one answer', async () => {
    const { asker, clock, ...peerHere } = await serving()
    await given(peerHere, bigLog(60), { step: 2 })
    const one = await asker()
    one.write({ type: 'ranges', ranges: [rangeOf(peer(1))] })
    const kinds: string[] = []
    while (!kinds.at(-1)?.startsWith('end')) {
      await clock.advance(8_000)
      const answer = await one.read()
      if (answer !== undefined) kinds.push(...kindsOf([answer]))
    }
    expect(kinds.at(-1)).toBe('end too_much')
    expect(kinds.length).toBeLessThan(20)
  })

  test('that is gone amid an answer leaves nothing behind', async () => {
    const { asker, sync, hub, ...peerHere } = await serving()
    await given(peerHere, bigLog(60), { step: 2 })
    const [one, other] = [await asker(peer(201)), await asker(peer(202))]
    for (const each of [one, other]) each.write({ type: 'ranges', ranges: [rangeOf(peer(1))] })
    await one.read()
    one.stream.reset(new Error('cut'))
    await other.read()
    hub.kill(peer(202).peerId)
    await settled()
    expect(sync.status()).toEqual({ streams: 0, followed: 0 })
    expect(hub.faults).toEqual([])
  })
})

describe('an equivocation', () => {
  test('is kept, and told of once, whoever brings it how often', async () => {
    const { asker, intake, index } = await serving()
    const told: string[] = []
    intake.bars.onNews(({ author }) => told.push(Buffer.from(author).toString('hex')))
    for (const seed of [201, 202]) {
      const one = await asker(peer(seed))
      const answers = await one.ask({ type: 'equivocation', ...fork(2) })
      expect(answers).toEqual([{ type: 'end', reason: '' }])
    }
    expect(told).toEqual([Buffer.from(peer(1).publicKey).toString('hex')])
    expect(index.isBarred(peer(1).publicKey)).toBe(true)
  })

  test('of this peer itself, or of one stranger too many, is no fault of who says so', async () => {
    const { asker, own, hub, ...rest } = await serving({ intake: { barredMax: 1 } })
    const { intake } = rest
    const one = await asker()
    const { epoch } = own.feed
    // The proof about it stays.
    await given(rest, logOf(peer(1), 1))
    const logs = [5, 6].map((n) => new ExampleLog(server, epoch).append(note(n)).head())
    const [first, second] = logs
    if (first === undefined || second === undefined) throw new Error('no heads')
    const claim = headsEquivocation(first, second)
    expect(kindsOf(await one.ask({ type: 'equivocation', ...claim }))).toEqual(['end'])
    for (const seed of [1, 2]) {
      const answers = await one.ask({ type: 'equivocation', ...fork(2, peer(seed)) })
      expect(kindsOf(answers)).toEqual(['end'])
    }
    expect(await intake.bars.has(own.feed.author)).toBe(false)
    expect(await intake.bars.has(peer(2).publicKey)).toBe(false)
    expect(hub.faults).toEqual([])
  })
})

describe('a stop', () => {
  test('ends every stream and waits for it', async () => {
    const { asker, sync, own, hub } = await serving()
    const [idle, follower] = [await asker(peer(201)), await asker(peer(202))]
    follower.write({ type: 'follow', ranges: [{ ...rangeOf(server), ...own.feed }] })
    await settled()
    await sync.stop()
    await sync.stop()
    expect(sync.status()).toEqual({ streams: 0, followed: 0 })
    for (const one of [idle, follower]) await expect(one.read()).rejects.toThrow()
    expect(hub.faults).toEqual([])
    const late = await asker(peer(203))
    expect(await late.answers()).toEqual([{ type: 'end', reason: 'busy' }])
  })
})
