import type { Clock } from '../../base/clock.ts'
import type { Random } from '../../base/random.ts'
import type { Store } from '../../storage/store.ts'
import { decodeEntry, type SealedEntry } from '../../wire/entry.ts'
import type { Signed } from '../../wire/generate.ts'
import { EPOCH_BYTES } from '../../wire/head.ts'
import { BATCH_ENTRIES_BYTES_MAX } from '../../wire/log-batch.ts'
import { delEntries } from './feed-rows.ts'
import type { EntryAt, FeedStore } from './feed-store.ts'
import { keyOf, newEpoch, type OwnEpoch, type OwnPen, putOwn, shownSize } from './own-epoch.ts'
import type { OwnRow } from './rows.ts'

// A peer whose disk is a copy from before must not go on where the copy ends: others know other
// entries there. What it appended since moves into a new epoch. Each step is one commit, and says in
// the row of the new epoch how far it came.

export interface MoveParts {
  feeds: FeedStore
  store: Store
  random: Random
  clock: Clock
  pen: OwnPen
}

/** From the epoch of which others know the head `told`: its entries that nobody saw. */
export async function beginMove(parts: MoveParts, old: OwnEpoch, told: Signed): Promise<OwnEpoch> {
  const { feeds, store, random } = parts
  const own: OwnRow = {
    epoch: random.bytes(EPOCH_BYTES),
    after: told,
    moving: { epoch: old.feed.epoch, from: shownSize(old) },
  }
  const { head: _unseen, ...kept } = old.row
  const row = { ...kept, ...(old.own.shown && { head: old.own.shown }), target: told }
  const rows = store
    .batch()
    .put(feeds.tables.own, keyOf(old), own)
    .put(feeds.tables.feeds, old.feed, row)
  await store.commit(rows)
  return newEpoch(old.name, old.feed.author, own)
}

/** One step. Undefined once all is moved. */
export async function moveOn(parts: MoveParts, epoch: OwnEpoch): Promise<OwnEpoch | undefined> {
  const { feeds, store, pen, clock } = parts
  const { moving, ...own } = epoch.own
  if (moving === undefined) return undefined
  const feed = { ...epoch.feed, epoch: moving.epoch }
  feeds.setOwn(feed, 'held')
  const row = (await feeds.tables.feeds.get(feed)) ?? { size: 0, start: 0, bytes: 0 }
  const entries = await someEntries(feeds.entries(feed, moving.from, row.size))
  const rows = store.batch()
  if (entries.length === 0) {
    const size = moving.from - epoch.row.size
    rows.put(feeds.tables.feeds, feed, { ...row, size })
    rows.put(feeds.tables.own, keyOf(epoch), own)
    await store.commit(rows)
    feeds.giveUp(feed, row.head)
    return { ...epoch, own }
  }
  const moved = entries.map(({ sealed }) => sealed)
  const from = moving.from + entries.length
  const ahead = { ...epoch, own: { ...own, moving: { ...moving, from } } }
  const put = putOwn(rows, pen, { epoch: ahead, entries: moved, at: clock.now(), isShown: false })
  await delEntries(rows, feeds.tables, feed, entries)
  const bytes = moved.reduce((left, entry) => left - entry.bytes.length, row.bytes)
  rows.put(feeds.tables.feeds, feed, { ...row, bytes })
  await store.commit(rows)
  return put.epoch
}

/** As many as one head covers. */
async function someEntries(
  all: AsyncIterable<EntryAt>,
): Promise<(EntryAt & { sealed: SealedEntry })[]> {
  const some: (EntryAt & { sealed: SealedEntry })[] = []
  let room = BATCH_ENTRIES_BYTES_MAX
  for await (const entry of all) {
    room -= entry.bytes.length
    if (room < 0) break
    some.push({ ...entry, sealed: decodeEntry(entry.bytes) })
  }
  return some
}
