import { integerKey, textKey } from '../../storage/codec.ts'
import type { Store } from '../../storage/store.ts'
import { EPOCH_BYTES } from '../../wire/head.ts'
import { keyOf, newEpoch, type OwnEpoch, shownSize } from './own-epoch.ts'
import type { MoveParts } from './own-move.ts'
import type { OwnRow } from './rows.ts'

// Who restores a backup knows that what this peer signed after it is lost, also where nobody else
// does, or nobody who does is to be met: then to go on in the same epoch would be a second history.
// So the folder is marked, and its peer opens a new epoch before it signs anything.

const MARK = 'restored'

const marks = (store: Pick<Store, 'table'>) =>
  store.table('feed-restored', { key: textKey, value: integerKey })

/** Says of the rows in a store that they are a copy from before; at `now`, for people who look. */
export async function markRestored(store: Store, now: number): Promise<void> {
  await store.commit(store.batch().put(marks(store), MARK, now))
}

/** Whether this is the first start from a copy. */
export async function isRestored(store: Pick<Store, 'table'>): Promise<boolean> {
  return (await marks(store).get(MARK)) !== undefined
}

/**
 * The epoch that follows on the one in the copy, and takes over its entries that nobody saw. It and
 * the end of the mark are one commit: a start that was interrupted before goes this way again.
 */
export async function beginAfterCopy(
  { feeds, store, random }: MoveParts,
  old: OwnEpoch,
): Promise<OwnEpoch> {
  const { shown } = old.own
  const from = shownSize(old)
  const own: OwnRow = {
    epoch: random.bytes(EPOCH_BYTES),
    ...(shown && { after: shown }),
    ...(old.row.size > 0 && { moving: { epoch: old.feed.epoch, from } }),
  }
  const { head: _unseen, ...kept } = old.row
  const rows = store.batch().del(marks(store), MARK).put(feeds.tables.own, keyOf(old), own)
  if (old.row.size > 0) {
    rows.put(feeds.tables.feeds, old.feed, { ...kept, ...(shown && { head: shown }) })
  }
  await store.commit(rows)
  return newEpoch(old.name, old.feed.author, own)
}
