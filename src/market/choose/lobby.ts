import type { Clock } from '../../base/clock.ts'
import { BusyError } from '../../base/errors.ts'

/** Requests that wait for room at a provider: each is a client's connection, and some kilobytes. */
const WAITING_MAX = 4_096
/** Of one account: however much it asks, so much of the room stays for others. */
const WAITING_OF_ONE_MAX = 3_072

interface Waiting {
  /** `clock.elapsed()` */
  until: number
  leave(): void
}

/** One account's requests for one model, in the order in which they came. */
type Line = Set<Waiting>

/**
 * Where requests wait until a provider has room. For each model accounts take turns, so that a
 * thousand requests of one do not keep the only one of another waiting.
 */
export class Lobby {
  readonly #clock: Clock
  /** Of a model's lines, the first is that whose turn it is. */
  readonly #models = new Map<string, Map<string, Line>>()
  readonly #sizes = new Map<string, number>()
  #size = 0

  constructor({ clock }: { clock: Clock }) {
    this.#clock = clock
  }

  /** Resolves when it may be worth a try: something changed, the time has come, or an abort. */
  wait(
    { modelId, account }: { modelId: string; account: string },
    ms: number,
    signal: AbortSignal,
  ): Promise<void> {
    this.#count(account)
    const lines = this.#models.get(modelId) ?? new Map<string, Line>()
    this.#models.set(modelId, lines)
    const line = lines.get(account) ?? new Set()
    lines.set(account, line)
    return new Promise((resolve) => {
      const leave = () => {
        if (!line.delete(waiting)) return
        this.#uncount(account)
        if (line.size === 0) lines.delete(account)
        if (lines.size === 0) this.#models.delete(modelId)
        cancel()
        signal.removeEventListener('abort', leave)
        resolve()
      }
      const waiting = { until: this.#clock.elapsed() + ms, leave }
      line.add(waiting)
      signal.addEventListener('abort', leave, { once: true })
      const cancel = this.#clock.after(ms, () => this.#wakeDue(modelId, waiting))
      if (signal.aborted) leave()
    })
  }

  /** Lets so many look again: of each account one, and so on. */
  wake(modelId: string, count: number): void {
    for (let left = count; left > 0; left--) {
      const next = this.#next(modelId)
      if (next === undefined) return
      next.leave()
    }
  }

  /** Whoever else waits for the same time looks again with it, by turns: who is first gets the room. */
  #wakeDue(modelId: string, first: Waiting): void {
    const now = Math.max(this.#clock.elapsed(), first.until)
    const lines = [...(this.#models.get(modelId)?.values() ?? [])].map((line) =>
      [...line].filter(({ until }) => until <= now),
    )
    const longest = Math.max(0, ...lines.map(({ length }) => length))
    for (let turn = 0; turn < longest; turn++) for (const line of lines) line[turn]?.leave()
  }

  /** Its account has its next turn after all others. */
  #next(modelId: string): Waiting | undefined {
    const lines = this.#models.get(modelId)
    for (const [account, line] of lines ?? []) {
      lines?.delete(account)
      lines?.set(account, line)
      for (const waiting of line) return waiting
    }
    return undefined
  }

  #count(account: string): void {
    const own = this.#sizes.get(account) ?? 0
    if (this.#size >= WAITING_MAX || own >= WAITING_OF_ONE_MAX) {
      const most = Math.min(this.#size, WAITING_MAX)
      throw new BusyError(`${most} requests wait for providers already. Ask again later.`)
    }
    this.#size++
    this.#sizes.set(account, own + 1)
  }

  #uncount(account: string): void {
    this.#size--
    const own = (this.#sizes.get(account) ?? 0) - 1
    if (own > 0) this.#sizes.set(account, own)
    else this.#sizes.delete(account)
  }
}
