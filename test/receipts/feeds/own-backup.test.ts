import { describe, expect, it } from 'vitest'
import { MemoryBackend } from '../../../src/storage/memory-backend.ts'
import { readHead } from '../../../src/wire/head.ts'
import { coordinator, provider } from '../../wire/log-examples.ts'
import { gather, headsOf, note, notes, sizeOf, stage } from './stage.ts'

const shown = { publish: true }
const hidden = { publish: false }

describe('a backup that is restored', () => {
  /** A copy of the disk as it was after `kept` entries, and what others heard of the peer since. */
  async function restored({ kept, later }: { kept: number; later: number }) {
    const backend = new MemoryBackend()
    const original = await stage({ backend })
    await original.own.append(notes(kept), shown)
    const copy = await copied(backend)
    const follower = await stage({ who: coordinator })
    if (later > 0) await original.own.append(notes(later, 100), shown)
    const batch = await original.feeds.batch(original.own.feed, { from: 0 })
    if (batch === undefined) throw new Error('no batch')
    await follower.intake.ingest(batch)
    const known = (await gather(follower.feeds.feeds())).map(({ head }) => head)
    return { copy, follower, known, old: original.own.feed }
  }

  it('goes on when it lost nothing', async () => {
    const { copy, follower, known, old } = await restored({ kept: 5, later: 0 })
    const peer = await stage({ backend: copy, seed: 2 })
    await peer.own.append([note(500)], shown)
    await peer.own.confirm(known)
    expect(peer.own.feed).toEqual(old)
    const batch = await peer.feeds.batch(old, { from: 5 })
    expect(batch && (await follower.intake.ingest(batch))).toMatchObject({ added: 1, size: 6 })
  })

  it('goes on in a new epoch when others know more, and never looks like two histories', async () => {
    const { copy, follower, known, old } = await restored({ kept: 5, later: 3 })
    const peer = await stage({ backend: copy, seed: 2 })
    const batches = headsOf(peer)
    const since = Array.from({ length: 9 }, (_, n) => note(500 + n, 9000))
    await peer.own.append(since, shown)
    await peer.own.append([note(600)], hidden)
    await peer.own.confirm(known)
    expect(peer.own.isHeld).toBe(false)
    expect(peer.own.feed.epoch).not.toEqual(old.epoch)
    expect(batches).toHaveLength(1)
    const signed = await peer.feeds.head(peer.own.feed)
    const head = signed && readHead(signed)
    expect(head).toMatchObject({ size: 9, after: { epoch: old.epoch, size: 8 } })
    // Each entry keeps its CID, and is there once.
    for (const [index, entry] of since.entries()) {
      const places = await peer.feeds.find('entry', entry.cid.digest)
      expect(places).toEqual([{ feed: peer.own.feed, index }])
    }
    for (let from = 0; from < 9; ) {
      const batch = await peer.feeds.batch(peer.own.feed, { from })
      from = batch ? (await follower.intake.ingest(batch)).size : 9
    }
    expect(await follower.intake.bars.has(provider.publicKey)).toBe(false)
    // What it lost comes back from others, as anybody's log does.
    expect(sizeOf(await peer.feeds.head(old))).toBe(5)
    const lost = await follower.feeds.batch(old, { from: 5 })
    expect(lost && (await peer.intake.ingest(lost))).toMatchObject({ added: 3, size: 8 })
    expect(await peer.own.append([note(700)], shown)).toMatchObject([{ index: 9 }])
  })

  it('goes on in a new epoch when others know other entries at the same places', async () => {
    const { copy, known, old } = await restored({ kept: 5, later: 3 })
    const peer = await stage({ backend: copy, seed: 2 })
    await peer.own.append(notes(7, 500), shown)
    await peer.own.confirm(known)
    expect(peer.own.feed.epoch).not.toEqual(old.epoch)
    expect(sizeOf(await peer.feeds.head(peer.own.feed))).toBe(7)
  })

  it('and a move that is interrupted at any write is finished at the next start', async () => {
    const { copy, known } = await restored({ kept: 5, later: 3 })
    const since = Array.from({ length: 9 }, (_, n) => note(500 + n, 12_000))
    for (let writes = 0; ; writes++) {
      const backend = await cut(copy, writes)
      const peer = await stage({ backend, seed: 3 + writes })
      // The append is the first write; the move begins with the second.
      const outcome = await peer.own
        .append(since, shown)
        .then(() => peer.own.confirm(known))
        .then(
          () => 'done',
          () => 'cut',
        )
      backend.writesLeft = Number.POSITIVE_INFINITY
      const again = await stage({ backend, seed: 99 })
      await again.own.confirm(known)
      const count = writes === 0 ? 0 : 9
      const places = await Promise.all(
        since.map((entry) => again.feeds.find('entry', entry.cid.digest)),
      )
      expect(places.flat()).toHaveLength(count)
      if (count > 0) {
        expect(places).toEqual(since.map((_, index) => [{ feed: again.own.feed, index }]))
        expect(sizeOf(await again.feeds.head(again.own.feed))).toBe(9)
      }
      if (outcome === 'done') {
        expect(writes).toBeGreaterThan(4)
        return
      }
    }
  })
})

/** The same rows in another place. */
async function copied<B extends MemoryBackend>(from: MemoryBackend, to?: B): Promise<B> {
  const copy = to ?? (new MemoryBackend() as B)
  const all = { gte: new Uint8Array(), lt: Uint8Array.of(255), reverse: false, limit: 1e9 }
  for await (const [key, value] of from.range(all)) await copy.write([{ type: 'put', key, value }])
  return copy
}

/** A disk that fails after so many writes. */
class CutBackend extends MemoryBackend {
  writesLeft = Number.POSITIVE_INFINITY

  override async write(rows: Parameters<MemoryBackend['write']>[0]): Promise<void> {
    if (this.writesLeft <= 0) throw new Error('the power is gone')
    this.writesLeft -= 1
    await super.write(rows)
  }
}

async function cut(from: MemoryBackend, writes: number): Promise<CutBackend> {
  const backend = await copied(from, new CutBackend())
  backend.writesLeft = writes
  return backend
}
