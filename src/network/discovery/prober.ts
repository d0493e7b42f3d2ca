import { backoffMs } from '../../base/backoff.ts'
import type { Clock } from '../../base/clock.ts'
import { within } from '../../base/deadline.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { Metrics } from '../../base/metrics.ts'
import type { Network } from '../network.ts'
import type { AdvertExchange } from './advert-exchange.ts'
import type { Background } from './background.ts'
import type { MemoryDirectory } from './memory-directory.ts'
import type { LossReason, Roster } from './roster.ts'

/** As long as it has to give its advert. */
const PING_MS = 3_000
/** What a peer says of itself is asked for again that often; meanwhile that it is there will do. */
const ASK_EVERY_MS = 60_000
/** Long enough for a peer that was restarted to listen again. */
const RETRY_MS = 1_000
/** Two times what a healthy peer that is watched leaves between two words. */
const HANGING_MS = 10_000
/** What was found out so short a time ago is still true. */
const SUSPICION_MS = 5_000
/** Others may make this peer ask a healthy one no oftener. */
const HEARSAY_MS = 30_000
/** Doubled with each further time that the reporter was wrong. */
const MUTE_MS = 60_000
const MUTE_MS_MAX = 3_600_000
const REMEMBERED_MAX = 1024

export interface ProberComponents {
  network: Pick<Network, 'disconnect' | 'ping' | 'pingedAt'>
  directory: MemoryDirectory
  roster: Roster
  exchange: Pick<AdvertExchange, 'ask'>
  background: Background
  clock: Clock
  metrics: Metrics
}

interface Mute {
  untilMs: number
  wrong: number
}

/** Finds out by itself whether a listed peer is still there; nobody's word is enough to remove one. */
export class Prober {
  readonly #components: ProberComponents
  readonly #probing = new Map<string, Promise<boolean>>()
  /** When it last gave its advert. */
  readonly #saidAt = new LruMap<string, number>(REMEMBERED_MAX)
  readonly #suspectedAt = new LruMap<string, number>(REMEMBERED_MAX)
  readonly #mutes = new LruMap<string, Mute>(REMEMBERED_MAX)
  readonly #probes

  constructor(components: ProberComponents) {
    this.#components = components
    this.#probes = components.metrics.counter(
      'pinaivu_directory_probes_total',
      'Times that a listed peer was asked whether it is still there.',
      ['result'],
    )
  }

  /**
   * Asks it twice; one that does not answer is not listed any more. One that was only silent, and has
   * pinged this peer meanwhile, is not asked: of two that know each other one pings.
   */
  probe(peerId: string, reason: LossReason): void {
    if (reason === 'silent' && this.#isWellKnown(peerId) && this.#hasPinged(peerId)) return
    this.#components.background.run(async (signal) => {
      await this.#isThere(peerId, reason, signal)
    })
  }

  /** Something speaks against this peer: an own failure, or the word of `reporter`. */
  suspect(peerId: string, reporter?: string): void {
    const { directory, clock, background } = this.#components
    if (directory.get(peerId) === undefined) return
    const now = clock.elapsed()
    if (reporter !== undefined && (this.#mutes.get(reporter)?.untilMs ?? 0) > now) return
    const before = this.#suspectedAt.get(peerId) ?? Number.NEGATIVE_INFINITY
    if (now - before < (reporter === undefined ? SUSPICION_MS : HEARSAY_MS)) return
    this.#suspectedAt.set(peerId, now)
    background.run(async (signal) => {
      const there = await this.#isThere(peerId, 'suspected', signal)
      if (there && reporter !== undefined) this.#mute(reporter)
    })
  }

  #isThere(peerId: string, reason: LossReason, signal: AbortSignal): Promise<boolean> {
    let probing = this.#probing.get(peerId)
    if (probing === undefined) {
      probing = this.#ask(peerId, reason, signal).finally(() => this.#probing.delete(peerId))
      this.#probing.set(peerId, probing)
    }
    return probing
  }

  async #ask(peerId: string, reason: LossReason, signal: AbortSignal): Promise<boolean> {
    const { clock, directory, roster } = this.#components
    const beganAt = clock.elapsed()
    const there =
      (reason === 'silent' && this.#isWellKnown(peerId) && (await this.#echoes(peerId, signal))) ||
      (await this.#answers(peerId, signal)) ||
      (await clock.sleep(RETRY_MS, signal).then(() => this.#answersNow(peerId, signal))) ||
      // It was heard of in another way meanwhile, as by a status.
      (directory.get(peerId)?.heardAt ?? 0) > beganAt
    signal.throwIfAborted()
    this.#probes.add(1, { result: there ? 'there' : 'gone' })
    if (!there) roster.lose(peerId, reason)
    return there
  }

  #isWellKnown(peerId: string): boolean {
    const { clock, directory } = this.#components
    const saidAt = this.#saidAt.get(peerId) ?? Number.NEGATIVE_INFINITY
    const isFresh = clock.elapsed() - saidAt < ASK_EVERY_MS
    return isFresh && directory.get(peerId)?.connected === true
  }

  /** Since it was last heard of, which was some time ago. */
  #hasPinged(peerId: string): boolean {
    const { directory, network } = this.#components
    const pingedAt = network.pingedAt(peerId) ?? Number.NEGATIVE_INFINITY
    if (pingedAt <= (directory.get(peerId)?.heardAt ?? Number.POSITIVE_INFINITY)) return false
    directory.update(peerId, { heardAt: pingedAt })
    return true
  }

  async #echoes(peerId: string, signal: AbortSignal): Promise<boolean> {
    const { clock, directory, network } = this.#components
    const limit = { ms: PING_MS, what: 'A ping', signal }
    try {
      await within(clock, limit, (signal) => network.ping(peerId, { signal }))
    } catch {
      return false
    }
    directory.update(peerId, { heardAt: clock.elapsed() })
    return true
  }

  /** One that is not listed any more is not asked. */
  async #answers(peerId: string, signal: AbortSignal): Promise<boolean> {
    const { clock, directory, exchange } = this.#components
    const entry = directory.get(peerId)
    if (entry === undefined) return false
    const asked = { addresses: entry.advert.addresses, signal }
    try {
      await exchange.ask(peerId, asked)
    } catch {
      return false
    }
    this.#saidAt.set(peerId, clock.elapsed())
    return true
  }

  async #answersNow(peerId: string, signal: AbortSignal): Promise<boolean> {
    const { clock, directory, network } = this.#components
    const heardAt = directory.get(peerId)?.heardAt ?? Number.POSITIVE_INFINITY
    // Its connection hangs, as after a change of address. A new one may get through.
    if (clock.elapsed() - heardAt > HANGING_MS) await network.disconnect(peerId).catch(() => {})
    return await this.#answers(peerId, signal)
  }

  #mute(reporter: string): void {
    const wrong = (this.#mutes.get(reporter)?.wrong ?? 0) + 1
    const ms = backoffMs(wrong - 1, MUTE_MS, MUTE_MS_MAX)
    this.#mutes.set(reporter, { untilMs: this.#components.clock.elapsed() + ms, wrong })
  }
}
