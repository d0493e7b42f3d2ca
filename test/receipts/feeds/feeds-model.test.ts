import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MemoryBackend } from '../../../src/storage/memory-backend.ts'
import type { SealedEntry } from '../../../src/wire/entry.ts'
import { coordinator } from '../../wire/log-examples.ts'
import { rootOf } from '../../wire/naive-tree.ts'
import { gather, note, type Stage, sizeOf, stage, stands } from './stage.ts'

// Two peers. The one writes its logs, the other follows what is shown of them; both restart and prune
// at any time. What they show is held against lists.

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ append: fc.array(fc.nat(3), { minLength: 1, maxLength: 4 }) }),
  },
  { weight: 1, arbitrary: fc.record({ hide: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 4, arbitrary: fc.record({ follow: fc.integer({ min: 1, max: 40 }) }) },
  { weight: 1, arbitrary: fc.record({ prune: fc.nat(60), who: fc.constantFrom('own', 'other') }) },
  { weight: 1, arbitrary: fc.record({ restart: fc.constantFrom('own', 'other') }) },
)

/** What should be true of the two peers. */
class Model {
  readonly backends = { own: new MemoryBackend(), other: new MemoryBackend() }
  readonly peers = new Map<string, Stage>()
  readonly written: SealedEntry[] = []
  readonly hidden: SealedEntry[] = []
  readonly start = { own: 0, other: 0 }
  size = 0
  starts = 0

  async open(who: 'own' | 'other'): Promise<void> {
    await this.peers.get(who)?.store.close()
    const backend = this.backends[who]
    // No two starts draw the same epochs.
    const seed = ++this.starts
    const peer = await stage(
      who === 'own'
        ? { backend, seed }
        : { who: coordinator, backend, seed, intake: { skipsGaps: true } },
    )
    if (who === 'own') await peer.own.confirm([])
    this.peers.set(who, peer)
  }

  peer(who: 'own' | 'other'): Stage {
    const peer = this.peers.get(who)
    if (peer === undefined) throw new Error('not open')
    return peer
  }

  next(): SealedEntry {
    return note(this.written.length + this.hidden.length)
  }

  /** Commits that each take some of these entries at the same time. */
  async append(sizes: readonly number[]): Promise<void> {
    const { own } = this.peer('own')
    const appends = sizes.map((size) => {
      const entries = Array.from({ length: size + 1 }, () => {
        const entry = this.next()
        this.written.push(entry)
        return entry
      })
      return own.append(entries, { publish: true })
    })
    const places = (await Promise.all(appends)).flat()
    const first = this.written.length - places.length
    expect(places.map(({ index }) => index)).toEqual(places.map((_, at) => first + at))
  }

  async hide(count: number): Promise<void> {
    const entries = Array.from({ length: count }, () => {
      const entry = this.next()
      this.hidden.push(entry)
      return entry
    })
    await this.peer('own').own.append(entries, { publish: false })
  }

  /** Takes some entries from where it is, in one part or with more to come. */
  async follow(count: number): Promise<void> {
    const [own, other] = [this.peer('own'), this.peer('other')]
    const { feed } = own.own
    if (this.size >= this.written.length) return
    if (this.size < this.start.own) {
      const asked = own.feeds.batch(feed, { from: this.size })
      await expect(asked).rejects.toMatchObject({ code: 'log_pruned' })
      // It goes on behind the gap.
      if (this.start.own >= this.written.length) return
      this.start.other = this.start.own
      this.size = this.start.own
    }
    const [from, to] = [this.size, this.size + count]
    const peaks = from > 0 && from === this.start.other
    const batch = await own.feeds.batch(feed, { from, to, peaks })
    if (batch === undefined) throw new Error('nothing to follow')
    this.size = Math.min(to, this.written.length)
    expect(await other.intake.ingest(batch)).toMatchObject({ size: this.size })
  }

  async prune(who: 'own' | 'other', before: number): Promise<void> {
    const { own, intake } = this.peer(who)
    const size = who === 'own' ? this.written.length : this.size
    if (who === 'own') await own.prune(before)
    else await intake.prune(this.peer('own').own.feed, before)
    this.start[who] = Math.max(this.start[who], Math.min(before, size))
  }

  async check(who: 'own' | 'other', size: number): Promise<void> {
    const { feeds } = this.peer(who)
    const { feed } = this.peer('own').own
    const here = this.written.slice(this.start[who], size)
    const found = await gather(feeds.entries(feed, 0, 1e9))
    expect(found.map(({ index, bytes }) => [index, bytes])).toEqual(
      here.map(({ bytes }, at) => [this.start[who] + at, bytes]),
    )
    if (size > 0) {
      const cids = this.written.slice(0, size).map(({ cid }) => cid.bytes)
      expect(await feeds.rootAt(feed, size)).toEqual(rootOf(cids))
    }
    const head = await feeds.head(feed)
    const covered = sizeOf(head) ?? 0
    for (const index of [this.start[who], covered - 1]) {
      if (index < this.start[who] || index >= covered) continue
      const proof = await feeds.prove({ feed, index })
      const entry = this.written[index] ?? note(0)
      expect(proof?.head).toEqual(head)
      expect(proof && stands(entry, index, proof)).toBe(true)
      expect(await feeds.find('entry', entry.cid.digest)).toEqual([{ feed, index }])
    }
    for (const entry of [...this.hidden, ...this.written.slice(0, this.start[who])]) {
      expect(await feeds.find('entry', entry.cid.digest)).toEqual([])
    }
    expect(await feeds.recent({ limit: 1e9 })).toHaveLength(here.length)
  }
}

describe('feeds', () => {
  it('any order of appends, following, pruning and restarts gives what lists give', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const model = new Model()
        await model.open('own')
        await model.open('other')
        for (const action of steps) {
          if ('append' in action) await model.append(action.append)
          else if ('hide' in action) await model.hide(action.hide)
          else if ('follow' in action) await model.follow(action.follow)
          else if ('prune' in action) await model.prune(action.who, action.prune)
          else await model.open(action.restart)
        }
        await model.check('own', model.written.length)
        await model.check('other', model.size)
      }),
    )
  })
})
