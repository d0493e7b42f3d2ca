/** What a coordinator may have open before it has acknowledged anything. */
const ALLOWANCE_MIN = 1
/** As many as it may have streams here. */
export const ALLOWANCE_MAX = 256
/** Long enough to cost who never acknowledges, short enough for who only lost its connection. */
export const UNACKNOWLEDGED_MS = 60_000

/** What is cut off so close on each other, one thing has cut off: a crash, or a cable. */
const ONE_CUT_MS = 1_000

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
  /** When it was halved for what was not acknowledged. */
  #cutAt = Number.NEGATIVE_INFINITY
  /** Jobs that were never acknowledged: until when each counts, and what it was; in order. */
  readonly #unacknowledged: { until: number; work: string | undefined }[] = []

  get size(): number {
    return this.#size
  }

  get running(): number {
    return this.#running
  }

  /**
   * Takes a place, if there is one: perhaps that of the same work, which was cut off and is asked
   * for again. Returns what `leave` is to be told: nothing for the latter, which gets no third try.
   */
  enter(now: number, work: string): { work: string | undefined } | undefined {
    while ((this.#unacknowledged[0]?.until ?? now + 1) <= now) this.#unacknowledged.shift()
    const cut = this.#unacknowledged.findIndex((each) => each.work === work)
    const taken = this.#running + (cut < 0 ? this.#held : 0)
    if (taken >= this.#size) return undefined
    if (cut >= 0) this.#unacknowledged.splice(cut, 1)
    this.#running++
    return { work: cut < 0 ? work : undefined }
  }

  /** Places of what was not acknowledged: whoever has proved itself keeps one to go on with. */
  get #held(): number {
    return Math.min(this.#unacknowledged.length, Math.max(ALLOWANCE_MIN, this.#size - 1))
  }

  leave(settlement: Settlement, now: number, work?: string): void {
    this.#running--
    if (settlement === 'acknowledged') this.#size = Math.min(ALLOWANCE_MAX, this.#size + 1)
    if (settlement === 'disputed') this.#halve()
    if (settlement !== 'unacknowledged') return
    this.#unacknowledged.push({ until: now + UNACKNOWLEDGED_MS, work })
    if (now < this.#cutAt + ONE_CUT_MS) return
    this.#cutAt = now
    this.#halve()
  }

  #halve(): void {
    this.#size = Math.max(ALLOWANCE_MIN, Math.floor(this.#size / 2))
  }
}
