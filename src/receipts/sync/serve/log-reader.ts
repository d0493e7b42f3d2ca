import { PeerError } from '../../../base/errors.ts'
import type { Batch } from '../../../wire/log-batch.ts'
import type { FeedId } from '../../feeds/feed-id.ts'
import type { FeedStore, Part } from '../../feeds/feed-store.ts'

/** How far another peer has read a log. Nothing is held but where it is. */
export class LogReader {
  readonly feed: FeedId
  readonly #feeds: Pick<FeedStore, 'batch' | 'start'>
  readonly #to: number | undefined
  #next: number
  #peaks: boolean
  #isBegun = false
  #isAtHead = false
  #isPruned = false
  #hasGap = false

  constructor(feeds: Pick<FeedStore, 'batch' | 'start'>, feed: FeedId, { from, to, peaks }: Part) {
    this.#feeds = feeds
    this.feed = feed
    this.#next = from
    this.#to = to
    this.#peaks = peaks === true
  }

  /** It has all that there was when it read last. */
  get isAtHead(): boolean {
    return this.#isAtHead
  }

  /** Something that it wants was thrown away. */
  get isPruned(): boolean {
    return this.#isPruned
  }

  /** What would come next was, while it read: it does not get on from there. */
  get hasGap(): boolean {
    return this.#hasGap
  }

  /**
   * What comes next; undefined where nothing does. A log whose beginning was thrown away is read from
   * where it begins, but nobody gets a log with a gap.
   */
  async next(): Promise<Batch | undefined> {
    for (;;) {
      if (this.#to !== undefined && this.#next >= this.#to) return undefined
      try {
        return this.#read(await this.#batch())
      } catch (error) {
        if (!(error instanceof PeerError) || error.code !== 'log_pruned') throw error
      }
      this.#isPruned = true
      this.#hasGap = this.#isBegun
      const start = await this.#feeds.start(this.feed)
      if (this.#hasGap || start === undefined || start <= this.#next) return undefined
      this.#next = start
      this.#peaks = true
    }
  }

  /** The same for a batch that has just come, if it is what this reader wants next. */
  take(batch: Batch): Batch | undefined {
    const isNext = batch.first === this.#next && !this.#peaks && batch.path.length === 0
    return isNext ? this.#read(batch) : undefined
  }

  #batch(): Promise<Batch | undefined> {
    const [from, to] = [this.#next, this.#to]
    return this.#feeds.batch(this.feed, {
      ...{ from, peaks: this.#peaks },
      ...(to !== undefined && { to }),
    })
  }

  #read(batch: Batch | undefined): Batch | undefined {
    if (batch === undefined || batch.entries.length === 0) return undefined
    this.#next = batch.first + batch.entries.length
    this.#peaks = false
    this.#isBegun = true
    this.#isAtHead = batch.path.length === 0
    return batch
  }
}
