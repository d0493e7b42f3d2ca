/** Lets so many tasks run at once; the others wait for their turn, first come, first served. */
export class Turns {
  readonly #limit: number
  readonly #waiting = new Set<() => void>()
  #running = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  async take<T>(signal: AbortSignal, task: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#limit) await this.#turn(signal)
    else this.#running++
    try {
      return await task()
    } finally {
      this.#pass()
    }
  }

  #turn(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#waiting.delete(go)
        reject(signal.reason)
      }
      const go = () => {
        signal.removeEventListener('abort', onAbort)
        resolve()
      }
      signal.addEventListener('abort', onAbort, { once: true })
      this.#waiting.add(go)
    })
  }

  /** To the next who waits, or to whoever comes. */
  #pass(): void {
    for (const go of this.#waiting) {
      this.#waiting.delete(go)
      go()
      return
    }
    this.#running--
  }
}
