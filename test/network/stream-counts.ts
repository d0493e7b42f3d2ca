import type { Clock } from '../../src/base/clock.ts'
import type { HandlerLimits } from '../../src/network/network.ts'

/** How many streams others open, and have open, by protocol and peer. */
export class StreamCounts {
  readonly #clock: Clock
  readonly #opens = new Map<string, number[]>()
  readonly #now = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  tooMany(name: string, limits: HandlerLimits): boolean {
    const now = this.#clock.elapsed()
    const recent = (this.#opens.get(name) ?? []).filter((openedAt) => openedAt > now - 1_000)
    this.#opens.set(name, [...recent, now])
    return recent.length >= limits.opensPerSecond || (this.#now.get(name) ?? 0) >= limits.streamsMax
  }

  began(name: string): void {
    this.#now.set(name, (this.#now.get(name) ?? 0) + 1)
  }

  ended(name: string): void {
    this.#now.set(name, (this.#now.get(name) ?? 1) - 1)
  }
}
