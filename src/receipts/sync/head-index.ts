import type { Service } from '../../base/lifecycle.ts'
import { integerKey } from '../../storage/codec.ts'
import { type Head, readHead } from '../../wire/head.ts'
import { joinBytes, sameBytes } from '../../wire/octets.ts'
import { type PlaceMark, ROOT_MARK_BYTES } from '../../wire/sync.ts'
import { bucketOf, FeedsDigest } from '../../wire/sync-digest.ts'
import type { Bars } from '../feeds/bars.ts'
import { type FeedId, feedBytes, feedOf } from '../feeds/feed-id.ts'
import type { FeedStore } from '../feeds/feed-store.ts'

export interface HeadIndexComponents {
  feeds: FeedStore
  bars: Pick<Bars, 'onNews' | 'onForgotten'>
}

/** What another peer's place says, held against what is here. */
export type Comparison =
  /** Nothing to do. */
  | { type: 'same' }
  /** The other peer has entries from `from` on, up to its own size. */
  | { type: 'missing'; from: number }
  /** It has fewer of them: it will ask, if it wants to. */
  | { type: 'ahead' }
  /** So many entries, and another root: its head may prove that the author signed two histories. */
  | { type: 'differs' }
  /** A log that this peer itself writes to. */
  | { type: 'own' }
  /** Its author is not believed any more: the other peer does not know yet. */
  | { type: 'barred' }

const BUCKETS = 256
const SIZE_BYTES = 8

/**
 * The heads of all logs that may be shown, in memory: some 160 bytes for each. Kept up with every
 * change, so that comparing with another peer reads nothing from the disk. Logs of authors that are
 * barred are not in it: peers that know the same of them have the same digest again.
 */
export class HeadIndex implements Service {
  readonly #feeds: FeedStore
  readonly #bars: HeadIndexComponents['bars']
  readonly #digest = new FeedsDigest()
  /** By bucket: a log's name → its size and root. Strings of bytes, as they take least. */
  readonly #buckets = Array.from({ length: BUCKETS }, () => new Map<string, string>())
  readonly #barred = new Set<string>()
  #endings: (() => void)[] = []
  #size = 0

  constructor({ feeds, bars }: HeadIndexComponents) {
    this.#feeds = feeds
    this.#bars = bars
  }

  /** Only after the own log has started, which says what is not shown. */
  async start({ signal }: { signal: AbortSignal }): Promise<void> {
    const { tables } = this.#feeds
    this.#endings = [
      this.#feeds.onHead(({ feed, batch }) => this.#set(feed, batch && readHead(batch.head))),
      this.#bars.onNews(({ author }) => this.#bar(author)),
      this.#bars.onForgotten((author) => this.#barred.delete(textOf(author))),
    ]
    for await (const [author] of tables.barred.range({ signal })) this.#barred.add(textOf(author))
  }

  /**
   * Reads one row for each log, some 50 µs: not while somebody waits for the peer to come up. Before
   * that nothing here is to be compared or shown.
   */
  async load({ signal }: { signal: AbortSignal }): Promise<void> {
    for await (const { feed, head } of this.#feeds.feeds()) {
      signal.throwIfAborted()
      // What was heard of since the scan began is newer.
      if (this.#get(feed) === undefined) this.#set(feed, readHead(head))
    }
  }

  async stop(): Promise<void> {
    for (const end of this.#endings.splice(0)) end()
  }

  /** How many logs. */
  get size(): number {
    return this.#size
  }

  /** 2,048 bytes: equal for two peers that show the same. */
  get digest(): Uint8Array {
    return this.#digest.bytes
  }

  /** The buckets in which another peer's digest is another. Throws `malformed`. */
  differing(digest: Uint8Array): Set<number> {
    return this.#digest.differing(digest)
  }

  /** Of all logs in these buckets. */
  *places(buckets: Iterable<number>): Generator<PlaceMark> {
    for (const bucket of buckets) {
      for (const [name, text] of this.#buckets[bucket] ?? []) {
        const { size, root } = readMark(text)
        yield { ...readName(name), size, rootMark: root.subarray(0, ROOT_MARK_BYTES) }
      }
    }
  }

  compare(place: PlaceMark): Comparison {
    if (this.#feeds.isOwn(place)) return { type: 'own' }
    if (this.isBarred(place.author)) return { type: 'barred' }
    const mine = this.#get(place)
    if (mine === undefined) return { type: 'missing', from: 0 }
    const { size, root } = readMark(mine)
    if (size < place.size) return { type: 'missing', from: size }
    if (size > place.size) return { type: 'ahead' }
    const isSame = sameBytes(root.subarray(0, ROOT_MARK_BYTES), place.rootMark)
    return { type: isSame ? 'same' : 'differs' }
  }

  isBarred(author: Uint8Array): boolean {
    return this.#barred.has(textOf(author))
  }

  #get(feed: FeedId): string | undefined {
    return this.#buckets[bucketOf(feed)]?.get(nameOf(feed))
  }

  #set(feed: FeedId, head: Head | undefined): void {
    const bucket = this.#buckets[bucketOf(feed)]
    if (bucket === undefined) return
    const name = nameOf(feed)
    const before = bucket.get(name)
    if (before !== undefined) {
      this.#digest.toggle({ ...feed, ...readMark(before) })
      this.#size -= 1
    }
    if (head === undefined || this.isBarred(feed.author)) {
      bucket.delete(name)
      return
    }
    bucket.set(name, markOf(head))
    this.#digest.toggle({ ...feed, size: head.size, root: head.root })
    this.#size += 1
  }

  /** Looks at all of them, which seldom happens, and never twice for one author. */
  #bar(author: Uint8Array): void {
    const text = textOf(author)
    this.#barred.add(text)
    for (const bucket of this.#buckets) {
      for (const name of bucket.keys()) {
        if (name.startsWith(text)) this.#set(readName(name), undefined)
      }
    }
  }
}

const textOf = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')

const nameOf = (feed: FeedId): string => textOf(feedBytes(feed))

const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'))

const readName = (name: string): FeedId => feedOf(bytesOf(name))

function markOf({ size, root }: Head): string {
  return textOf(joinBytes(integerKey.encode(size), root))
}

function readMark(text: string): { size: number; root: Uint8Array } {
  const bytes = bytesOf(text)
  return {
    size: integerKey.decode(bytes.subarray(0, SIZE_BYTES)),
    root: bytes.subarray(SIZE_BYTES),
  }
}
