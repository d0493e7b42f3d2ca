interface Entry<K, V> {
  key: K
  value: V
  older: Entry<K, V> | undefined
  newer: Entry<K, V> | undefined
}

/**
 * A map that forgets what was not asked for or set for longest.
 *
 * A Map alone would do, by taking out what is used and putting it in again, but for V8: its order
 * is a table that is written anew whenever it is full of gaps, and an iterator that stands at its
 * oldest entry keeps every table alive that there ever was.
 */
export class LruMap<K, V> {
  readonly #limit: number
  readonly #map = new Map<K, Entry<K, V>>()
  #oldest: Entry<K, V> | undefined
  #newest: Entry<K, V> | undefined

  constructor(limit: number) {
    this.#limit = limit
  }

  get size(): number {
    return this.#map.size
  }

  get(key: K): V | undefined {
    const entry = this.#map.get(key)
    if (entry !== undefined) this.#use(entry)
    return entry?.value
  }

  set(key: K, value: V): void {
    const known = this.#map.get(key)
    if (known !== undefined) {
      known.value = value
      this.#use(known)
      return
    }
    const entry: Entry<K, V> = { key, value, older: undefined, newer: undefined }
    this.#map.set(key, entry)
    this.#append(entry)
    if (this.#map.size > this.#limit && this.#oldest !== undefined) this.delete(this.#oldest.key)
  }

  delete(key: K): boolean {
    const entry = this.#map.get(key)
    if (entry === undefined) return false
    this.#unlink(entry)
    return this.#map.delete(key)
  }

  /** The oldest first. */
  entries(): [K, V][] {
    const all: [K, V][] = []
    for (let each = this.#oldest; each !== undefined; each = each.newer) {
      all.push([each.key, each.value])
    }
    return all
  }

  #use(entry: Entry<K, V>): void {
    if (entry === this.#newest) return
    this.#unlink(entry)
    this.#append(entry)
  }

  #append(entry: Entry<K, V>): void {
    entry.older = this.#newest
    if (this.#newest === undefined) this.#oldest = entry
    else this.#newest.newer = entry
    this.#newest = entry
  }

  /** Leaves nothing in it that points at others: what is forgotten keeps nobody else alive. */
  #unlink(entry: Entry<K, V>): void {
    const { older, newer } = entry
    if (older === undefined) this.#oldest = newer
    else older.newer = newer
    if (newer === undefined) this.#newest = older
    else newer.older = older
    entry.older = undefined
    entry.newer = undefined
  }
}
