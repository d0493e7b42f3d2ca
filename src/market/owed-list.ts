import type { Store } from '../storage/store.ts'
import type { Range } from '../storage/table.ts'
import { owedTo } from './owed.ts'
import { type Due, duesOf } from './serve/dues.ts'

/** What this peer and another owe each other, in micro-credits. */
export interface PeerBalance {
  peerId: string
  /** For the other's work, as this peer's log says. */
  owed: number
  /** For this peer's. */
  due: Due
}

const NOTHING_DUE: Due = { worked: 0, acknowledged: 0 }

/** Everybody with whom there is something to settle, in order of the peer ids. */
export async function* owedBetween(
  store: Pick<Store, 'table'>,
  range: Range<string>,
): AsyncGenerator<PeerBalance> {
  const owed = owedTo(store, range)[Symbol.asyncIterator]()
  const dues = duesOf(store, range)[Symbol.asyncIterator]()
  try {
    let [left, right] = await Promise.all([owed.next(), dues.next()])
    for (;;) {
      const [ours, theirs] = [left.value, right.value]
      if (ours === undefined && theirs === undefined) return
      const first = firstOf(ours?.[0], theirs?.[0], range.reverse === true)
      const isOurs = ours?.[0] === first
      const isTheirs = theirs?.[0] === first
      yield {
        peerId: first,
        owed: isOurs && ours !== undefined ? ours[1] : 0,
        due: isTheirs && theirs !== undefined ? theirs[1] : NOTHING_DUE,
      }
      if (isOurs) left = await owed.next()
      if (isTheirs) right = await dues.next()
    }
  } finally {
    await Promise.all([owed.return?.(), dues.return?.()])
  }
}

/** Peer ids are plain letters and digits: as the store orders them. */
function firstOf(a: string | undefined, b: string | undefined, isReverse: boolean): string {
  if (a === undefined || b === undefined) return a ?? b ?? ''
  return a < b === isReverse ? b : a
}
