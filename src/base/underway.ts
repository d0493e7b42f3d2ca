/**
 * What is under way, until it leaves. A Set would do, but for V8: each time a Set outgrows its table
 * the old one keeps what is in it alive, and the next table too, until the next full collection.
 */
export class Underway<T> {
  readonly #entries: { item: T; at: number }[] = []

  get size(): number {
    return this.#entries.length
  }

  /** Returns how it leaves, which may be called again. */
  add(item: T): () => void {
    const entry = { item, at: this.#entries.length }
    this.#entries.push(entry)
    return () => {
      const last = this.#entries.at(-1)
      if (this.#entries[entry.at] !== entry || last === undefined) return
      this.#entries[entry.at] = last
      last.at = entry.at
      this.#entries.pop()
    }
  }

  all(): T[] {
    return this.#entries.map(({ item }) => item)
  }
}
