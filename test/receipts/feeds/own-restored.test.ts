import { describe, expect, it } from 'vitest'
import { markRestored } from '../../../src/receipts/feeds/own-restored.ts'
import { MemoryBackend } from '../../../src/storage/memory-backend.ts'
import { readHead } from '../../../src/wire/head.ts'
import { coordinator, provider } from '../../wire/log-examples.ts'
import { gather, headsOf, note, notes, type Stage, sizeOf, stage } from './stage.ts'

const shown = { publish: true }

/** The same rows on another disk, marked as `restore` marks them. */
async function restored(from: MemoryBackend, to = new MemoryBackend()): Promise<MemoryBackend> {
  const all = { gte: new Uint8Array(), lt: Uint8Array.of(255), reverse: false, limit: 1e9 }
  for await (const [key, value] of from.range(all)) await to.write([{ type: 'put', key, value }])
  const { store } = await stage({ backend: to, who: coordinator })
  await markRestored(store, 1)
  return to
}

const epochOf = ({ own }: Stage) => Buffer.from(own.feed.epoch).toString('hex')

describe('a peer that starts from a restored backup', () => {
  it('signs in a new epoch, although nobody tells it of a newer head', async () => {
    const backend = new MemoryBackend()
    const original = await stage({ backend })
    await original.own.append(notes(5), shown)
    const disk = await restored(backend)
    await original.own.append(notes(3, 100), shown)
    const follower = await stage({ who: coordinator })
    const lost = await original.feeds.batch(original.own.feed, { from: 0 })
    if (lost === undefined) throw new Error('no batch')
    await follower.intake.ingest(lost)

    const peer = await stage({ backend: disk, seed: 2 })
    const batches = headsOf(peer)
    expect(peer.own.isHeld).toBe(false)
    expect(epochOf(peer)).not.toBe(epochOf(original))
    await peer.own.append([note(500)], shown)
    expect(batches).toHaveLength(1)
    const head = batches[0] && readHead(batches[0].head)
    expect(head).toMatchObject({ size: 1, after: { epoch: original.own.feed.epoch, size: 5 } })
    if (batches[0] === undefined) throw new Error('no head')
    await follower.intake.ingest(batches[0])
    expect(await follower.intake.bars.has(provider.publicKey)).toBe(false)
    // Of the old epoch it has what was in the backup, and takes the rest from whoever has it.
    expect(sizeOf(await peer.feeds.head(original.own.feed))).toBe(5)
    const rest = await follower.feeds.batch(original.own.feed, { from: 5 })
    expect(rest && (await peer.intake.ingest(rest))).toMatchObject({ added: 3, size: 8 })

    // The mark is used up: at the next start the epoch is the same.
    const again = await stage({ backend: disk, seed: 3 })
    expect(epochOf(again)).toBe(epochOf(peer))
    expect(again.own.isHeld).toBe(true)
  })

  it('takes with it what nobody was shown, and each restore has an epoch of its own', async () => {
    const backend = new MemoryBackend()
    const first = await stage({ backend })
    await first.own.append(notes(2), shown)
    // After a restart it holds its heads back until somebody tells what he knows.
    const held = await stage({ backend, seed: 7 })
    expect(held.own.isHeld).toBe(true)
    const unseen = notes(6, 50)
    await held.own.append(unseen, shown)
    const peers = await Promise.all(
      [11, 12].map(async (seed) => stage({ backend: await restored(backend), seed })),
    )
    expect(new Set([held, ...peers].map(epochOf)).size).toBe(3)
    for (const { own, feeds } of peers) {
      expect(sizeOf(await feeds.head(own.feed))).toBe(6)
      expect(sizeOf(await feeds.head(first.own.feed))).toBe(2)
      for (const [index, { cid }] of unseen.entries()) {
        expect(await feeds.find('entry', cid.digest)).toEqual([{ feed: own.feed, index }])
      }
    }
  })

  it('has no log to go on from where the backup had none', async () => {
    const disk = await restored(new MemoryBackend())
    const peer = await stage({ backend: disk, seed: 2 })
    expect(await peer.own.append([note(1)], shown)).toMatchObject([{ index: 0 }])
    expect(await gather(peer.feeds.feeds({ author: provider.publicKey }))).toHaveLength(1)
    const signed = await peer.feeds.head(peer.own.feed)
    expect(signed && 'after' in readHead(signed)).toBe(false)
  })

  it('is right at whatever write its first start is cut off', async () => {
    const backend = new MemoryBackend()
    const first = await stage({ backend })
    await first.own.append(notes(2), shown)
    const held = await stage({ backend, seed: 7 })
    const unseen = Array.from({ length: 9 }, (_, n) => note(50 + n, 12_000))
    await held.own.append(unseen, shown)
    for (let writes = 0; ; writes++) {
      const disk = new CutBackend()
      await restored(backend, disk)
      disk.writesLeft = writes
      const outcome = await stage({ backend: disk, seed: 20 + writes }).then(
        () => 'done',
        () => 'cut',
      )
      disk.writesLeft = Number.POSITIVE_INFINITY
      const peer = await stage({ backend: disk, seed: 99 })
      expect(epochOf(peer)).not.toBe(epochOf(first))
      const places = await Promise.all(
        unseen.map(({ cid }) => peer.feeds.find('entry', cid.digest)),
      )
      expect(places).toEqual(unseen.map((_, index) => [{ feed: peer.own.feed, index }]))
      if (outcome === 'done') {
        expect(writes).toBeGreaterThan(3)
        return
      }
    }
  })
})

/** A disk that fails after so many writes. */
class CutBackend extends MemoryBackend {
  writesLeft = Number.POSITIVE_INFINITY

  override async write(rows: Parameters<MemoryBackend['write']>[0]): Promise<void> {
    if (this.writesLeft <= 0) throw new Error('the machine stopped')
    this.writesLeft -= 1
    await super.write(rows)
  }
}
