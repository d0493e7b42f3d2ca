import type { Clock } from '../../base/clock.ts'
import { BusyError } from '../../base/errors.ts'

/** Requests that wait for room at a provider: each is a client's connection, and some kilobytes. */
const WAITING_MAX = 4_096

/** Where requests wait until a provider has room, each model's in the order in which they came. */
export class Lobby {
  readonly #clock: Clock
  readonly #waiting = new Map<string, Set<() => void>>()
  #size = 0

  constructor({ clock }: { clock: Clock }) {
    this.#clock = clock
  }

  /** Resolves when it may be worth a try: something changed, the time has come, or an abort. */
  wait(modelId: string, ms: number, signal: AbortSignal): Promise<void> {
    if (this.#size >= WAITING_MAX) {
      throw new BusyError(`${WAITING_MAX} requests wait for providers already. Ask again later.`)
    }
    const queue = this.#waiting.get(modelId) ?? new Set()
    this.#waiting.set(modelId, queue)
    this.#size++
    return new Promise((resolve) => {
      const leave = () => {
        if (!queue.delete(leave)) return
        this.#size--
        if (queue.size === 0) this.#waiting.delete(modelId)
        cancel()
        signal.removeEventListener('abort', leave)
        resolve()
      }
      queue.add(leave)
      signal.addEventListener('abort', leave, { once: true })
      const cancel = this.#clock.after(ms, leave)
      if (signal.aborted) leave()
    })
  }

  /** Lets so many look again, those first that came first. */
  wake(modelId: string, count: number): void {
    let left = count
    for (const leave of this.#waiting.get(modelId) ?? []) {
      if (left-- <= 0) return
      leave()
    }
  }
}
