import { unlessAborted } from '../../../base/deadline.ts'
import { hexName } from '../../../base/hex.ts'
import { LruMap } from '../../../base/lru-map.ts'
import type { Batch } from '../../../wire/log-batch.ts'
import { sameBytes } from '../../../wire/octets.ts'
import type { Range, SyncAnswer } from '../../../wire/sync.ts'
import type { Bars } from '../../feeds/bars.ts'
import { feedName } from '../../feeds/feed-id.ts'
import type { FeedStore } from '../../feeds/feed-store.ts'
import type { HeadIndex } from '../head-index.ts'
import type { ServeLimits } from './limits.ts'
import { LogReader } from './log-reader.ts'

export interface FollowersComponents {
  feeds: FeedStore
  index: Pick<HeadIndex, 'isBarred'>
  bars: Pick<Bars, 'proof' | 'onNews'>
}

export type FollowLimits = Pick<ServeLimits, 'followersMax' | 'followedMax'>

/** Batches of 48 KiB at most, so that those who keep up with a log need not each read it. */
const FRESH_MAX = 64

/** Who follows which log, so that a new head is a matter of those who wait for it. */
export class Followers {
  readonly #components: FollowersComponents
  readonly #limits: FollowLimits
  readonly #byLog = new Map<string, Set<Follower>>()
  readonly #fresh = new LruMap<string, Batch>(FRESH_MAX)
  readonly #endings: (() => void)[]
  #followers = 0
  #followed = 0

  constructor(components: FollowersComponents, limits: FollowLimits) {
    this.#components = components
    this.#limits = limits
    const { feeds, bars } = components
    this.#endings = [
      feeds.onHead(({ feed, batch }) => this.#tell(feedName(feed), batch)),
      bars.onNews(({ author }) => this.#tellBarred(author)),
    ]
  }

  /** Logs that are followed, by all together. */
  get followed(): number {
    return this.#followed
  }

  /** Undefined where too much is followed already. It is to be ended, once. */
  follow(ranges: readonly Range[]): Follower | undefined {
    const { followersMax, followedMax } = this.#limits
    const fresh = (name: string) => this.#fresh.get(name)
    const follower = new Follower({ ...this.#components, fresh }, ranges)
    const { names } = follower
    const isFull = this.#followers >= followersMax
    if (isFull || this.#followed + names.length > followedMax) return undefined
    this.#followers += 1
    this.#followed += names.length
    for (const name of names) {
      const ofLog = this.#byLog.get(name) ?? new Set()
      this.#byLog.set(name, ofLog.add(follower))
    }
    return follower
  }

  end(follower: Follower): void {
    this.#followers -= 1
    for (const name of follower.names) {
      const ofLog = this.#byLog.get(name)
      if (ofLog?.delete(follower)) this.#followed -= 1
      if (ofLog?.size === 0) this.#byLog.delete(name)
    }
  }

  stop(): void {
    for (const end of this.#endings.splice(0)) end()
  }

  #tell(name: string, batch: Batch | undefined): void {
    const followers = this.#byLog.get(name)
    if (batch === undefined || followers === undefined) return
    this.#fresh.set(name, batch)
    for (const follower of followers) follower.tell(name)
  }

  /** Looks at all of them, which seldom happens. */
  #tellBarred(author: Uint8Array): void {
    const begin = hexName(author)
    for (const [name, followers] of this.#byLog) {
      if (name.startsWith(begin)) for (const follower of followers) follower.tell(name)
    }
  }
}

export interface FollowerComponents extends FollowersComponents {
  /** What has come last in a log, if that was just now. */
  fresh(name: string): Batch | undefined
}

/**
 * Reads some logs as they grow. Nothing queues up for one that is slow: it is told what came
 * meanwhile as the store has it.
 */
export class Follower {
  readonly names: readonly string[]
  readonly #components: FollowerComponents
  readonly #readers: Map<string, LogReader>
  /** Where there may be something to read: each in its turn. */
  readonly #due: Set<string>
  #wake = () => {}

  constructor(components: FollowerComponents, ranges: readonly Range[]) {
    this.#components = components
    this.#readers = new Map(
      ranges.map(({ author, epoch, from, peaks }) => {
        const feed = { author, epoch }
        return [feedName(feed), new LogReader(components.feeds, feed, { from, peaks })]
      }),
    )
    this.names = [...this.#readers.keys()]
    this.#due = new Set(this.names)
  }

  /** There is something new in a log. */
  tell(name: string): void {
    if (!this.#readers.has(name)) return
    this.#due.add(name)
    this.#wake()
  }

  /** Without end, but for a log in which there would be a gap: then the word is `pruned`. */
  async *answers(signal: AbortSignal): AsyncGenerator<SyncAnswer, string> {
    for (;;) {
      for (const name of this.#due) {
        this.#due.delete(name)
        const answer = await this.#next(name)
        if (answer === 'pruned') return answer
        if (answer !== undefined) yield answer
      }
      await this.#woken(signal)
    }
  }

  async #next(name: string): Promise<SyncAnswer | 'pruned' | undefined> {
    const { index, bars, fresh } = this.#components
    const reader = this.#readers.get(name)
    if (reader === undefined) return undefined
    const { author } = reader.feed
    if (index.isBarred(author)) {
      this.#forget(author)
      const proof = await bars.proof(author)
      return proof && { type: 'equivocation', ...proof }
    }
    const last = fresh(name)
    const batch = (last && reader.take(last)) ?? (await reader.next())
    if (batch === undefined) return reader.hasGap ? 'pruned' : undefined
    if (!reader.isAtHead) this.#due.add(name)
    return { type: 'batch', batch }
  }

  /** Nothing more comes of its logs. */
  #forget(author: Uint8Array): void {
    for (const [name, { feed }] of this.#readers) {
      if (sameBytes(feed.author, author)) this.#readers.delete(name)
    }
  }

  async #woken(signal: AbortSignal): Promise<void> {
    const woken = Promise.withResolvers<void>()
    this.#wake = woken.resolve
    await unlessAborted(woken.promise, signal)
  }
}
