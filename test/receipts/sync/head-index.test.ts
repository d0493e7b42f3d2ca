import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { HeadIndex } from '../../../src/receipts/sync/head-index.ts'
import { MemoryBackend } from '../../../src/storage/memory-backend.ts'
import { headsEquivocation } from '../../../src/wire/equivocation.ts'
import { readHead } from '../../../src/wire/head.ts'
import type { PlaceMark } from '../../../src/wire/sync.ts'
import { FeedsDigest } from '../../../src/wire/sync-digest.ts'
import { ExampleLog, filled } from '../../wire/log-examples.ts'
import { note, notes, type Stage, type StageOptions, stage } from '../feeds/stage.ts'
import { given, logOf, peer, server } from './serve-stage.ts'

const signal = new AbortController().signal

async function indexed(options: StageOptions = {}) {
  const logs = await stage({ who: server, ...options })
  return { ...logs, index: await indexOf(logs) }
}

async function indexOf({ feeds, intake }: Stage): Promise<HeadIndex> {
  const index = new HeadIndex({ feeds, bars: intake.bars })
  await index.start({ signal })
  await index.load({ signal })
  return index
}

const all = (index: HeadIndex): PlaceMark[] => [...index.places(Array(256).keys())]

const textsOf = (index: HeadIndex): string[] =>
  all(index)
    .map(({ author, epoch, size, rootMark }) => [...author, ...epoch, size, ...rootMark].join())
    .toSorted()

/** The digest as it follows from what the store shows. */
async function digestOf({ feeds, intake }: Stage): Promise<Uint8Array> {
  const digest = new FeedsDigest()
  for await (const { head } of feeds.feeds()) {
    const read = readHead(head)
    if (!(await intake.bars.has(read.author))) digest.toggle(read)
  }
  return digest.bytes
}

const barred = (log: ExampleLog, who = peer(1)) =>
  headsEquivocation(log.head(), logOf(who, log.entries.length, 1_000_000).head())

describe('the index of heads', () => {
  test('is what the store shows, whatever happens, and after a restart', async () => {
    const action = fc.oneof(
      fc.record({
        type: fc.constant('grow' as const),
        who: fc.nat(5),
        by: fc.integer({ min: 1, max: 3 }),
      }),
      fc.record({ type: fc.constant('append' as const), publish: fc.boolean() }),
      fc.record({ type: fc.constant('bar' as const), who: fc.nat(5) }),
      fc.record({ type: fc.constant('restart' as const), confirm: fc.boolean() }),
      fc.record({ type: fc.constant('confirm' as const) }),
    )
    const actions = fc.array(action, { maxLength: 20 })
    await fc.assert(
      fc.asyncProperty(actions, async (todo) => {
        const backend = new MemoryBackend()
        let peerNow = await indexed({ backend })
        const logs = new Map<number, ExampleLog>()
        for (const [at, act] of todo.entries()) {
          const log =
            'who' in act ? (logs.get(act.who) ?? new ExampleLog(peer(act.who + 1))) : undefined
          if (act.type === 'grow' && log !== undefined) {
            logs.set(act.who, log)
            const from = log.entries.length
            log.append(...notes(act.by, from))
            await given(peerNow, log, { from }).catch(() => {})
          } else if (act.type === 'append') {
            await peerNow.own.append([note(at)], { publish: act.publish })
          } else if (act.type === 'bar' && log !== undefined && log.entries.length > 0) {
            await peerNow.intake.bars.add(barred(log, peer(act.who + 1)))
          } else if (act.type === 'restart') {
            await peerNow.own.stop()
            await peerNow.index.stop()
            peerNow = await indexed({ backend, seed: at + 2 })
          } else if (act.type === 'confirm') await peerNow.own.confirm([])
          expect(peerNow.index.digest).toEqual(await digestOf(peerNow))
          expect(all(peerNow.index)).toHaveLength(peerNow.index.size)
        }
      }),
    )
  })

  test('of two peers that know the same is the same, in whatever order it came', async () => {
    const [one, other] = [await indexed(), await indexed({ who: peer(101) })]
    const logs = Array.from({ length: 40 }, (_, n) => logOf(peer(n + 1), n + 1))
    for (const log of logs) await given(one, log)
    for (const log of logs.toReversed()) await given(other, log, { step: 3 })
    expect(one.index.digest).toEqual(other.index.digest)
    expect(one.index.differing(other.index.digest).size).toBe(0)
    expect(textsOf(one.index)).toEqual(textsOf(other.index))
  })

  test('shows the places of the buckets that differ, and only those', async () => {
    const [one, other] = [await indexed(), await indexed({ who: peer(101) })]
    for (let n = 1; n <= 200; n++) {
      const log = logOf(peer(n), 1)
      await given(one, log)
      if (n !== 77) await given(other, log)
    }
    const buckets = one.index.differing(other.index.digest)
    expect(buckets.size).toBe(1)
    const places = [...one.index.places(buckets)]
    expect(places.length).toBeLessThan(10)
    const missing = places.filter((place) => other.index.compare(place).type !== 'same')
    expect(missing.map(({ author }) => author)).toEqual([peer(77).publicKey])
  })

  test('tells what another peer has that is missing here', async () => {
    const mine = await indexed()
    const log = logOf(peer(1), 5)
    await given(mine, log)
    const placeOf = (of: ExampleLog, size?: number): PlaceMark => {
      const head = readHead(of.head(size))
      return { ...head, rootMark: head.root.slice(0, 8) }
    }
    const compare = (place: PlaceMark) => mine.index.compare(place)
    expect(compare(placeOf(log))).toEqual({ type: 'same' })
    expect(compare(placeOf(log, 3))).toEqual({ type: 'ahead' })
    expect(compare(placeOf(logOf(peer(1), 9)))).toEqual({ type: 'missing', from: 5 })
    expect(compare(placeOf(logOf(peer(2), 9)))).toEqual({ type: 'missing', from: 0 })
    expect(compare(placeOf(logOf(peer(1), 5, 100)))).toEqual({ type: 'differs' })
    expect(compare({ ...placeOf(log), ...mine.own.feed })).toEqual({ type: 'own' })
    await mine.intake.bars.add(barred(log))
    expect(compare(placeOf(log))).toEqual({ type: 'barred' })
    expect(compare(placeOf(new ExampleLog(peer(1), filled(9, 8)).append(note(1))))).toEqual({
      type: 'barred',
    })
  })
})

describe('the own log', () => {
  test('is in it from its first entry on, and what is private never', async () => {
    const { own, index } = await indexed()
    await own.append([note(1)], { publish: false })
    expect(index.size).toBe(0)
    await own.append([note(2)], { publish: true })
    expect(all(index)).toMatchObject([{ author: server.publicKey, size: 1 }])
  })

  test('is not in it after a restart until another peer has told what it knows', async () => {
    const backend = new MemoryBackend()
    const before = await indexed({ backend })
    await before.own.append([note(1)], { publish: true })
    const after = await indexed({ backend, seed: 2 })
    await after.own.append([note(2)], { publish: true })
    expect(after.index.size).toBe(0)
    expect(after.index.digest).toEqual(new Uint8Array(2048))
    await after.own.confirm([])
    expect(all(after.index)).toMatchObject([{ author: server.publicKey, size: 2 }])
  })

  test('leaves it while it moves to a new epoch, and both are in it then', async () => {
    const backend = new MemoryBackend()
    const before = await indexed({ backend })
    await before.own.append([note(1)], { publish: true })
    const kept = await before.feeds.head(before.own.feed)
    const copy = new MemoryBackend()
    for await (const [key, value] of backend.range({
      gte: new Uint8Array(),
      lt: filled(255),
      limit: Number.POSITIVE_INFINITY,
      reverse: false,
      signal,
    })) {
      await copy.write([{ type: 'put', key, value }])
    }
    await before.own.append([note(2)], { publish: true })
    const newer = await before.feeds.head(before.own.feed)
    const restored = await indexed({ backend: copy, seed: 2 })
    await restored.own.append([note(3)], { publish: true })
    await restored.own.confirm([newer as NonNullable<typeof newer>])
    expect(all(restored.index).map(({ size }) => size)).toEqual([1, 1])
    expect(restored.index.digest).toEqual(await digestOf(restored))
    expect(readHead(kept as NonNullable<typeof kept>).size).toBe(1)
  })
})

describe('an author that is barred', () => {
  test('is not in it any more, with all its epochs, nor after a restart', async () => {
    const backend = new MemoryBackend()
    const mine = await indexed({ backend })
    const log = logOf(peer(1), 3)
    await given(mine, log)
    await given(mine, new ExampleLog(peer(1), filled(4, 8)).append(note(1)))
    await given(mine, logOf(peer(2), 1))
    await mine.intake.bars.add(barred(log))
    expect(all(mine.index)).toMatchObject([{ author: peer(2).publicKey }])
    expect(mine.index.isBarred(peer(1).publicKey)).toBe(true)
    const after = await indexed({ backend, seed: 2 })
    expect(all(after.index)).toEqual(all(mine.index))
    expect(after.index.isBarred(peer(1).publicKey)).toBe(true)
  })

  test('is as any other once it is forgotten for another', async () => {
    const { intake, index } = await indexed({ intake: { barredMax: 1 } })
    for (const seed of [1, 2]) await intake.bars.add(barred(logOf(peer(seed), 2), peer(seed)))
    expect(index.isBarred(peer(1).publicKey)).toBe(false)
    expect(index.isBarred(peer(2).publicKey)).toBe(true)
    await given({ intake }, logOf(peer(1), 3))
    expect(all(index)).toMatchObject([{ author: peer(1).publicKey, size: 3 }])
  })

  test('is told of once, however often it is proved', async () => {
    const { intake } = await indexed()
    const told: Uint8Array[] = []
    intake.bars.onNews(({ author }) => told.push(author))
    const log = logOf(peer(1), 3)
    await given({ intake } as never, log)
    const fork = logOf(peer(1), 3, 100)
    await expect(intake.ingest(await fork.batch(0, 3))).rejects.toMatchObject({
      code: 'equivocation',
    })
    await intake.bars.add(barred(log))
    expect(told).toEqual([peer(1).publicKey])
  })
})
