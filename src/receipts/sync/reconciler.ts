import { PeerError } from '../../base/errors.ts'
import { hexName } from '../../base/hex.ts'
import { readHead } from '../../wire/head.ts'
import { sameBytes } from '../../wire/octets.ts'
import { AUTHORS_MAX, type PlaceMark, ROOT_MARK_BYTES } from '../../wire/sync.ts'
import { feedName } from '../feeds/feed-id.ts'
import { type FeedStore, headAlone } from '../feeds/feed-store.ts'
import type { Intake } from '../feeds/intake.ts'
import type { OwnFeed } from '../feeds/own-feed.ts'
import type { HeadIndex } from './head-index.ts'
import type { Mender } from './mender.ts'
import { notSupplied, type Puller, type Wanted } from './puller.ts'
import type { SyncClient } from './sync-client.ts'
import { take } from './taking.ts'

/** Logs to fetch after one comparison; the next one finds the others. */
const WANTED_MAX = 4_096
/** Roots of the past that are looked up, a few rows each, to find logs that were set back. */
const LOOK_UPS_MAX = 1_024
/** Authors of which the other peer is told that they are barred. */
const BARRED_MAX = 16

export interface ReconcilerComponents {
  feeds: FeedStore
  intake: Pick<Intake, 'ingest' | 'bars' | 'room'>
  index: Pick<HeadIndex, 'digest' | 'compare'>
  log: Pick<OwnFeed, 'confirm'>
  /** This peer's key. */
  publicKey: Uint8Array
  mender: Mender
  puller: Puller
}

/** Brings this peer up to what another one has: all logs, by their digest. */
export class Reconciler {
  readonly #components: ReconcilerComponents

  constructor(components: ReconcilerComponents) {
    this.#components = components
  }

  /** Resolves to whether there is more to fetch. Throws what the other peer is at fault for. */
  async reconcile(client: SyncClient): Promise<boolean> {
    const { index, puller, log, publicKey, intake } = this.#components
    const differences = new Differences(intake.room.strangersFrom(client.peerId))
    for await (const places of client.places(index.digest)) {
      for (const place of places) await this.#compare(place, differences)
    }
    const { wanted, suspects, barred } = differences
    for (const author of barred.values()) await this.#tellBar(client, author)
    if (differences.knowsMoreOfUs) await log.confirm(await client.heads([publicKey]))
    if (suspects.size > 0) await this.#question(client, [...suspects.values()])
    return (await puller.pull(client, wanted)) || differences.isMore
  }

  async #compare(place: PlaceMark, differences: Differences): Promise<void> {
    const { index, intake } = this.#components
    const compared = index.compare(place)
    switch (compared.type) {
      case 'missing':
        return differences.want(place, {
          isStrangers: compared.from === 0 && intake.room.isStranger(place.author),
        })
      case 'differs':
        return differences.suspect(place)
      case 'barred':
        return differences.bar(place.author)
      case 'ahead':
        if (await this.#isSetBack(place, differences)) differences.suspect(place)
        return
      case 'own':
        if (await this.#isBehind(place)) differences.knowsMoreOfUs = true
        return
      case 'same':
        return
    }
  }

  /** Whether the log never was, when it was as long, what the other peer has. */
  async #isSetBack(place: PlaceMark, differences: Differences): Promise<boolean> {
    differences.lookUps += 1
    if (differences.lookUps > LOOK_UPS_MAX) return false
    try {
      const root = await this.#components.feeds.rootAt(place, place.size)
      return !sameBytes(root.subarray(0, ROOT_MARK_BYTES), place.rootMark)
    } catch (error) {
      if (error instanceof PeerError && error.code === 'log_pruned') return false
      throw error
    }
  }

  /** Whether the other peer has more of this peer's own log than this peer. */
  async #isBehind(place: PlaceMark): Promise<boolean> {
    const { feeds } = this.#components
    if (feeds.isPrivate(place)) return false
    return ((await feeds.tables.feeds.get(place))?.size ?? 0) < place.size
  }

  async #tellBar(client: SyncClient, author: Uint8Array): Promise<void> {
    const proof = await this.#components.intake.bars.proof(author)
    if (proof !== undefined) await client.tell(proof)
  }

  /** By their heads it shows whether their author signed two histories. */
  async #question(client: SyncClient, suspects: readonly PlaceMark[]): Promise<void> {
    const { intake, mender } = this.#components
    const places = new Map(suspects.map((place) => [feedName(place), place]))
    for (const signed of await client.heads(suspects.map(({ author }) => author))) {
      const head = readHead(signed)
      const place = places.get(feedName(head))
      if (place === undefined) continue
      const isOther = !sameBytes(head.root.subarray(0, ROOT_MARK_BYTES), place.rootMark)
      if (head.size === place.size && isOther) throw notSupplied()
      await mender.mend(client, await take(intake, headAlone(signed)))
    }
  }
}

/** What a comparison brought up. */
class Differences {
  readonly wanted: Wanted[] = []
  /** By author: the rest is for the next round. */
  readonly suspects = new Map<string, PlaceMark>()
  readonly barred = new Map<string, Uint8Array>()
  knowsMoreOfUs = false
  isMore = false
  lookUps = 0
  #strangersLeft: number

  /** `strangersMax`: logs of strangers that are taken from this peer; what is more is for later. */
  constructor(strangersMax: number) {
    this.#strangersLeft = strangersMax
  }

  want({ author, epoch, size }: PlaceMark, { isStrangers }: { isStrangers: boolean }): void {
    if (this.wanted.length === WANTED_MAX) {
      this.isMore = true
      return
    }
    if (isStrangers && this.#strangersLeft < 1) return
    if (isStrangers) this.#strangersLeft -= 1
    this.wanted.push({ feed: { author, epoch }, claimed: size })
  }

  suspect(place: PlaceMark): void {
    if (this.suspects.size < AUTHORS_MAX) this.suspects.set(hexName(place.author), place)
  }

  bar(author: Uint8Array): void {
    if (this.barred.size < BARRED_MAX) this.barred.set(hexName(author), author)
  }
}
