import { BusyError, PeerError } from '../../../base/errors.ts'
import { hexName } from '../../../base/hex.ts'
import { type Cid, readCid } from '../../../wire/cid.ts'
import type { Equivocation } from '../../../wire/equivocation.ts'
import type { Signed } from '../../../wire/generate.ts'
import {
  type Found,
  HEADS_MAX,
  PLACES_MAX,
  type Range,
  type SyncAnswer,
  type SyncRequest,
} from '../../../wire/sync.ts'
import type { Bars } from '../../feeds/bars.ts'
import type { Place } from '../../feeds/feed-id.ts'
import type { FeedStore } from '../../feeds/feed-store.ts'
import type { LiveReceipts } from '../../live.ts'
import type { HeadIndex } from '../head-index.ts'
import { LogReader } from './log-reader.ts'

export interface AnswersComponents {
  feeds: FeedStore
  index: Pick<HeadIndex, 'differing' | 'places' | 'isBarred'>
  bars: Pick<Bars, 'proof' | 'add'>
  live: Pick<LiveReceipts, 'get'>
}

/** All that is said to one question; what it returns is the word at its end. */
export type Answer = AsyncGenerator<SyncAnswer, string>

/** What is answered with more than a word, and comes to an end. */
export type Question = Exclude<SyncRequest, { type: 'follow' | 'equivocation' }>

/** Of heads, which have some 250 bytes but may have 1.1 KB. */
const GROUP_BYTES_MAX = 60 * 1024
const ALL = ''

/** What this peer may show, in frames of `sync/1`; no more of it is read than is asked for. */
export class Answers {
  readonly #components: AnswersComponents

  constructor(components: AnswersComponents) {
    this.#components = components
  }

  to(question: Question): Answer {
    switch (question.type) {
      case 'digest':
        return this.#places(question.buckets)
      case 'authors':
        return this.#heads(question.authors)
      case 'ranges':
        return this.#batches(question.ranges)
      case 'get':
        return this.#found(readCid(question.cid, 'Get.cid'))
    }
  }

  /** Resolves to the word at its end. Throws what its sender is at fault for. */
  async hear(claim: Equivocation): Promise<string> {
    try {
      await this.#components.bars.add(claim)
    } catch (error) {
      if (error instanceof BusyError) return 'busy'
      if (!(error instanceof PeerError) || error.action !== 'ignore') throw error
    }
    return ALL
  }

  async *#places(digest: Uint8Array): Answer {
    const { index } = this.#components
    const all = index.places(index.differing(digest))
    for await (const places of grouped(all, { countMax: PLACES_MAX, bytesOf: () => 0 })) {
      yield { type: 'places', places }
    }
    return ALL
  }

  async *#heads(authors: readonly Uint8Array[]): Answer {
    const bytesOf = ({ payload, signature }: Signed) => payload.length + signature.length
    const all = this.#headsOf(authors)
    for await (const heads of grouped(all, { countMax: HEADS_MAX, bytesOf })) {
      yield { type: 'heads', heads }
    }
    return ALL
  }

  async *#headsOf(authors: readonly Uint8Array[]): AsyncGenerator<Signed> {
    const { feeds, index } = this.#components
    for (const author of authors) {
      if (index.isBarred(author)) continue
      for await (const { head } of feeds.feeds({ author })) yield head
    }
  }

  async *#batches(ranges: readonly Range[]): Answer {
    const { feeds, index, bars } = this.#components
    const told = new Set<string>()
    let isPruned = false
    for (const { author, epoch, from, to, peaks } of ranges) {
      if (index.isBarred(author)) {
        const name = hexName(author)
        const proof = told.has(name) ? undefined : await bars.proof(author)
        if (proof !== undefined) yield { type: 'equivocation', ...proof }
        told.add(name)
        continue
      }
      const part = { from, peaks, ...(to !== 0 && { to }) }
      const reader = new LogReader(feeds, { author, epoch }, part)
      while (!reader.isAtHead) {
        const batch = await reader.next()
        if (batch === undefined) break
        yield { type: 'batch', batch }
      }
      isPruned ||= reader.isPruned
    }
    return isPruned ? 'pruned' : ALL
  }

  async *#found(cid: Cid): Answer {
    const found = await this.#find(cid)
    if (found !== undefined) {
      yield { type: 'found', ...found }
      return ALL
    }
    const live = cid.kind === 'receipt' ? this.#components.live.get(cid.digest) : undefined
    // What has come to an end is in an entry, though perhaps in none that others may see.
    if (live?.open !== undefined && live.isPublic && live.finalDigest === undefined) {
      yield { type: 'open', receipt: live.open }
    }
    return ALL
  }

  async #find(cid: Cid): Promise<Found | undefined> {
    const { feeds } = this.#components
    if (cid.kind === 'entry') return await this.#firstShown(await feeds.find('entry', cid.digest))
    return (
      (await this.#firstShown(await feeds.find('receipt', cid.digest))) ??
      (await this.#firstShown(await feeds.find('open', cid.digest)))
    )
  }

  /** Where it stands in several logs, it is one that others may see. */
  async #firstShown(places: readonly Place[]): Promise<Found | undefined> {
    const { feeds, index } = this.#components
    for (const place of places) {
      if (index.isBarred(place.feed.author)) continue
      const [row, proof] = await Promise.all([feeds.entry(place), feeds.prove(place)])
      if (row !== undefined && proof !== undefined) {
        return { ...proof, index: place.index, entry: row.bytes }
      }
    }
    return undefined
  }
}

interface Group<T> {
  countMax: number
  bytesOf(item: T): number
}

/** In their order, as many together as one frame may have. */
async function* grouped<T>(
  items: AsyncIterable<T> | Iterable<T>,
  { countMax, bytesOf }: Group<T>,
): AsyncGenerator<T[]> {
  let group: T[] = []
  let bytes = 0
  for await (const item of items) {
    const more = bytesOf(item)
    if (group.length === countMax || bytes + more > GROUP_BYTES_MAX) {
      yield group
      group = []
      bytes = 0
    }
    group.push(item)
    bytes += more
  }
  if (group.length > 0) yield group
}
