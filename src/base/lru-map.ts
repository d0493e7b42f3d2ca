/** A map that forgets what was not asked for or set for longest. */
export class LruMap<K, V> {
  readonly #limit: number
  readonly #map = new Map<K, V>()
  /**
   * Stands before the oldest of all, for what it passed was deleted, and what comes goes to the end.
   * A new one would walk over all that was deleted since the map made room last.
   */
  readonly #oldest = this.#map.keys()

  constructor(limit: number) {
    this.#limit = limit
  }

  get size(): number {
    return this.#map.size
  }

  get(key: K): V | undefined {
    const value = this.#map.get(key)
    if (value === undefined) return undefined
    this.#map.delete(key)
    this.#map.set(key, value)
    return value
  }

  set(key: K, value: V): void {
    this.#map.delete(key)
    this.#map.set(key, value)
    if (this.#map.size > this.#limit) this.#map.delete(this.#oldest.next().value as K)
  }

  delete(key: K): boolean {
    return this.#map.delete(key)
  }

  /** The oldest first. */
  entries(): IterableIterator<[K, V]> {
    return this.#map.entries()
  }
}
