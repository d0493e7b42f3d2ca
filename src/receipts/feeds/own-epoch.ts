import type { Random } from '../../base/random.ts'
import type { Batch as Rows } from '../../storage/batch.ts'
import type { SealedEntry } from '../../wire/entry.ts'
import { EPOCH_BYTES, readHead, signHead } from '../../wire/head.ts'
import { BATCH_ENTRIES_BYTES_MAX, BATCH_ENTRIES_MAX, type Batch } from '../../wire/log-batch.ts'
import { leafHash } from '../../wire/merkle.ts'
import { sameBytes } from '../../wire/octets.ts'
import type { Signing, Verify } from '../../wire/signed.ts'
import type { FeedId } from './feed-id.ts'
import { type Arrival, putEntries, putTiles } from './feed-rows.ts'
import type { FeedStore } from './feed-store.ts'
import { findingsOf } from './findings.ts'
import type { OwnKey, OwnName } from './keys.ts'
import type { FeedRow, OwnRow } from './rows.ts'
import type { FeedTables } from './tables.ts'
import { Growth } from './tiles.ts'

/** One of them, as it is on the disk. Appending gives a new one, which holds once it is there too. */
export interface OwnEpoch {
  name: OwnName
  feed: FeedId
  own: OwnRow
  row: FeedRow
  growth: Growth
}

/** How an own log is written. */
export interface OwnPen {
  tables: FeedTables
  signing: Signing
  verify: Verify
}

export const newEpoch = (name: OwnName, author: Uint8Array, own: OwnRow): OwnEpoch => ({
  name,
  feed: { author, epoch: own.epoch },
  own,
  row: { size: 0, start: 0, bytes: 0 },
  growth: Growth.from({ size: 0, peaks: [] }),
})

/** As it is on the disk, or a new one. */
export async function loadEpoch(
  feeds: FeedStore,
  random: Random,
  { name, author }: { name: OwnName; author: Uint8Array },
): Promise<OwnEpoch & { isNew: boolean }> {
  const known = await feeds.tables.own.get({ author, name })
  const own = known ?? { epoch: random.bytes(EPOCH_BYTES) }
  const fresh = newEpoch(name, author, own)
  const row = (await feeds.tables.feeds.get(fresh.feed)) ?? fresh.row
  const growth = await feeds.growth(fresh.feed, row)
  return { ...fresh, row, growth, isNew: known === undefined }
}

/** By which its row is kept. */
export const keyOf = ({ feed: { author }, name }: OwnEpoch): OwnKey => ({ author, name })

/** How many of its entries others may have seen. */
export const shownSize = ({ own }: OwnEpoch): number =>
  own.shown === undefined ? 0 : readHead(own.shown).size

/**
 * Puts the rows of these entries, of their tree, and of as many heads as they take: an entry is
 * covered by a head together with no more than what one message holds. The last head is kept.
 */
export function putOwn(
  rows: Rows,
  { tables, signing, verify }: OwnPen,
  {
    epoch,
    entries,
    at,
    isShown,
  }: { epoch: OwnEpoch; entries: readonly SealedEntry[]; at: number; isShown: boolean },
): { epoch: OwnEpoch; batches: Batch[]; arrivals: Arrival[] } {
  const { feed, own } = epoch
  const growth = epoch.growth.copy()
  // What this peer signed itself need not be verified.
  const trusting: Verify = (key, ...rest) => sameBytes(key, feed.author) || verify(key, ...rest)
  const arrivals: Arrival[] = []
  const batches = perHead(entries).map((part): Batch => {
    const first = growth.size
    const those = part.map((sealed) => ({
      sealed,
      findings: findingsOf(sealed, feed.author, trusting),
    }))
    arrivals.push(...those)
    const listed = epoch.name === 'public'
    putEntries(rows, tables, { feed, first, arrived: at, listed }, those)
    for (const { cid } of part) growth.append(leafHash(cid.bytes))
    const { size } = growth
    const after = own.after && placeOf(readHead(own.after))
    const said = { ...feed, size, root: growth.root(), at, ...(after && { after }) }
    const head = signHead(said, signing)
    return { head, first, entries: part.map(({ bytes }) => bytes), path: [], peaks: [] }
  })
  const head = batches.at(-1)?.head ?? epoch.row.head
  const bytes = entries.reduce((sum, entry) => sum + entry.bytes.length, epoch.row.bytes)
  const next = {
    ...epoch,
    own: { ...own, ...(isShown && head && { shown: head }) },
    row: { ...epoch.row, size: growth.size, bytes, ...(head && { head }) },
    growth,
  }
  putTiles(rows, tables, feed, growth)
  rows.put(tables.feeds, feed, next.row)
  rows.put(tables.own, keyOf(epoch), next.own)
  return { epoch: next, batches, arrivals }
}

const placeOf = ({ epoch, size, root }: { epoch: Uint8Array; size: number; root: Uint8Array }) => ({
  epoch,
  size,
  root,
})

/** In their order, in parts that one head may cover. */
function perHead(entries: readonly SealedEntry[]): SealedEntry[][] {
  const parts: SealedEntry[][] = []
  let room = 0
  for (const entry of entries) {
    const part = parts.at(-1)
    room -= entry.bytes.length
    if (part !== undefined && room >= 0 && part.length < BATCH_ENTRIES_MAX) part.push(entry)
    else {
      parts.push([entry])
      room = BATCH_ENTRIES_BYTES_MAX - entry.bytes.length
    }
  }
  return parts
}
