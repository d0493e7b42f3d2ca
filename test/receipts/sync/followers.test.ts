import { describe, expect, test } from 'vitest'
import { headsEquivocation } from '../../../src/wire/equivocation.ts'
import { readHead } from '../../../src/wire/head.ts'
import type { Batch } from '../../../src/wire/log-batch.ts'
import type { Range, SyncAnswer } from '../../../src/wire/sync.ts'
import { FakeClock, settled } from '../../base/fake-clock.ts'
import { ExampleLog } from '../../wire/log-examples.ts'
import { note, notes, stage } from '../feeds/stage.ts'
import { type Asker, given, logOf, peer, rangeOf, type Serving, serving } from './serve-stage.ts'

async function following(peerHere: Serving, ...ranges: Range[]): Promise<Asker> {
  const follower = await peerHere.asker()
  follower.write({ type: 'follow', ranges })
  return follower
}

const ownRange = ({ own }: Serving, from = 0): Range => ({
  ...own.feed,
  ...{ from, to: 0, peaks: false },
})

async function batch(follower: Asker): Promise<Batch> {
  const answer = await follower.read()
  if (answer?.type !== 'batch') throw new Error(`${answer?.type} instead of a batch`)
  return answer.batch
}

const span = ({ head, first, entries }: Batch) => [
  first,
  first + entries.length,
  readHead(head).size,
]

/** What is there to read without anything more happening. */
async function allThere(follower: Asker): Promise<SyncAnswer[]> {
  const answers: SyncAnswer[] = []
  for (;;) {
    const next = follower.read()
    const first = await Promise.race([next, settled().then(settled)])
    if (first === undefined) {
      next.catch(() => {})
      return answers
    }
    answers.push(first)
  }
}

describe('who follows the own log', () => {
  test('is told what there is, and then each new head', async () => {
    const peerHere = await serving()
    const { own } = peerHere
    await own.append(notes(3), { publish: true })
    const follower = await following(peerHere, ownRange(peerHere, 1))
    expect(span(await batch(follower))).toEqual([1, 3, 3])
    for (let n = 3; n < 10; n++) {
      await own.append([note(n)], { publish: true })
      expect(span(await batch(follower))).toEqual([n, n + 1, n + 1])
    }
  })

  test('reads nothing from the disk as long as it keeps up', async () => {
    const peerHere = await serving()
    const { own, feeds } = peerHere
    const follower = await following(peerHere, ownRange(peerHere))
    await own.append(notes(3), { publish: true })
    await batch(follower)
    let reads = 0
    const { batch: read } = feeds
    feeds.batch = (...all) => {
      reads += 1
      return read.apply(feeds, all)
    }
    for (let n = 3; n < 10; n++) {
      await own.append([note(n)], { publish: true })
      await batch(follower)
    }
    expect(reads).toBe(0)
  })

  test('hears of nothing twice and misses nothing, however slowly it reads', async () => {
    const peerHere = await serving()
    const { own } = peerHere
    const follower = await following(peerHere, ownRange(peerHere))
    const there = await stage({ who: peer(101) })
    for (let n = 0; n < 2_000; n++) await own.append([note(n, 700)], { publish: true })
    expect(follower.stream.ended.aborted).toBe(false)
    let batches = 0
    for (let size = 0; size < 2_000; batches++) {
      size = (await there.intake.ingest(await batch(follower))).size
    }
    // A queue of heads would have as many.
    expect(batches).toBeLessThan(500)
    expect(await there.feeds.head(own.feed)).toEqual(await peerHere.feeds.head(own.feed))
  }, 20_000)
})

describe('who follows logs of others', () => {
  test('is told of them as they come, also of one that is not here yet', async () => {
    const peerHere = await serving()
    const [one, other] = [logOf(peer(1), 2), logOf(peer(2), 0)]
    await given(peerHere, one)
    const follower = await following(peerHere, rangeOf(peer(1)), rangeOf(peer(2)))
    expect(span(await batch(follower))).toEqual([0, 2, 2])
    await given(peerHere, other.append(...notes(3)))
    expect(span(await batch(follower))).toEqual([0, 3, 3])
    await given(peerHere, one.append(...notes(2, 2)), { from: 2 })
    expect(span(await batch(follower))).toEqual([2, 4, 4])
  })

  test('is told of each in its turn, however much there is of one', async () => {
    const peerHere = await serving()
    const big = new ExampleLog(peer(1)).append(
      ...Array.from({ length: 60 }, (_, n) => note(n, 16_000)),
    )
    await given(peerHere, big, { step: 2 })
    await given(peerHere, logOf(peer(2), 1))
    const follower = await following(peerHere, rangeOf(peer(1)), rangeOf(peer(2)))
    expect(span(await batch(follower))).toEqual([0, 3, 60])
    expect(span(await batch(follower))).toEqual([0, 1, 1])
    expect(span(await batch(follower))).toEqual([3, 6, 60])
  })

  test('is told why when their author is believed no more, and goes on with the others', async () => {
    const peerHere = await serving()
    const log = logOf(peer(1), 3)
    const other = logOf(peer(2), 1)
    await given(peerHere, log)
    const follower = await following(peerHere, rangeOf(peer(1)), rangeOf(peer(2)))
    await batch(follower)
    await peerHere.intake.bars.add(headsEquivocation(log.head(), logOf(peer(1), 3, 100).head()))
    expect(await follower.read()).toMatchObject({ type: 'equivocation' })
    await given(peerHere, other)
    expect(span(await batch(follower))).toEqual([0, 1, 1])
    expect(await allThere(follower)).toEqual([])
  })

  test('is told so when what comes next was thrown away while it read', async () => {
    const peerHere = await serving()
    const log = new ExampleLog(peer(1)).append(
      ...Array.from({ length: 60 }, (_, n) => note(n, 16_000)),
    )
    await given(peerHere, log, { step: 2 })
    const follower = await following(peerHere, rangeOf(peer(1)))
    expect(span(await batch(follower))).toEqual([0, 3, 60])
    await peerHere.intake.prune(rangeOf(peer(1)), 55)
    const rest = await follower.answers()
    expect(rest.at(-1)).toEqual({ type: 'end', reason: 'pruned' })
    expect(rest.length).toBeLessThan(10)
    expect(peerHere.sync.status().followed).toBe(0)
  })
})

describe('following ends', () => {
  test('when whoever follows ends its part, or resets the stream', async () => {
    const peerHere = await serving()
    const [one, other] = [
      await following(peerHere, ownRange(peerHere), rangeOf(peer(1))),
      await following(peerHere, ownRange(peerHere)),
    ]
    await settled()
    expect(peerHere.sync.status()).toEqual({ streams: 2, followed: 3 })
    await one.stream.close()
    expect(await one.read()).toBeUndefined()
    other.stream.reset(new Error('gone'))
    await settled()
    expect(peerHere.sync.status()).toEqual({ streams: 0, followed: 0 })
    expect(peerHere.hub.faults).toEqual([])
    await peerHere.own.append([note(1)], { publish: true })
  })

  test('when it takes nothing for long', async () => {
    const clock = new FakeClock()
    const peerHere = await serving({ clock })
    for (let n = 0; n < 40; n++) await peerHere.own.append([note(n, 20_000)], { publish: true })
    const follower = await following(peerHere, ownRange(peerHere))
    await peerHere.clock.advance(19_000)
    expect(follower.stream.ended.aborted).toBe(false)
    await peerHere.clock.advance(2_000)
    expect(follower.stream.ended.aborted).toBe(true)
    expect(peerHere.sync.status()).toEqual({ streams: 0, followed: 0 })
  })

  test('with a fault when something is asked behind it', async () => {
    const peerHere = await serving()
    const follower = await following(peerHere, ownRange(peerHere))
    follower.write({ type: 'authors', authors: [] })
    await expect(follower.read()).rejects.toMatchObject({ code: 'stream_reset' })
    expect(peerHere.sync.status()).toEqual({ streams: 0, followed: 0 })
    expect(peerHere.hub.faults).toMatchObject([{ action: 'penalise', reason: 'malformed' }])
  })

  test('before it has begun where too much is followed', async () => {
    const peerHere = await serving({ limits: { followedMax: 3 } })
    await following(peerHere, rangeOf(peer(1)), rangeOf(peer(2)))
    await settled()
    const second = await following(peerHere, rangeOf(peer(1)), rangeOf(peer(2)))
    expect(await second.answers()).toEqual([{ type: 'end', reason: 'busy' }])
    const third = await following(peerHere, rangeOf(peer(1)), rangeOf(peer(1)))
    await settled()
    expect(peerHere.sync.status().followed).toBe(3)
    await third.stream.close()
  })
})
