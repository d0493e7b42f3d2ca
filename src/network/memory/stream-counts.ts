import type { Clock } from '../../base/clock.ts'
import type { HandlerLimits } from '../network.ts'

/** How many streams others open, and have open, by peer. */
export class StreamCounts {
  readonly #clock: Clock
  readonly #opens = new Map<string, number[]>()
  readonly #now = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  tooMany(peerId: string, limits: HandlerLimits): boolean {
    const now = this.#clock.elapsed()
    const recent = (this.#opens.get(peerId) ?? []).filter((openedAt) => openedAt > now - 1_000)
    this.#opens.set(peerId, [...recent, now])
    return (
      recent.length >= limits.opensPerSecond || (this.#now.get(peerId) ?? 0) >= limits.streamsMax
    )
  }

  began(peerId: string): void {
    this.#now.set(peerId, (this.#now.get(peerId) ?? 0) + 1)
  }

  ended(peerId: string): void {
    this.#now.set(peerId, (this.#now.get(peerId) ?? 1) - 1)
  }
}
