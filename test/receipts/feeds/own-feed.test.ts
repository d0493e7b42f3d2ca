import { describe, expect, it } from 'vitest'
import type { Row } from '../../../src/storage/backend.ts'
import { bytesValue, textKey } from '../../../src/storage/codec.ts'
import { MemoryBackend } from '../../../src/storage/memory-backend.ts'
import { BATCH_ENTRIES_BYTES_MAX, encodeBatch } from '../../../src/wire/log-batch.ts'
import { StubBackend } from '../../storage/stub-backend.ts'
import { coordinator, provider } from '../../wire/log-examples.ts'
import { gather, headsOf, note, notes, sizeOf, stage, stands } from './stage.ts'

const shown = { publish: true }
const hidden = { publish: false }

/** While it writes, others come. */
class SlowBackend extends StubBackend {
  override async write(rows: readonly Row[], sync = false): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 1))
    await super.write(rows, sync)
  }
}

/** A store with a table of another room. */
async function withRoom(backend = new StubBackend()) {
  const peer = await stage({ backend })
  const table = peer.store.table('room', { key: textKey, value: bytesValue })
  const rows = (key: string) => peer.store.batch().put(table, key, Uint8Array.of(1))
  backend.writes.length = 0
  return { ...peer, backend, table, rows }
}

describe('an append', () => {
  it('is on the disk with its head and the rows of others, in one write', async () => {
    const { own, feeds, backend, rows, table } = await withRoom()
    const places = await own.append([note(1), note(2)], { ...shown, rows: rows('a') })
    expect(places).toEqual([
      { feed: own.feed, index: 0 },
      { feed: own.feed, index: 1 },
    ])
    expect(backend.writes).toHaveLength(1)
    expect(backend.writes[0]?.sync).toBe(true)
    expect(await table.get('a')).toBeDefined()
    expect(sizeOf(await feeds.head(own.feed))).toBe(2)
    const proof = await feeds.prove({ feed: own.feed, index: 1 })
    expect(proof && stands(note(2), 1, proof)).toBe(true)
  })

  it('is taken also when others never stop coming', async () => {
    const { own, backend } = await withRoom(new SlowBackend())
    const writer = async (first: number) => {
      for (let n = 0; n < 40; n++) {
        await own.append([note(first + n)], shown)
        // Not in step: while some are written, others come one by one.
        await new Promise((resolve) => setTimeout(resolve, (first / 100 + n) % 4))
      }
    }
    await Promise.all(Array.from({ length: 50 }, (_, at) => writer(100 * at)))
    // No write for nothing: each takes all that waits.
    expect(backend.writes.every(({ rows }) => rows > 0)).toBe(true)
  })

  it('waits for the fsync, and so does its head; what comes meanwhile shares the next', async () => {
    const peer = await withRoom()
    const { own, feeds, backend } = peer
    const batches = headsOf(peer)
    backend.held = true
    const order: number[] = []
    const first = own.append([note(0)], shown).then(() => order.push(0))
    while (backend.writes.length === 0) await Promise.resolve()
    const more = [1, 2, 3].map((n) => own.append([note(n)], shown).then(() => order.push(n)))
    await Promise.resolve()
    expect([order, batches, backend.writes.length]).toEqual([[], [], 1])
    expect(await feeds.head(own.feed)).toBeUndefined()
    backend.release()
    await Promise.all([first, ...more])
    expect(order).toEqual([0, 1, 2, 3])
    expect(backend.writes).toHaveLength(2)
    expect(batches.map(({ first: at, entries }) => [at, entries.length])).toEqual([
      [0, 1],
      [1, 3],
    ])
  })

  it('has a head for every 48 KiB of entries, each one message, in the same fsync', async () => {
    const peer = await withRoom()
    const batches = headsOf(peer)
    const entries = Array.from({ length: 10 }, (_, n) => note(n, 12_000))
    await peer.own.append(entries, shown)
    expect(peer.backend.writes).toHaveLength(1)
    expect(batches.map(({ entries: under }) => under.length)).toEqual([4, 4, 2])
    const follower = await stage({ who: coordinator })
    for (const batch of batches) {
      const bytes = batch.entries.reduce((sum, entry) => sum + entry.length, 0)
      expect(bytes).toBeLessThanOrEqual(BATCH_ENTRIES_BYTES_MAX)
      encodeBatch(batch)
      await follower.intake.ingest(batch)
    }
    expect(await follower.feeds.head(peer.own.feed)).toEqual(await peer.feeds.head(peer.own.feed))
  })

  it('that nobody may see goes into another log, of which nothing is shown', async () => {
    const peer = await withRoom()
    const { own, feeds } = peer
    const batches = headsOf(peer)
    const told: unknown[] = []
    feeds.onEntries((arrived) => told.push(arrived))
    const [place] = await own.append([note(1)], hidden)
    const [open] = await own.append([note(2)], shown)
    if (place === undefined || open === undefined) throw new Error('no place')
    expect(place.feed).not.toEqual(own.feed)
    expect(await feeds.head(place.feed)).toBeUndefined()
    expect(await feeds.prove(place)).toBeUndefined()
    expect(await feeds.batch(place.feed, { from: 0 })).toBeUndefined()
    expect(await feeds.find('entry', note(1).cid.digest)).toEqual([])
    const mine = await feeds.find('entry', note(1).cid.digest, { withPrivate: true })
    expect(mine).toEqual([place])
    expect((await feeds.recent({ limit: 9 })).map((key) => key.place)).toEqual([open])
    expect((await gather(feeds.feeds())).map(({ feed }) => feed)).toEqual([own.feed])
    expect([batches.length, told.length]).toEqual([1, 1])
  })

  it('of both kinds is one commit', async () => {
    const { own, backend } = await withRoom()
    await Promise.all([own.append([note(1)], hidden), own.append([note(2)], shown)])
    expect(backend.writes).toHaveLength(1)
  })

  it('is refused when it is too large, when too much waits, and after the stop', async () => {
    const backend = new StubBackend()
    const own = { waitingMax: 3, waitingBytesMax: 5000, entriesMax: 4, appendBytesMax: 4000 }
    const peer = await stage({ backend, own })
    const limit = { code: 'storage_limit' }
    await expect(peer.own.append(notes(5), shown)).rejects.toMatchObject(limit)
    await expect(peer.own.append([note(1, 4000)], shown)).rejects.toMatchObject(limit)
    backend.held = true
    backend.writes.length = 0
    const underWay = peer.own.append([note(0)], shown)
    while (backend.writes.length === 0) await Promise.resolve()
    const busy = { code: 'overloaded' }
    const waiting = [note(1, 2000), note(2, 2000)].map((entry) => peer.own.append([entry], shown))
    await expect(peer.own.append([note(3, 2000)], shown)).rejects.toMatchObject(busy)
    waiting.push(peer.own.append([note(3)], shown))
    await expect(peer.own.append([note(4)], shown)).rejects.toMatchObject(busy)
    backend.release()
    await Promise.all([underWay, ...waiting])
    const last = peer.own.append([note(5)], shown)
    await peer.own.stop()
    expect(await last).toMatchObject([{ index: 4 }])
    const closed = { code: 'storage_closed' }
    await expect(peer.own.append([note(6)], shown)).rejects.toMatchObject(closed)
  })

  it('that the disk refuses has not happened, nor do later ones', async () => {
    const peer = await withRoom()
    const { own, feeds, backend, rows, table } = peer
    const batches = headsOf(peer)
    await own.append([note(0)], shown)
    backend.failNext = { error: new Error('EIO'), rowsWritten: false }
    const failed = { code: 'storage_failed' }
    await expect(own.append([note(1)], { ...shown, rows: rows('a') })).rejects.toMatchObject(failed)
    await expect(own.append([note(2)], shown)).rejects.toMatchObject(failed)
    expect(sizeOf(await feeds.head(own.feed))).toBe(1)
    expect(batches).toHaveLength(1)
    expect(await table.get('a')).toBeUndefined()
    await peer.store.close()
    const again = await stage({ backend })
    expect(await again.own.append([note(3)], shown)).toMatchObject([{ index: 1 }])
  })
})

describe('after a restart', () => {
  /** A peer that wrote `before` entries, as it is after a restart. */
  async function restarted(before: number, backend = new MemoryBackend()) {
    const first = await stage({ backend })
    if (before > 0) await first.own.append(notes(before), { ...shown })
    await first.store.close()
    return stage({ backend, seed: 2 })
  }

  it('the log goes on where it was', async () => {
    const { own, feeds } = await restarted(12)
    await own.confirm([])
    expect(await own.append([note(12)], shown)).toMatchObject([{ index: 12 }])
    const proof = await feeds.prove({ feed: own.feed, index: 5 })
    expect(proof && stands(note(5), 5, proof)).toBe(true)
  })

  it('no head is shown until a peer has told what it knows', async () => {
    const peer = await restarted(3)
    const { own, feeds } = peer
    const batches = headsOf(peer)
    await own.append([note(3)], shown)
    expect(own.isHeld).toBe(true)
    expect(await feeds.head(own.feed)).toBeUndefined()
    expect(await feeds.prove({ feed: own.feed, index: 0 })).toBeUndefined()
    expect(await gather(feeds.feeds())).toEqual([])
    expect(await feeds.find('entry', note(3).cid.digest)).toHaveLength(1)
    expect(batches).toEqual([])
    await own.confirm([])
    expect(sizeOf(await feeds.head(own.feed))).toBe(4)
    expect(batches).toMatchObject([{ first: 4, entries: [] }])
    await own.append([note(4)], shown)
    expect(batches).toHaveLength(2)
  })

  it('with another key, it begins a log, and shows nothing that was kept to itself', async () => {
    const backend = new MemoryBackend()
    const first = await stage({ backend })
    await first.own.append(notes(3), { ...shown })
    await first.own.append(notes(2, 3), { publish: false })
    await first.store.close()
    const { own, feeds } = await stage({ backend, who: coordinator, seed: 2 })
    expect(own.isHeld).toBe(false)
    await own.append([note(9)], shown)
    const authors = (await gather(feeds.feeds())).map(({ feed }) => feed.author)
    expect(authors).toHaveLength(2)
    expect(authors).toEqual(expect.arrayContaining([provider.publicKey, coordinator.publicKey]))
    expect(await feeds.find('entry', note(3).cid.digest)).toEqual([])
  })

  it('a log that has just begun needs no telling', async () => {
    const { own, feeds } = await restarted(0)
    await own.append([note(0)], shown)
    expect(sizeOf(await feeds.head(own.feed))).toBe(1)
  })

  it('a head of another peer, of another epoch, or forged, tells nothing', async () => {
    const { own } = await restarted(3)
    const other = await stage({ who: coordinator })
    await other.own.append([note(1)], shown)
    const head = await other.feeds.head(other.own.feed)
    if (head === undefined) throw new Error('no head')
    const forged = { ...head, signature: new Uint8Array(64).fill(1) }
    await expect(own.confirm([forged])).rejects.toMatchObject({ code: 'bad_signature' })
    expect(own.isHeld).toBe(true)
    await own.confirm([head])
    expect(own.isHeld).toBe(false)
  })
})

/** Counts what is read. */
class CountingBackend extends MemoryBackend {
  rows = 0
  ranges = 0

  override get(key: Uint8Array) {
    this.rows += 1
    return super.get(key)
  }

  override getMany(keys: Uint8Array[]) {
    this.rows += keys.length
    return super.getMany(keys)
  }

  override range(range: Parameters<MemoryBackend['range']>[0]) {
    this.ranges += 1
    return super.range(range)
  }
}

it('a start reads as little of a long log as of a short one, and scans no log', async () => {
  for (const count of [3, 3000]) {
    const backend = new CountingBackend()
    const first = await stage({ backend })
    for (let n = 0; n < count; n += 10) await first.own.append(notes(10, n), shown)
    await first.store.close()
    backend.rows = 0
    backend.ranges = 0
    const { own } = await stage({ backend })
    expect(own.feed).toEqual(first.own.feed)
    // Which logs were ever written to in this folder.
    expect(backend.ranges).toBe(1)
    expect(backend.rows).toBeLessThan(13)
  }
})

describe('the own log, pruned', () => {
  it('keeps what others have not seen, and what it needs to go on', async () => {
    const backend = new MemoryBackend()
    const first = await stage({ backend })
    await first.own.append(notes(16), shown)
    await first.own.append(notes(16, 16), shown)
    await first.store.close()
    const { own, feeds } = await stage({ backend })
    await own.append(notes(16, 32), shown)
    await own.prune(40)
    expect((await gather(feeds.entries(own.feed, 0, 99))).map(({ index }) => index)).toEqual(
      Array.from({ length: 16 }, (_, n) => 32 + n),
    )
    await own.confirm([])
    await own.append([note(48)], shown)
    await own.prune(40)
    const proof = await feeds.prove({ feed: own.feed, index: 40 })
    expect(proof && stands(note(40), 40, proof)).toBe(true)
    expect(await feeds.batch(own.feed, { from: 40, peaks: true })).toMatchObject({ first: 40 })
  })
})
