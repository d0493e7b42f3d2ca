import { entryCid } from '../../wire/cid.ts'
import type { Equivocation } from '../../wire/equivocation.ts'
import { readHead } from '../../wire/head.ts'
import { type Batch, grow, type OpenBatch, openBatch } from '../../wire/log-batch.ts'
import { malformed } from '../../wire/malformed.ts'
import { peakCount } from '../../wire/merkle.ts'
import { peakNodes } from '../../wire/merkle-proof.ts'
import { sameBytes } from '../../wire/octets.ts'
import type { Verifying } from '../../wire/signed.ts'
import { type FeedId, feedName } from './feed-id.ts'
import type { FeedStore } from './feed-store.ts'
import { logPruned } from './log-errors.ts'

export interface Hunt {
  feed: FeedId
  /** How many entries the other history has. */
  size: number
  /** One entry of the other history, with the peaks of what stands before it. */
  ask(index: number): Promise<Batch>
}

/** Some indices of a log: from `begin`, and before `end`. */
interface Part {
  begin: number
  end: number
}

/**
 * After `log_forked`: looks for an entry that differs in the two histories, and returns the proof.
 * Undefined when all that both have is the same. Each answer halves the part in which it must lie:
 * a log of a million entries takes 21 questions. Throws what a wrong answer deserves.
 */
export async function huntFork(
  { feeds, verifying }: { feeds: FeedStore; verifying: Verifying },
  { feed, size, ask }: Hunt,
): Promise<Equivocation | undefined> {
  const head = await feeds.head(feed)
  if (head === undefined) return undefined
  let part: Part = { begin: 0, end: Math.min(size, readHead(head).size) }
  // Histories that parted differ in all that came since, unless their author takes pains.
  let index = part.end - 1
  while (part.begin < part.end) {
    const other = openOne(await ask(index), { feed, index, verifying })
    const proof = await proofAt(feeds, feed, other)
    if (proof !== undefined) return proof
    part = await differingPart(feeds, feed, other, part)
    index = part.begin + Math.floor((part.end - part.begin) / 2)
  }
  return undefined
}

type Asked = { feed: FeedId; index: number; verifying: Verifying }

/** Throws unless it is this one entry, as its author signed it. */
function openOne(batch: Batch, { feed, index, verifying }: Asked): OpenBatch {
  const open = openBatch(batch, verifying)
  const isAsked = feedName(open.head) === feedName(feed) && open.first === index
  if (!isAsked || open.entries.length !== 1) throw malformed('Batch', 'is not the entry asked for')
  grow(open)
  return open
}

/** That here another entry stands at the same index. */
async function proofAt(
  feeds: FeedStore,
  feed: FeedId,
  { head, signed, first: index, entries, path, peaks }: OpenBatch,
): Promise<Equivocation | undefined> {
  const row = await feeds.entry({ feed, index })
  const [other] = entries
  if (row === undefined || other === undefined) throw logPruned()
  const mine = entryCid(row.bytes)
  if (sameBytes(mine.digest, other.cid.digest)) return undefined
  const proof = await feeds.prove({ feed, index })
  if (proof === undefined) return undefined
  return {
    one: proof.head,
    oneCid: mine.bytes,
    onePath: proof.path,
    other: signed,
    otherCid: other.cid.bytes,
    otherPath: inclusionPath({ index, size: head.size, path, peaks }),
    index,
  }
}

/** The part that must differ, as the entry itself does not. */
async function differingPart(
  feeds: FeedStore,
  feed: FeedId,
  { first: index, peaks }: OpenBatch,
  part: Part,
): Promise<Part> {
  const mine = await feeds.peaksAt(feed, index)
  const at = mine.findIndex((peak, n) => !sameBytes(peak, peaks[n] ?? new Uint8Array()))
  const node = peakNodes(index)[at]
  if (node === undefined) return { begin: index + 1, end: part.end }
  const begin = node.index * 2 ** node.level
  const end = begin + 2 ** node.level
  return { begin: Math.max(part.begin, begin), end: Math.min(part.end, end) }
}

interface OneEntry {
  index: number
  size: number
  /** From the log that ends with this entry to that of `size`. */
  path: readonly Uint8Array[]
  /** Of the log before this entry. */
  peaks: readonly Uint8Array[]
}

/** What leads from the entry to the root: the peaks that it completes, then the rest of the way. */
export function inclusionPath({ index, size, path, peaks }: OneEntry): Uint8Array[] {
  const fromSmallest = peaks.toReversed()
  if (index + 1 === size) return fromSmallest
  // A log that is not one whole subtree begins its path with its last one, which this completes.
  const isWhole = peakCount(index + 1) === 1
  const completed = peakCount(index) + 1 - peakCount(index + 1)
  return [...fromSmallest.slice(0, completed), ...(isWhole ? path : path.slice(1))]
}
