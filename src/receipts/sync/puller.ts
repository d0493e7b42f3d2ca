import type { Clock } from '../../base/clock.ts'
import { PeerError } from '../../base/errors.ts'
import { LruMap } from '../../base/lru-map.ts'
import { Turns } from '../../network/discovery/turns.ts'
import { readHead } from '../../wire/head.ts'
import { sameBytes } from '../../wire/octets.ts'
import { RANGES_MAX, type Range } from '../../wire/sync.ts'
import { type FeedId, feedName } from '../feeds/feed-id.ts'
import type { FeedStore } from '../feeds/feed-store.ts'
import type { Intake } from '../feeds/intake.ts'
import type { Mender } from './mender.ts'
import { RangeCheck } from './range-check.ts'
import type { LogPiece, SyncClient } from './sync-client.ts'
import { type Taken, take } from './taking.ts'

/** From one peer in one go, 64 KiB each: others get their turn, and the next round goes on. */
const BATCHES_MAX = 512

/** Batches that are taken in at a time: each is some milliseconds of checking, and all others wait. */
const TAKEN_AT_ONCE = 4

/** A log that was not taken is not asked for again so soon; a place may get free. */
const REFUSED_MS = 600_000
const REFUSED_MAX = 16_384
/** Far more than are asked at once. */
const PEERS_MAX = 1_024

/** A log of which another peer says that it has more. */
export interface Wanted {
  feed: FeedId
  /** How many entries it says it has; 0 where it did not say. */
  claimed: number
}

export interface PullerComponents {
  feeds: FeedStore
  intake: Pick<Intake, 'ingest' | 'bars'>
  mender: Mender
  clock: Clock
}

/** Fetches what is missing from whoever has it: each log from one peer at a time. */
export class Puller {
  readonly #components: PullerComponents
  readonly #underWay = new Set<string>()
  readonly #turns = new Turns(TAKEN_AT_ONCE)
  /** When they may be asked for again. */
  readonly #refused = new LruMap<string, number>(REFUSED_MAX)
  /** Bytes of entries that were taken so far, by the peer that sent them. */
  readonly #taken = new LruMap<string, number>(PEERS_MAX)

  constructor(components: PullerComponents) {
    this.#components = components
  }

  /**
   * Resolves to whether there is more to fetch, from that peer or as another is at it already. Throws
   * what the peer is at fault for: also when it does not have what it said it has.
   */
  async pull(client: SyncClient, wanted: readonly Wanted[]): Promise<boolean> {
    const now = this.#components.clock.elapsed()
    const welcome = wanted.filter(({ feed }) => (this.#refused.get(feedName(feed)) ?? 0) <= now)
    const free = welcome.filter(({ feed }) => !this.#underWay.has(feedName(feed)))
    for (const { feed } of free) this.#underWay.add(feedName(feed))
    try {
      let left = BATCHES_MAX
      for (let at = 0; at < free.length && left > 0; at += RANGES_MAX) {
        const asked = await this.#asked(free.slice(at, at + RANGES_MAX))
        const onTaken = (bytes: number) => this.#took(client.peerId, bytes)
        const pull = new Pull({ ...this.#components, turns: this.#turns, onTaken }, asked)
        left = await pull.run(client, left)
        for (const name of pull.refused) this.#refused.set(name, now + REFUSED_MS)
      }
      return left === 0 || free.length < welcome.length
    } finally {
      for (const { feed } of free) this.#underWay.delete(feedName(feed))
    }
  }

  /** Bytes of entries that this peer sent, and that were news. */
  takenFrom(peerId: string): number {
    return this.#taken.get(peerId) ?? 0
  }

  #took(peerId: string, bytes: number): void {
    this.#taken.set(peerId, this.takenFrom(peerId) + bytes)
  }

  /** From where each of them ends here. */
  async #asked(wanted: readonly Wanted[]): Promise<Asked[]> {
    const { tables } = this.#components.feeds
    const rows = await tables.feeds.getMany(wanted.map(({ feed }) => feed))
    return wanted.map(({ feed, claimed }, at) => {
      const range = { ...feed, from: rows[at]?.size ?? 0, to: 0, peaks: false }
      return { range, name: feedName(feed), claimed }
    })
  }
}

interface Asked {
  range: Range
  name: string
  claimed: number
}

interface PullComponents extends PullerComponents {
  turns: Turns
  onTaken(bytes: number): void
}

/** One question for ranges. */
class Pull {
  readonly #components: PullComponents
  readonly #asked: readonly Asked[]
  readonly #check: RangeCheck
  /** Logs that come as they should not, or not to be taken: what more comes of them is not looked at. */
  readonly #odd = new Set<string>()
  readonly #toMend: Taken[] = []
  /** Logs that are not taken here. */
  readonly refused: string[] = []

  constructor(components: PullComponents, asked: readonly Asked[]) {
    this.#components = components
    this.#asked = asked
    this.#check = new RangeCheck(asked.map(({ range }) => range))
  }

  /** Takes so many batches at most; resolves to how many more may come from that peer. */
  async run(client: SyncClient, batchesMax: number): Promise<number> {
    let left = batchesMax
    let reason = ''
    const ranges = this.#asked.map(({ range }) => range)
    for await (const piece of client.ranges(ranges, this.#check)) {
      if (piece.type === 'end') {
        reason = piece.reason
        break
      }
      await this.#take(piece, client.peerId)
      left -= 1
      // Whoever has so much need not be asked whether it has all of it.
      if (left === 0) return 0
    }
    for (const taken of this.#toMend) await this.#components.mender.mend(client, taken)
    const isNothing = left === batchesMax
    if (this.#isShort() && (reason === '' || (reason === 'too_much' && isNothing))) {
      throw notSupplied()
    }
    return reason === 'too_much' ? 0 : left
  }

  async #take(piece: LogPiece, from: string): Promise<void> {
    if (piece.type === 'equivocation') {
      await this.#components.intake.bars.add(piece)
      const { author } = readHead(piece.one)
      for (const { range, name } of this.#asked) {
        if (sameBytes(range.author, author)) this.#odd.add(name)
      }
      return
    }
    const { author, epoch } = readHead(piece.batch.head)
    const name = feedName({ author, epoch })
    if (this.#odd.has(name)) return
    const { turns, intake } = this.#components
    const taken = await turns.take(never, () => take(intake, piece.batch, from))
    if (taken.type === 'taken') {
      this.#components.onTaken(bytesOf(piece.batch.entries))
      return
    }
    if (taken.type === 'full' || taken.type === 'newer') this.refused.push(name)
    this.#odd.add(name)
    this.#toMend.push(taken)
  }

  /** Whether something is missing that the peer said it has. */
  #isShort(): boolean {
    return this.#asked.some(
      ({ range, name, claimed }) => !this.#odd.has(name) && this.#check.suppliedTo(range) < claimed,
    )
  }
}

const never = new AbortController().signal

const bytesOf = (entries: readonly Uint8Array[]): number =>
  entries.reduce((sum, { length }) => sum + length, 0)

export const notSupplied = () =>
  new PeerError('not_supplied', 'That peer does not have what it said it has.', {
    action: 'penalise',
  })
