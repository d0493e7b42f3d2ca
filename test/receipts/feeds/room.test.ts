import { describe, expect, it } from 'vitest'
import { silentLogger } from '../../../src/base/logger.ts'
import { type Identity, identityFromSeed } from '../../../src/identity/identity.ts'
import { MemoryBackend } from '../../../src/storage/memory-backend.ts'
import { headsEquivocation } from '../../../src/wire/equivocation.ts'
import { sameBytes } from '../../../src/wire/octets.ts'
import { FakeClock } from '../../base/fake-clock.ts'
import { ExampleLog, filled } from '../../wire/log-examples.ts'
import {
  author,
  gather,
  note,
  notes,
  type Stage,
  type StageOptions,
  stage,
  stands,
} from './stage.ts'

const full = { code: 'log_full', action: 'ignore' }
const [me, alice, bob, carol] = [100, 1, 2, 3].map(who) as [Identity, Identity, Identity, Identity]

function who(n: number): Identity {
  const seed = new Uint8Array(32).fill(7)
  new DataView(seed.buffer).setUint32(0, n)
  return identityFromSeed(seed)
}

interface Options extends StageOptions {
  wanted?: readonly Identity[]
}

const peer = ({ wanted = [], ...options }: Options = {}) =>
  stage({
    who: me,
    isWanted: (key) => wanted.some(({ publicKey }) => sameBytes(publicKey, key)),
    ...options,
  })

/** A log of one entry with this many bytes on top. */
const oneOf = (of: Identity, bytes = 0, epoch = filled(3, 8)) =>
  new ExampleLog(of, epoch).append(note(1, bytes)).batch(0, 1)

/** All entries of a log, a few at a time. */
async function give({ intake }: Stage, log: ExampleLog, step = 20): Promise<void> {
  for (let at = 0; at < log.entries.length; at += step) {
    const end = Math.min(log.entries.length, at + step)
    await intake.ingest(await log.batch(at, end, end))
  }
}

const has = async ({ feeds }: Stage, of: Identity): Promise<boolean> =>
  (await feeds.countEpochs(of.publicKey, 1)) > 0

const totals = ({ feeds }: Stage) => feeds.tables.totals.get('others')

describe('an author that writes without end', () => {
  it('has the last part of its log kept, and takes no room from others', async () => {
    const here = await peer({ intake: { authorBytesMax: 80_000, bytesMax: 200_000 } })
    const other = new ExampleLog(bob).append(...notes(50))
    await give(here, other)
    const log = new ExampleLog(alice).append(...notes(2_000))
    const starts = new Set<number>()
    for (let at = 0; at < 2_000; at += 20) {
      await here.intake.ingest(await log.batch(at, at + 20, at + 20))
      const row = await here.feeds.tables.feeds.get(author(alice))
      starts.add(row?.start ?? 0)
      const cost = (row?.bytes ?? 0) + ((row?.size ?? 0) - (row?.start ?? 0)) * 256
      expect(cost).toBeLessThan(80_000 * (1 + 1 / 8) + 20 * 512)
    }
    const row = await here.feeds.tables.feeds.get(author(alice))
    expect(row).toMatchObject({ size: 2_000 })
    // Enough is left each time that seldom something has to go.
    expect((row?.size ?? 0) - (row?.start ?? 0)).toBeGreaterThan(100)
    expect(starts.size).toBeLessThan(20)
    const proof = await here.feeds.prove({ feed: author(alice), index: 1_990 })
    expect(proof && stands(note(1_990), 1_990, proof)).toBe(true)
    expect(await here.feeds.tables.feeds.get(author(bob))).toMatchObject({ start: 0, size: 50 })
  })

  it('has no more kept of it for having many logs', async () => {
    const here = await peer({ intake: { authorBytesMax: 80_000 } })
    for (let n = 0; n < 10; n++) {
      await give(here, new ExampleLog(alice, filled(n, 8)).append(...notes(100)))
    }
    const rows = await gather(here.feeds.tables.feeds.range())
    const cost = rows.reduce((sum, [, row]) => sum + row.bytes + (row.size - row.start) * 256, 0)
    expect(rows).toHaveLength(10)
    expect(cost).toBeLessThan(80_000 * (1 + 1 / 8) + 20 * 512)
    expect((await totals(here))?.bytes).toBe(cost)
  })

  it('is counted as a whole after a restart', async () => {
    const backend = new MemoryBackend()
    const before = await peer({ backend })
    await give(before, new ExampleLog(alice).append(...notes(500)))
    await before.store.close()
    const here = await peer({ backend, intake: { authorBytesMax: 80_000 } })
    const log = new ExampleLog(alice).append(...notes(501))
    await here.intake.ingest(await log.batch(500, 501))
    const row = await here.feeds.tables.feeds.get(author(alice))
    expect((501 - (row?.start ?? 0)) * 256).toBeLessThan(80_000)
  })
})

describe('where there are as many logs as there may be', () => {
  const strangers = Array.from({ length: 20 }, (_, n) => who(1_000 + n))

  /** Full of logs of strangers, each of one entry; the first is the smallest. */
  async function filledUp(options: Options = {}) {
    const intake = { feedsMax: 20, ...options.intake }
    const here = await peer({ ...options, intake })
    for (const [n, stranger] of strangers.entries()) {
      await here.intake.ingest(await oneOf(stranger, 100 + n))
    }
    return here
  }

  it('the smallest of a stranger gives way to one that is wanted', async () => {
    const here = await filledUp({ wanted: [alice, bob], intake: { strangersMax: 20 } })
    for (const wanted of [alice, bob]) await here.intake.ingest(await oneOf(wanted))
    expect(await has(here, alice)).toBe(true)
    expect(await has(here, bob)).toBe(true)
    expect((await totals(here))?.feeds).toBe(20)
    expect(await gather(here.feeds.feeds())).toHaveLength(20)
    // And stays: those that come later are strangers again.
    await expect(here.intake.ingest(await oneOf(carol, 10), 'another')).rejects.toMatchObject(full)
    await here.intake.ingest(await oneOf(carol, 500), 'another')
    expect(await has(here, alice)).toBe(true)
    expect(await has(here, bob)).toBe(true)
  })

  it('nothing is left of the one that gave way', async () => {
    const here = await peer({ wanted: [bob], intake: { feedsMax: 1 } })
    const log = new ExampleLog(alice).append(...notes(700))
    await give(here, log)
    await here.intake.ingest(await oneOf(bob))
    const fresh = await peer()
    await fresh.intake.ingest(await oneOf(bob))
    for (const name of ['entries', 'finds', 'tiles', 'arrivals', 'feeds'] as const) {
      const keysOf = async ({ feeds }: Stage) =>
        (await gather<[unknown, unknown]>(feeds.tables[name].range())).map(([key]) => key)
      expect(await keysOf(here), name).toEqual(await keysOf(fresh))
    }
    expect(await totals(here)).toEqual(await totals(fresh))
  })

  it('whoever was just told of it hears that it was thrown away', async () => {
    const here = await peer({ wanted: [bob], intake: { feedsMax: 1 } })
    await here.intake.ingest(await oneOf(alice))
    const heard: unknown[] = []
    here.feeds.onHead(({ feed, batch }) => heard.push([feed, batch === undefined]))
    await here.intake.ingest(await oneOf(bob))
    expect(heard).toEqual([
      [author(alice), true],
      [author(bob), false],
    ])
    const asked = here.feeds.batch(author(alice), { from: 0 })
    await expect(asked).rejects.toMatchObject({ code: 'log_pruned' })
    expect(await here.feeds.batch(author(carol), { from: 0 })).toBeUndefined()
  })

  it('that of a stranger takes the place of no larger one', async () => {
    const here = await filledUp()
    await expect(here.intake.ingest(await oneOf(alice, 50))).rejects.toMatchObject(full)
    await here.intake.ingest(await oneOf(alice, 100))
    expect(await has(here, alice)).toBe(true)
    expect((await totals(here))?.feeds).toBe(20)
  })

  it('none that is wanted gives way, nor one of this peer itself', async () => {
    const here = await peer({ wanted: [alice], intake: { feedsMax: 2 } })
    await here.own.append(notes(1), { publish: true })
    await here.intake.ingest(await oneOf(me, 0, filled(8, 8)))
    await here.intake.ingest(await oneOf(alice))
    await expect(here.intake.ingest(await oneOf(bob, 900))).rejects.toMatchObject(full)
    expect(await gather(here.feeds.feeds())).toHaveLength(3)
  })

  it('they are counted from before a restart', async () => {
    const backend = new MemoryBackend()
    const before = await filledUp({ backend })
    await before.store.close()
    const here = await peer({ backend, wanted: [alice], intake: { feedsMax: 20 } })
    await here.intake.ingest(await oneOf(alice))
    expect(await gather(here.feeds.feeds())).toHaveLength(20)
  })

  it('an author has no more than its own number', async () => {
    const here = await peer({ wanted: [alice], intake: { epochsMax: 2 } })
    for (const n of [1, 2]) await here.intake.ingest(await oneOf(alice, 0, filled(n, 8)))
    const third = await oneOf(alice, 0, filled(3, 8))
    await expect(here.intake.ingest(third)).rejects.toMatchObject(full)
    await here.intake.ingest(await oneOf(bob))
  })
})

describe('one peer', () => {
  it('brings so many logs of strangers, and then some each second', async () => {
    const clock = new FakeClock()
    const limits = { strangersMax: 3, strangersPerSecond: 0.5 }
    const here = await peer({ clock, wanted: [alice], intake: limits })
    const bring = async (n: number, from: string) =>
      here.intake.ingest(await oneOf(who(1_000 + n)), from)
    for (const n of [1, 2, 3]) await bring(n, 'mallory')
    await expect(bring(4, 'mallory')).rejects.toMatchObject(full)
    expect(here.intake.room.strangersFrom('mallory')).toBe(0)
    // What is here already grows, others bring theirs, and whoever is wanted is nobody's share.
    const grown = new ExampleLog(who(1_001)).append(note(1), note(2))
    expect(await here.intake.ingest(await grown.batch(1, 2), 'mallory')).toMatchObject({ size: 2 })
    await bring(4, 'honest')
    await here.intake.ingest(await oneOf(alice), 'mallory')
    await clock.advance(1_999)
    await expect(bring(5, 'mallory')).rejects.toMatchObject(full)
    await clock.advance(1)
    await bring(5, 'mallory')
    await expect(bring(6, 'mallory')).rejects.toMatchObject(full)
  })
})

describe('where there are as many bytes as there may be', () => {
  const startOf = async ({ feeds }: Stage, of: Identity) =>
    (await feeds.tables.feeds.get(author(of)))?.start

  it('the older half of the largest gives way to one that is wanted', async () => {
    const here = await peer({ wanted: [carol], intake: { bytesMax: 10_000 + 42 * 256 } })
    await give(here, new ExampleLog(alice).append(...notes(40).map((_, n) => note(n, 150))))
    await give(here, new ExampleLog(bob).append(note(1, 800)))
    await here.intake.ingest(await oneOf(carol, 3_000))
    expect(await startOf(here, alice)).toBe(20)
    expect(await startOf(here, bob)).toBe(0)
    expect((await totals(here))?.bytes).toBeLessThanOrEqual(10_000 + 42 * 256)
  })

  it('small entries are counted with what their keys take', async () => {
    const here = await peer({ intake: { bytesMax: 34_000 } })
    await give(here, new ExampleLog(alice).append(...notes(100)))
    expect((await here.feeds.tables.feeds.get(author(alice)))?.bytes).toBeLessThan(8_000)
    await give(here, new ExampleLog(bob).append(...notes(20)))
    expect(await startOf(here, alice)).toBe(50)
  })

  it('a stranger takes from those alone that have more', async () => {
    const here = await peer({ wanted: [bob], intake: { bytesMax: 10_000 + 22 * 256 } })
    await give(here, new ExampleLog(alice).append(...notes(20).map((_, n) => note(n, 150))))
    await here.intake.ingest(await oneOf(bob, 5_500))
    await expect(here.intake.ingest(await oneOf(carol, 9_500))).rejects.toMatchObject(full)
    await here.intake.ingest(await oneOf(carol, 1_500))
    expect(await startOf(here, alice)).toBe(10)
    expect(await startOf(here, bob)).toBe(0)
  })

  it('one that is wanted takes from another that has more, and not from one that has less', async () => {
    const here = await peer({ wanted: [alice, bob], intake: { bytesMax: 10_000 + 41 * 256 } })
    await give(here, new ExampleLog(alice).append(...notes(40).map((_, n) => note(n, 150))))
    await here.intake.ingest(await oneOf(bob, 3_000))
    expect(await startOf(here, alice)).toBe(20)
    const more = new ExampleLog(alice).append(
      ...notes(41).map((_, n) => note(n, n < 40 ? 150 : 9_000)),
    )
    await expect(here.intake.ingest(await more.batch(40, 41))).rejects.toMatchObject(full)
    expect(await startOf(here, bob)).toBe(0)
  })

  it('they are counted from before a restart', async () => {
    const backend = new MemoryBackend()
    const before = await peer({ backend })
    await before.intake.ingest(await oneOf(alice, 1_000))
    await before.store.close()
    const here = await peer({ backend, intake: { bytesMax: 2_000 } })
    await expect(here.intake.ingest(await oneOf(bob, 1_200))).rejects.toMatchObject(full)
    await here.intake.ingest(await oneOf(bob))
  })
})

describe('where as many authors are barred as may be', () => {
  const fork = (of: Identity) => {
    const log = (n: number) => new ExampleLog(of).append(note(n)).head()
    return headsEquivocation(log(1), log(2))
  }
  const barred = async ({ feeds }: Stage) =>
    (await gather(feeds.tables.barred.range())).map(([key]) => Buffer.from(key).toString('hex'))
  const named = (...of: Identity[]) =>
    of.map(({ publicKey }) => Buffer.from(publicKey).toString('hex')).sort()

  it('a stranger whose logs are not here is forgotten for another', async () => {
    const here = await peer({ wanted: [alice], intake: { barredMax: 3 } })
    const forgotten: Uint8Array[] = []
    here.intake.bars.onForgotten((key) => forgotten.push(key))
    await here.intake.ingest(await oneOf(bob))
    for (const known of [alice, bob]) await here.intake.bars.add(fork(known))
    for (let n = 0; n < 10; n++) {
      const stranger = who(2_000 + n)
      expect(await here.intake.bars.add(fork(stranger))).toBe(true)
      expect(await barred(here)).toEqual(named(alice, bob, stranger))
    }
    expect(forgotten).toHaveLength(9)
    expect((await totals(here))?.barred).toBe(3)
  })

  it('one who is wanted or whose logs are here is barred all the same', async () => {
    const backend = new MemoryBackend()
    const before = await peer({ backend, wanted: [alice], intake: { barredMax: 1 } })
    await before.intake.bars.add(fork(alice))
    await before.store.close()
    const here = await peer({ backend, wanted: [alice, carol], intake: { barredMax: 1 } })
    await expect(here.intake.bars.add(fork(who(9)))).rejects.toMatchObject(full)
    await here.intake.ingest(await oneOf(bob))
    for (const known of [bob, carol]) expect(await here.intake.bars.add(fork(known))).toBe(true)
    expect(await barred(here)).toEqual(named(alice, bob, carol))
  })

  it('so many of strangers come in at once, and then some each second', async () => {
    const clock = new FakeClock()
    const here = await peer({ clock, wanted: [alice] })
    const { bars } = here.intake
    const until = async (first: number): Promise<number> => {
      for (let n = first; n < first + 400; n++) {
        if (!(await bars.add(fork(who(n))).catch(() => false))) return n
      }
      return Number.POSITIVE_INFINITY
    }
    const flooded = await until(2_000)
    expect(flooded).toBeLessThan(2_300)
    await expect(bars.add(fork(who(flooded)))).rejects.toMatchObject(full)
    // Whoever is wanted, or has a log here, is no stranger.
    await here.intake.ingest(await oneOf(bob))
    for (const known of [alice, bob]) expect(await bars.add(fork(known))).toBe(true)
    await clock.advance(3_000)
    expect(await until(flooded)).toBeLessThan(flooded + 5)
  })

  it('about this peer itself bars nobody, and its owner is told once', async () => {
    const told: string[] = []
    const logger = { ...silentLogger, error: (message: string) => void told.push(message) }
    const here = await peer({ logger })
    const own = { code: 'own_log', action: 'ignore' }
    for (const _ of [1, 2]) {
      await expect(here.intake.bars.add(fork(me))).rejects.toMatchObject(own)
    }
    expect(told).toEqual([expect.stringContaining('a copy of this data folder')])
    expect(await barred(here)).toEqual([])
  })
})
