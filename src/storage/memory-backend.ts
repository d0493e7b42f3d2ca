import type { Backend, KeyRange, Row } from './backend.ts'

/**
 * A store that lives as long as its process, for tests and simulations.
 * Keeps its rows after `close`, so that opening it again is a restart.
 */
export class MemoryBackend implements Backend {
  readonly #values = new Map<string, Uint8Array>()
  /** The keys of `#values`, sorted. One character a byte, so that strings compare as their bytes. */
  readonly #keys: string[] = []

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#values.get(stringOf(key))?.slice()
  }

  async getMany(keys: Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return keys.map((key) => this.#values.get(stringOf(key))?.slice())
  }

  async *range({
    gte,
    lt,
    reverse,
    limit,
    signal,
  }: KeyRange): AsyncGenerator<[Uint8Array, Uint8Array]> {
    const keys = this.#keys.slice(this.#indexOf(stringOf(gte)), this.#indexOf(stringOf(lt)))
    if (reverse) keys.reverse()
    const rows = keys.slice(0, limit).map((key) => [key, this.#values.get(key)] as const)
    for (const [key, value] of rows) {
      signal?.throwIfAborted()
      if (value !== undefined) yield [bytesOf(key), value.slice()]
    }
  }

  async write(rows: readonly Row[]): Promise<void> {
    for (const row of rows) {
      const key = stringOf(row.key)
      const index = this.#indexOf(key)
      const known = this.#keys[index] === key
      if (row.type === 'put') {
        this.#values.set(key, row.value.slice())
        if (!known) this.#keys.splice(index, 0, key)
      } else if (known) {
        this.#values.delete(key)
        this.#keys.splice(index, 1)
      }
    }
  }

  async close(): Promise<void> {}

  /** Where `key` stands, or would stand, among the sorted keys. */
  #indexOf(key: string): number {
    let low = 0
    let high = this.#keys.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#keys[middle] ?? '') < key) low = middle + 1
      else high = middle
    }
    return low
  }
}

const stringOf = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')

const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'))
