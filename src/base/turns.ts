/** One after the other for each key; for different keys, beside each other. */
export class Turns {
  /** Whoever comes next waits for these. */
  readonly #last = new Map<string, Promise<unknown>>()

  async inTurn<T>(key: string, task: () => Promise<T>): Promise<T> {
    const done = (this.#last.get(key) ?? Promise.resolve()).then(task)
    const turn = done.catch(() => {})
    this.#last.set(key, turn)
    try {
      return await done
    } finally {
      if (this.#last.get(key) === turn) this.#last.delete(key)
    }
  }
}
