import { backoffMs } from '../../base/backoff.ts'
import type { Clock } from '../../base/clock.ts'
import { within } from '../../base/deadline.ts'
import { DeadlineError, messageOf, PeerError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Metrics } from '../../base/metrics.ts'
import type { Background } from '../../network/discovery/background.ts'
import type {
  Directory,
  DirectoryChange,
  DirectoryEntry,
} from '../../network/discovery/directory.ts'
import type { Network } from '../../network/network.ts'
import { type Head, readHead } from '../../wire/head.ts'
import { publicKeyOf } from '../../wire/peer-id.ts'
import { RANGES_MAX, type Range } from '../../wire/sync.ts'
import type { FeedStore } from '../feeds/feed-store.ts'
import type { Intake } from '../feeds/intake.ts'
import type { HeadIndex } from './head-index.ts'
import type { Mender } from './mender.ts'
import { RangeCheck } from './range-check.ts'
import { type AskComponents, asking, type SyncClient } from './sync-client.ts'
import { type Taken, take } from './taking.ts'

/** One open stream each. */
const FOLLOWED_MAX = 32
/** Many come and go together; nobody waits for the choice. */
const CHOOSE_AFTER_MS = 500
/** Of a log that is new here: what is older says little of the peer today, and archives have it. */
const BACK_MAX = 4_096
/** Then it is asked whether it has begun another log, as after it was restored from a backup. */
const FOLLOW_MS = 120_000
/** A log grows by one head for each group of answers; more often only a hostile one is heard of. */
const READ_EVERY_MS = 5
const REOPEN_FIRST_MS = 500
const REOPEN_MAX_MS = 15_000
/** Who has just come has no log yet; its first answers are soon to be known. */
const NO_LOG_MS = 3_000
/** Twice as long after each time without one: many peers never answer anything. */
const NO_LOG_MS_MAX = 60_000
const ASK_MS = 30_000

export interface FollowerComponents extends AskComponents {
  network: Pick<Network, 'open' | 'fault'>
  discovery: {
    directory: Pick<Directory, 'all'>
    onChange(listener: (change: DirectoryChange) => void): () => void
  }
  feeds: FeedStore
  intake: Pick<Intake, 'ingest' | 'bars'>
  index: Pick<HeadIndex, 'isBarred'>
  mender: Mender
  background: Background
  clock: Clock
  logger: Logger
  metrics: Metrics
}

/** Keeps the logs of providers that this peer may use, each as the provider itself pushes it. */
export class Follower {
  readonly #components: FollowerComponents
  readonly #followed = new Map<string, AbortController>()
  readonly #gauge
  #cancelChoice: (() => void) | undefined

  constructor(components: FollowerComponents) {
    this.#components = components
    const help = 'Peers whose logs are followed.'
    this.#gauge = components.metrics.gauge('pinaivu_log_followed', help)
  }

  follows(peerId: string): boolean {
    return this.#followed.has(peerId)
  }

  /** Returns how to end that. */
  start(): () => void {
    const unlisten = this.#components.discovery.onChange((change) => {
      if (isNews(change)) this.#chooseSoon()
    })
    this.#chooseSoon()
    return () => {
      unlisten()
      this.#cancelChoice?.()
      for (const end of this.#followed.values()) end.abort()
    }
  }

  #chooseSoon(): void {
    this.#cancelChoice ??= this.#components.clock.after(CHOOSE_AFTER_MS, () => {
      this.#cancelChoice = undefined
      this.#choose()
    })
  }

  #choose(): void {
    const { discovery, background, index } = this.#components
    const isGood = (peerId: string) => !index.isBarred(publicKeyOf(peerId))
    const chosen = chooseFollowed(discovery.directory.all(), { followed: this.#followed, isGood })
    for (const [peerId, end] of this.#followed) {
      if (chosen.has(peerId)) continue
      end.abort()
      this.#followed.delete(peerId)
    }
    for (const peerId of chosen) {
      if (this.#followed.has(peerId)) continue
      const end = new AbortController()
      this.#followed.set(peerId, end)
      background.run(() => this.#keep(peerId, end.signal))
    }
    this.#gauge.set(this.#followed.size)
  }

  /** Begins again whenever the stream ends, ever less often while nothing comes of it. */
  async #keep(peerId: string, signal: AbortSignal): Promise<void> {
    const { clock, logger, index } = this.#components
    const key = publicKeyOf(peerId)
    let noLogMs = NO_LOG_MS
    for (let failures = 0; !index.isBarred(key); ) {
      let waitMs = backoffMs(failures, REOPEN_FIRST_MS, REOPEN_MAX_MS)
      try {
        const hasLogs = await this.#follow(peerId, key, signal)
        waitMs = hasLogs ? REOPEN_FIRST_MS : noLogMs
        noLogMs = hasLogs ? NO_LOG_MS : Math.min(NO_LOG_MS_MAX, 2 * noLogMs)
        failures = 0
      } catch (error) {
        if (signal.aborted) return
        failures += 1
        logger.debug('a log not followed', { peerId, error: messageOf(error) })
      }
      await clock.sleep(waitMs, signal)
    }
  }

  /** Resolves to whether that peer has logs; throws where they cannot be followed. */
  async #follow(peerId: string, key: Uint8Array, signal: AbortSignal): Promise<boolean> {
    const { clock } = this.#components
    const limit = { ms: FOLLOW_MS, what: 'Following a log', signal }
    let hasLogs = false
    let odd: Taken | undefined
    try {
      await within(clock, limit, (ending) =>
        asking(this.#components, peerId, { signal: ending }, async (client) => {
          const ranges = await this.#ranges(await client.heads([key]))
          hasLogs = ranges.length > 0
          if (hasLogs) odd = await this.#read(client, ranges, ending)
        }),
      )
    } catch (error) {
      if (!(error instanceof DeadlineError) || !hasLogs) throw error
    }
    if (odd !== undefined) {
      await this.#mend(peerId, odd, signal)
      throw notFollowed()
    }
    return hasLogs
  }

  /** From where each of its logs ends here; of a new one, the last part. */
  async #ranges(heads: readonly Parameters<typeof readHead>[0][]): Promise<Range[]> {
    const { tables } = this.#components.feeds
    const newest = heads.map(readHead).sort(byTime).slice(0, RANGES_MAX)
    const rows = await tables.feeds.getMany(newest)
    return newest.map(({ author, epoch, size }, at) => {
      const from = rows[at]?.size ?? Math.max(0, size - BACK_MAX)
      return { author, epoch, from, to: 0, peaks: rows[at] === undefined && from > 0 }
    })
  }

  /** Resolves to what does not go on from what is here. */
  async #read(
    client: SyncClient,
    ranges: Range[],
    signal: AbortSignal,
  ): Promise<Taken | undefined> {
    const { intake, clock } = this.#components
    for await (const piece of client.follow(ranges, new RangeCheck(ranges, 'follow'))) {
      if (piece.type === 'equivocation') {
        await intake.bars.add(piece)
        return undefined
      }
      const taken = await take(intake, piece.batch)
      // What lies between was thrown away while it was sent; its other logs go on.
      if (taken.type !== 'taken' && taken.type !== 'gap') return taken
      await clock.sleep(READ_EVERY_MS, signal)
    }
    return undefined
  }

  #mend(peerId: string, odd: Taken, signal: AbortSignal): Promise<void> {
    const { clock, mender } = this.#components
    const limit = { ms: ASK_MS, what: 'Asking for a log', signal }
    return within(clock, limit, (ending) =>
      asking(this.#components, peerId, { signal: ending }, (client) => mender.mend(client, odd)),
    )
  }
}

interface Choice {
  followed: ReadonlyMap<string, unknown>
  isGood(peerId: string): boolean
}

/** Those in use, then those followed already, then those within reach. */
function chooseFollowed(
  entries: readonly DirectoryEntry[],
  { followed, isGood }: Choice,
): Set<string> {
  const rank = ({ peerId, status, connected }: DirectoryEntry): number =>
    (status === undefined ? 0 : 4) + (followed.has(peerId) ? 2 : 0) + (connected ? 1 : 0)
  const sorted = entries
    .filter(({ advert }) => advert.models.length > 0)
    .sort((a, b) => rank(b) - rank(a))
  const chosen = new Set<string>()
  for (const { peerId } of sorted) {
    if (chosen.size === FOLLOWED_MAX) break
    if (isGood(peerId)) chosen.add(peerId)
  }
  return chosen
}

/** Loads change all the time; the choice depends on whether they are known. */
const isNews = ({ entry, previous }: DirectoryChange): boolean =>
  entry?.advert !== previous?.advert ||
  (entry?.status === undefined) !== (previous?.status === undefined)

const byTime = (a: Head, b: Head): number => b.at - a.at

const notFollowed = () =>
  new PeerError('log_not_followed', 'That log does not go on from what is here.')
