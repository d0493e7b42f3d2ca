/** What a coordinator may have open before it has acknowledged anything. */
const ALLOWANCE_MIN = 1
/** As many as it may have streams here. */
export const ALLOWANCE_MAX = 256
/** Long enough to cost who never acknowledges, short enough for who only lost its connection. */
export const UNACKNOWLEDGED_MS = 60_000

/**
 * acknowledged: it has the answer and says so · disputed: it says the answer is not right ·
 * unacknowledged: it had work of ours and said nothing · nothing-owed: there was no work, or the
 * fault is ours.
 */
export type Settlement = 'acknowledged' | 'disputed' | 'unacknowledged' | 'nothing-owed'

/** How many jobs one coordinator may have open here: it grows with each that it acknowledges. */
export class Allowance {
  #size = ALLOWANCE_MIN
  #running = 0
  /** When each job that was never acknowledged stops counting; in order. */
  readonly #unacknowledged: number[] = []

  get size(): number {
    return this.#size
  }

  get running(): number {
    return this.#running
  }

  /** Takes a place, if there is one. */
  enter(now: number): boolean {
    while ((this.#unacknowledged[0] ?? now + 1) <= now) this.#unacknowledged.shift()
    if (this.#running + this.#unacknowledged.length >= this.#size) return false
    this.#running++
    return true
  }

  leave(settlement: Settlement, now: number): void {
    this.#running--
    if (settlement === 'acknowledged') this.#size = Math.min(ALLOWANCE_MAX, this.#size + 1)
    if (settlement === 'disputed' || settlement === 'unacknowledged') {
      this.#size = Math.max(ALLOWANCE_MIN, Math.floor(this.#size / 2))
    }
    if (settlement === 'unacknowledged') this.#unacknowledged.push(now + UNACKNOWLEDGED_MS)
  }
}
