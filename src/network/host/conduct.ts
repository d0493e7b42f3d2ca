import type { Clock } from '../../base/clock.ts'
import { messageOf, type PeerAction, PeerError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Metrics } from '../../base/metrics.ts'
import { type Ban, type BanStore, Bans } from './bans.ts'

export interface ConductComponents {
  bans: BanStore
  clock: Clock
  logger: Logger
  metrics: Metrics
  /** Closes every connection to a peer that was banned. */
  cutOff(peerId: string, reason: Error): void
}

/** Where every fault of a peer is told, and what follows from it. */
export class Conduct {
  readonly #components: ConductComponents
  readonly #bans: Bans
  readonly #blamed = new WeakSet<Error>()
  readonly #faults
  readonly #banned

  constructor(components: ConductComponents) {
    this.#components = components
    this.#bans = new Bans(components.clock)
    const { metrics } = components
    this.#faults = metrics.counter(
      'pinaivu_network_peer_faults_total',
      'Faults of other peers, by what they deserve.',
      ['action'],
    )
    this.#banned = metrics.counter('pinaivu_network_bans_total', 'Times that a peer was banned.')
  }

  /** Bans of an earlier run hold on. */
  async load(): Promise<void> {
    const { bans: store, logger } = this.#components
    try {
      const kept: [peerId: string, ban: Ban][] = []
      for await (const row of store.range()) kept.push(row)
      for (const peerId of this.#bans.restore(kept)) await store.del(peerId)
    } catch (error) {
      logger.warn('the list of banned peers is lost', { error: messageOf(error) })
    }
  }

  fault(peerId: string, action: PeerAction, reason: string): void {
    const { logger, cutOff } = this.#components
    this.#faults.add(1, { action })
    logger.debug('fault of a peer', { peerId, action, reason })
    const verdict = this.#bans.fault(peerId, action)
    if (verdict === undefined) return
    const { ban, forgotten } = verdict
    this.#banned.add()
    logger.info('peer banned', { peerId, reason, until: new Date(ban.until).toISOString() })
    cutOff(peerId, new PeerError('peer_banned', `That peer is banned: ${reason}.`))
    void this.#save([[peerId, ban], ...forgotten.map((other) => [other, undefined] as const)])
  }

  /** The same for something that was thrown; an error that comes by twice counts once. */
  blame(peerId: string, error: unknown): void {
    if (!(error instanceof PeerError) || error.action === undefined) return
    if (this.#blamed.has(error)) return
    this.#blamed.add(error)
    this.fault(peerId, error.action, error.code)
  }

  isBanned(peerId: string): boolean {
    return this.#bans.isBanned(peerId)
  }

  /** What gossip thinks of it beside its own score: zero, or less for each recent fault. */
  standing(peerId: string): number {
    return -this.#bans.points(peerId)
  }

  async #save(rows: (readonly [string, Ban | undefined])[]) {
    const { bans: store, logger } = this.#components
    try {
      for (const [peerId, ban] of rows) {
        if (ban === undefined) await store.del(peerId)
        else await store.put(peerId, ban)
      }
    } catch (error) {
      logger.warn('a ban was not written down', { error: messageOf(error) })
    }
  }
}
