import { backoffMs } from '../../base/backoff.ts'
import type { Clock } from '../../base/clock.ts'
import { within } from '../../base/deadline.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { Random } from '../../base/random.ts'
import { lookupKey } from '../../wire/model-id.ts'
import type { Network, PeerHint } from '../network.ts'
import type { AdvertExchange } from './advert-exchange.ts'
import type { Directory } from './directory.ts'
import { draw } from './draw.ts'
import { isNoPlace, type Roster } from './roster.ts'
import { Rounds } from './rounds.ts'

/** Who comes and goes all the time does not make this peer search all the time. */
const GAP_MS = 5_000
/** Right after the first connection the DHT knows of nobody yet. */
const FIRST_MS = 1_500
/** While there is somebody to be met; twice as long after each round without. */
const ROUND_MS_MIN = 5_000
const ROUND_MS_MAX = 60_000
const SEARCH_MS = 10_000
/** Anybody can put any number of names into the DHT. */
const HINTS_READ_MAX = 512
/** A round is not to be felt: the network is met within minutes, not at once. */
const MEET_MAX = 8
/** It asks a hundred peers. */
const WIDE_EVERY_MS = 10 * 60_000
/** Not asked again for a while, as most of those names stay nobody. */
const FAILED_MS = 300_000
/** One that is connected is somebody: perhaps it was too busy. */
const SILENT_MS = 30_000
const FAILED_MAX = 1024
/** Whoever fails and comes, again and again, must not have all the others tried again each time. */
const FORGET_EVERY_MS = 60_000

export interface CrawlComponents {
  network: Pick<Network, 'connected' | 'isConnected' | 'findProviders'>
  /** This peer's own id. */
  self: string
  directory: Directory
  exchange: Pick<AdvertExchange, 'ask'>
  roster: Pick<Roster, 'isFull'>
  clock: Clock
  random: Random
}

/** Meets, little by little, the providers that are not among this peer's connections. */
export class Crawl {
  readonly #components: CrawlComponents
  readonly #rounds: Rounds
  /** Peer and way → when it may be tried again. */
  #failed = new LruMap<string, number>(FAILED_MAX)
  #forgotAt = Number.NEGATIVE_INFINITY
  /** Rounds in a row that met nobody. */
  #barren = 0
  #wideAt: number

  constructor(components: CrawlComponents) {
    this.#components = components
    this.#wideAt = components.clock.elapsed()
    this.#rounds = new Rounds(components.clock, (signal) => this.#round(signal), {
      gapMs: GAP_MS,
    })
  }

  run(signal: AbortSignal): Promise<void> {
    this.#rounds.soon(ROUND_MS_MIN)
    return this.#rounds.run(signal)
  }

  /** There is somebody new to ask. */
  soon(): void {
    this.#barren = 0
    this.#rounds.soon(FIRST_MS)
  }

  /** Connected: where it could not be reached before, the others may be back as well. */
  came(peerId: string): void {
    const now = this.#components.clock.elapsed()
    const hadFailed = [peerId, relayed(peerId)].some((way) => (this.#failed.get(way) ?? 0) > now)
    if (!hadFailed || now - this.#forgotAt < FORGET_EVERY_MS) return
    this.#forgotAt = now
    this.#failed = new LruMap(FAILED_MAX)
    this.soon()
  }

  async #round(signal: AbortSignal): Promise<number> {
    const { network, random, roster } = this.#components
    if (network.connected().length === 0) return ROUND_MS_MAX
    const strangers = await this.#strangers(signal)
    const met = await Promise.all(
      draw(strangers, MEET_MAX, random).map((hint) => this.#meet(hint, signal)),
    )
    // With a full directory, few of all the strangers that there are come into it.
    const more = (strangers.length > MEET_MAX && !roster.isFull) || met.includes(true)
    this.#barren = more ? 0 : this.#barren + 1
    // So that peers that started together do not ask together for ever.
    return backoffMs(this.#barren, ROUND_MS_MIN, ROUND_MS_MAX) * (0.8 + random.below(400) / 1000)
  }

  /** Providers, and connected peers that have not said yet who they are. */
  async #strangers(signal: AbortSignal): Promise<PeerHint[]> {
    const { network, clock } = this.#components
    const found = new Map<string, PeerHint>()
    const add = (hint: PeerHint) => {
      if (this.#isStranger(hint)) found.set(hint.peerId, hint)
    }
    for (const peerId of network.connected()) add({ peerId, addresses: [] })
    const limit = { ms: SEARCH_MS, what: 'Looking for providers', signal }
    let read = 0
    await within(clock, limit, async (signal) => {
      const key = lookupKey('role', 'provider')
      for await (const hint of network.findProviders(key, {
        signal,
        wide: this.#isTimeToLookWide(),
      })) {
        add(hint)
        if (++read >= HINTS_READ_MAX) break
      }
      // Whoever was found until then is found.
    }).catch(() => {})
    return [...found.values()]
  }

  #isTimeToLookWide(): boolean {
    const now = this.#components.clock.elapsed()
    const isTime = now - this.#wideAt >= WIDE_EVERY_MS
    if (isTime) this.#wideAt = now
    return isTime
  }

  #isStranger(hint: PeerHint): boolean {
    const { peerId } = hint
    const { self, directory, clock } = this.#components
    if (peerId === self || directory.get(peerId) !== undefined) return false
    return (this.#failed.get(wayTo(hint)) ?? 0) <= clock.elapsed()
  }

  async #meet(hint: PeerHint, signal: AbortSignal): Promise<boolean> {
    const { peerId, addresses } = hint
    try {
      await this.#components.exchange.ask(peerId, { addresses, signal })
      return true
    } catch (error) {
      const { network, clock } = this.#components
      const mayAnswer = network.isConnected(peerId) && !isNoPlace(error)
      this.#failed.set(wayTo(hint), clock.elapsed() + (mayAnswer ? SILENT_MS : FAILED_MS))
      return false
    }
  }
}

/** Behind a NAT nobody reaches a peer until it has found a relay: that is another try. */
function wayTo({ peerId, addresses }: PeerHint): string {
  const isRelayed = addresses.some((address) => address.endsWith('/p2p-circuit'))
  return isRelayed ? relayed(peerId) : peerId
}

const relayed = (peerId: string): string => `${peerId} ~`
