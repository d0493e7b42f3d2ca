import { backoffMs } from '../../base/backoff.ts'
import type { Clock } from '../../base/clock.ts'
import type { PeerAction } from '../../base/errors.ts'
import { LruMap } from '../../base/lru-map.ts'
import { conductLimits as limits } from './limits.ts'

export interface Ban {
  /** Milliseconds since the epoch: it outlives a restart. */
  until: number
  /** How many this peer has had in a row. */
  count: number
}

/** Where bans are kept; a table of the store is one. */
export interface BanStore {
  range(): AsyncIterable<[peerId: string, ban: Ban]>
  put(peerId: string, ban: Ban): Promise<void>
  del(peerId: string): Promise<void>
}

interface Points {
  points: number
  /** `clock.elapsed()` when they were counted. */
  at: number
}

/** Who behaves badly, and who is not let in because of it. Decides only; the host acts. */
export class Bans {
  readonly #clock: Clock
  readonly #points = new LruMap<string, Points>(limits.peersMax)
  readonly #bans = new Map<string, Ban>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Takes over what was kept; returns the peers that need not be kept any longer. */
  restore(kept: Iterable<[peerId: string, ban: Ban]>): string[] {
    for (const [peerId, ban] of kept) {
      // A clock that was ahead when it banned must not do so for ever.
      const until = Math.min(ban.until, this.#clock.now() + limits.banMsMax)
      this.#bans.set(peerId, { ...ban, until })
    }
    return this.#forget()
  }

  /** Counts a fault; returns what has to be written and forgotten when it led to a ban. */
  fault(peerId: string, action: PeerAction): { ban: Ban; forgotten: string[] } | undefined {
    if (action === 'ignore' || this.isBanned(peerId)) return undefined
    const points = this.points(peerId) + 1
    if (action === 'penalise' && points <= limits.pointsMax) {
      this.#points.set(peerId, { points, at: this.#clock.elapsed() })
      return undefined
    }
    this.#points.delete(peerId)
    const count = (this.#bans.get(peerId)?.count ?? 0) + 1
    const ms = backoffMs(count - 1, limits.banFirstMs, limits.banMsMax)
    const ban = { until: this.#clock.now() + ms, count }
    this.#bans.set(peerId, ban)
    return { ban, forgotten: this.#forget() }
  }

  /** What is left of the faults counted against this peer. */
  points(peerId: string): number {
    const last = this.#points.get(peerId)
    if (last === undefined) return 0
    const halvings = (this.#clock.elapsed() - last.at) / limits.pointsHalfLifeMs
    return last.points * 0.5 ** halvings
  }

  isBanned(peerId: string): boolean {
    const ban = this.#bans.get(peerId)
    return ban !== undefined && ban.until > this.#clock.now()
  }

  #forget(): string[] {
    const forgotten: string[] = []
    const drop = (peerId: string) => {
      this.#bans.delete(peerId)
      forgotten.push(peerId)
    }
    for (const [peerId, ban] of this.#bans) {
      if (ban.until + limits.banForgottenMs < this.#clock.now()) drop(peerId)
    }
    const excess = this.#bans.size - limits.bansMax
    if (excess > 0) {
      const byEnd = [...this.#bans].toSorted(([, a], [, b]) => a.until - b.until)
      for (const [peerId] of byEnd.slice(0, excess)) drop(peerId)
    }
    return forgotten
  }
}
