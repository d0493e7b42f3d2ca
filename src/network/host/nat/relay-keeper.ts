import type { PeerId } from '@libp2p/interface'
import { backoffMs } from '../../../base/backoff.ts'
import type { Clock } from '../../../base/clock.ts'
import { unlessAborted, within } from '../../../base/deadline.ts'
import { messageOf } from '../../../base/errors.ts'
import type { Logger } from '../../../base/logger.ts'
import { LruMap } from '../../../base/lru-map.ts'
import type { Random } from '../../../base/random.ts'
import { lookupKey } from '../../../wire/model-id.ts'
import type { PeerHint, Wait } from '../../network.ts'
import type { Circuits } from './circuits.ts'
import { seatLimits as limits } from './nat-limits.ts'

export interface RelayKeeperComponents {
  circuits: Pick<Circuits, 'relays' | 'has' | 'reserve' | 'release'>
  /** Connected peers, straight and not through another relay, that relay for others. */
  relays(): Promise<Candidate[]>
  connect(peerId: string, addresses: readonly string[], wait: Wait): Promise<void>
  keep(peerId: string, wanted: boolean): void
  findProviders(key: Uint8Array, wait: Wait): AsyncIterable<PeerHint>
  clock: Clock
  random: Random
  logger: Logger
}

export interface Candidate {
  id: PeerId
  /** The part of the internet where it is. */
  net: string
}

/** A relay that refused or did not answer so many times, and when it may be asked again. */
interface Failed {
  times: number
  until: number
}

/** Sees that this peer has its seats at relays, each in another part of the internet where it can be. */
export class RelayKeeper {
  readonly #components: RelayKeeperComponents
  readonly #kept = new Set<string>()
  readonly #failed = new LruMap<string, Failed>(limits.failedMax)
  #pauseMs: number = limits.againMsMin

  constructor(components: RelayKeeperComponents) {
    this.#components = components
  }

  /** One round; resolves to the milliseconds until the next, Infinity when nothing is missing. */
  async look(signal: AbortSignal): Promise<number> {
    if (!this.#isFull) await this.#take(signal)
    if (!this.#isFull) {
      await this.#meet(signal)
      await this.#take(signal)
    }
    if (this.#isFull) return Number.POSITIVE_INFINITY
    const pauseMs = this.#pauseMs
    this.#pauseMs = Math.min(limits.againMsMax, pauseMs * 2)
    return Math.min(pauseMs, await this.#untilAgainMs())
  }

  /** Gives all seats up. */
  release(): void {
    if (this.#components.circuits.relays.length === 0) return
    this.#components.circuits.release()
    this.changed()
  }

  /** Their connections are the last to be closed when there are too many. */
  changed(): void {
    const { circuits, keep } = this.#components
    this.#pauseMs = limits.againMsMin
    const held = circuits.relays
    for (const relay of this.#kept) {
      if (held.includes(relay)) continue
      this.#kept.delete(relay)
      keep(relay, false)
    }
    for (const relay of held) {
      if (this.#kept.has(relay)) continue
      this.#kept.add(relay)
      keep(relay, true)
    }
  }

  get #isFull(): boolean {
    return this.#components.circuits.relays.length >= limits.relays
  }

  /** Asks those that are connected, those from other parts of the internet first. */
  async #take(signal: AbortSignal): Promise<void> {
    const { circuits, random, logger } = this.#components
    const all = await this.#components.relays()
    const nets = new Set(all.filter(({ id }) => circuits.has(id.toString())).map(({ net }) => net))
    const free = all
      .filter(({ id }) => !circuits.has(id.toString()) && this.#mayAsk(id.toString()))
      .map((candidate) => ({ candidate, order: random.below(2 ** 31) }))
      .sort((a, b) => a.order - b.order)
      .map(({ candidate }) => candidate)
    for (const isFar of [true, false]) {
      for (const { id, net } of free) {
        if (this.#isFull || signal.aborted) return
        if (nets.has(net) === isFar || circuits.has(id.toString())) continue
        const peerId = id.toString()
        try {
          await unlessAborted(circuits.reserve(id), signal)
          nets.add(net)
          this.#failed.delete(peerId)
          logger.info('reached through a relay', { relay: peerId })
        } catch (error) {
          this.#fail(peerId)
          logger.debug('a relay has no seat', { relay: peerId, error: messageOf(error) })
        }
      }
    }
  }

  /** Connects to relays that the DHT names. */
  async #meet(signal: AbortSignal): Promise<void> {
    const { findProviders, connect, clock } = this.#components
    const limit = { ms: limits.searchMs, what: 'Looking for relays', signal }
    await within(clock, limit, async (soon) => {
      let read = 0
      for await (const { peerId, addresses } of findProviders(RELAYS, { signal: soon })) {
        if (++read > limits.hintsMax) break
        if (!this.#mayAsk(peerId)) continue
        await connect(peerId, addresses, { signal: soon }).catch(() => this.#fail(peerId))
      }
      // Whoever was met until then is met.
    }).catch(() => {})
  }

  #mayAsk(peerId: string): boolean {
    return (this.#failed.get(peerId)?.until ?? 0) <= this.#components.clock.elapsed()
  }

  /** Until one of those that are connected, and failed, may be asked again. */
  async #untilAgainMs(): Promise<number> {
    const now = this.#components.clock.elapsed()
    const times = (await this.#components.relays()).map(
      ({ id }) => this.#failed.get(id.toString())?.until ?? now,
    )
    return Math.min(...times.filter((until) => until > now)) - now
  }

  #fail(peerId: string): void {
    const times = this.#failed.get(peerId)?.times ?? 0
    const pauseMs = backoffMs(times, limits.againMsMin, limits.failedMsMax)
    const until = this.#components.clock.elapsed() + pauseMs
    this.#failed.set(peerId, { times: times + 1, until })
  }
}

const RELAYS = lookupKey('role', 'relay')
