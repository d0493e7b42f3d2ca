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
import type { HeldEntries } from '../held.ts'
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
  held: Pick<HeldEntries, 'onPut'>
  mender: Mender
  background: Background
  clock: Clock
  logger: Logger
  metrics: Metrics
}

interface Followed {
  end: AbortController
  /** An entry of its log was seen since it was asked last. */
  hasLog: boolean
  /** Ends the wait for its first entry. */
  wake(): void
}

/** Keeps the logs of providers that this peer may use, each as the provider itself pushes it. */
export class Follower {
  readonly #components: FollowerComponents
  readonly #followed = new Map<string, Followed>()
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
    this.#components.held.onPut((from) => this.#heardOf(from))
    this.#chooseSoon()
    return () => {
      unlisten()
      this.#cancelChoice?.()
      for (const { end } of this.#followed.values()) end.abort()
    }
  }

  /** It did work for this peer: its log is there, if it was not before. */
  #heardOf(peerId: string): void {
    const followed = this.#followed.get(peerId)
    if (followed === undefined) return
    followed.hasLog = true
    followed.wake()
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
    for (const [peerId, { end }] of this.#followed) {
      if (chosen.has(peerId)) continue
      end.abort()
      this.#followed.delete(peerId)
    }
    for (const peerId of chosen) {
      if (this.#followed.has(peerId)) continue
      const followed: Followed = { end: new AbortController(), hasLog: false, wake: () => {} }
      this.#followed.set(peerId, followed)
      background.run(() => this.#keep(peerId, followed))
    }
    this.#gauge.set(this.#followed.size)
  }

  /** Begins again whenever the stream ends, ever less often while nothing comes of it. */
  async #keep(peerId: string, followed: Followed): Promise<void> {
    const { clock, logger, index } = this.#components
    const { signal } = followed.end
    const key = publicKeyOf(peerId)
    let noLogMs = NO_LOG_MS
    let wasTold = false
    for (let failures = 0; !index.isBarred(key); ) {
      let waitMs = backoffMs(failures, REOPEN_FIRST_MS, REOPEN_MAX_MS)
      followed.hasLog = false
      try {
        const hasLogs = await this.#follow(peerId, key, signal)
        failures = 0
        if (!hasLogs) {
          // One that works and shows no log is not asked again with each of its answers.
          if (wasTold) await clock.sleep(noLogMs, signal)
          else await this.#rest(followed, noLogMs)
          wasTold = !wasTold && followed.hasLog
          noLogMs = Math.min(NO_LOG_MS_MAX, 2 * noLogMs)
          continue
        }
        waitMs = REOPEN_FIRST_MS
        noLogMs = NO_LOG_MS
        wasTold = false
      } catch (error) {
        if (signal.aborted) return
        failures += 1
        logger.debug('a log not followed', { peerId, error: messageOf(error) })
      }
      await clock.sleep(waitMs, signal)
    }
  }

  /** For so long, or until something is heard of its log. */
  async #rest(followed: Followed, ms: number): Promise<void> {
    if (followed.hasLog) return
    const woken = new AbortController()
    followed.wake = () => woken.abort()
    const { signal } = followed.end
    const ending = AbortSignal.any([signal, woken.signal])
    await this.#components.clock.sleep(ms, ending).catch(() => signal.throwIfAborted())
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
