import type { Backend, Row } from './backend.ts'
import type { KeyCodec, ValueCodec } from './codec.ts'
import { RowError, StorageLimitError } from './errors.ts'

export interface TableCodec<K, V> {
  key: KeyCodec<K>
  value: ValueCodec<V>
}

export interface Range<K> {
  gt?: K
  gte?: K
  lt?: K
  lte?: K
  reverse?: boolean
  /** At most this many rows. */
  limit?: number
  signal?: AbortSignal
}

/** What a table needs of its store. */
export interface TableHost {
  backend: Backend
  /** Writes at once, without waiting for the disk. */
  write(rows: readonly Row[]): Promise<void>
  /** Throws once the store is closed. */
  assertOpen(): void
  keyBytesMax: number
  valueBytesMax: number
}

/**
 * Rows of one kind, ordered by the bytes of their encoded keys (see the key codecs).
 * Reads see what is committed: a commit's rows appear when it resolves, at the latest.
 */
export class Table<K, V> {
  readonly name: string
  readonly #host: TableHost
  readonly #codec: TableCodec<K, V>
  readonly #prefix: Uint8Array
  readonly #end: Uint8Array

  constructor(name: string, codec: TableCodec<K, V>, host: TableHost) {
    this.name = name
    this.#host = host
    this.#codec = codec
    this.#prefix = tablePrefix(name)
    // The last byte is a letter, digit or dash, so one more never overflows.
    this.#end = this.#prefix.with(-1, (this.#prefix.at(-1) ?? 0) + 1)
  }

  async get(key: K): Promise<V | undefined> {
    this.#host.assertOpen()
    const full = this.#fullKey(key)
    const bytes = await this.#host.backend.get(full)
    return bytes && this.#decodeValue(full, bytes)
  }

  /** In the order of `keys`; undefined where there is no row. */
  async getMany(keys: readonly K[]): Promise<(V | undefined)[]> {
    this.#host.assertOpen()
    const full = keys.map((key) => this.#fullKey(key))
    const found = await this.#host.backend.getMany(full)
    return full.map((key, index) => {
      const bytes = found[index]
      return bytes && this.#decodeValue(key, bytes)
    })
  }

  /** For caches: outlives a crash of the process, perhaps not one of the machine. */
  async put(key: K, value: V): Promise<void> {
    await this.#host.write([this.rowToPut(key, value)])
  }

  /** As durable as `put`. */
  async del(key: K): Promise<void> {
    await this.#host.write([this.rowToDel(key)])
  }

  /** The rows as they were when the iteration began. Leaving the loop early frees what it holds. */
  async *range(range: Range<K> = {}): AsyncGenerator<[key: K, value: V]> {
    this.#host.assertOpen()
    const limit = range.limit ?? Number.POSITIVE_INFINITY
    const [gte, lt] = this.#bounds(range)
    if (limit <= 0 || Buffer.compare(gte, lt) >= 0) return
    const rows = this.#host.backend.range({
      gte,
      lt,
      limit,
      reverse: range.reverse ?? false,
      signal: range.signal,
    })
    for await (const [key, value] of rows) {
      yield [this.#decodeKey(key), this.#decodeValue(key, value)]
    }
  }

  /** The change that `Batch.put` takes over. */
  rowToPut(key: K, value: V): Row {
    const bytes = this.#codec.value.encode(value)
    if (bytes.length > this.#host.valueBytesMax) {
      throw new StorageLimitError(`A row of ${this.name}`, this.#host.valueBytesMax, 'bytes')
    }
    return { type: 'put', key: this.#fullKey(key), value: bytes }
  }

  rowToDel(key: K): Row {
    return { type: 'del', key: this.#fullKey(key) }
  }

  #fullKey(key: K): Uint8Array {
    const own = this.#codec.key.encode(key)
    if (own.length > this.#host.keyBytesMax) {
      throw new StorageLimitError(`A key of ${this.name}`, this.#host.keyBytesMax, 'bytes')
    }
    const full = new Uint8Array(this.#prefix.length + own.length)
    full.set(this.#prefix)
    full.set(own, this.#prefix.length)
    return full
  }

  /** The tightest `[gte, lt)` that the range says. The next key after `k` is `k` and a zero byte. */
  #bounds(range: Range<K>): [gte: Uint8Array, lt: Uint8Array] {
    const starts = [this.#prefix]
    const ends = [this.#end]
    if (range.gte !== undefined) starts.push(this.#fullKey(range.gte))
    if (range.gt !== undefined) starts.push(successor(this.#fullKey(range.gt)))
    if (range.lt !== undefined) ends.push(this.#fullKey(range.lt))
    if (range.lte !== undefined) ends.push(successor(this.#fullKey(range.lte)))
    return [
      starts.reduce((a, b) => (Buffer.compare(a, b) > 0 ? a : b)),
      ends.reduce((a, b) => (Buffer.compare(a, b) < 0 ? a : b)),
    ]
  }

  #decodeKey(full: Uint8Array): K {
    try {
      return this.#codec.key.decode(full.slice(this.#prefix.length))
    } catch (error) {
      throw new RowError(this.name, this.#nameOf(full), error)
    }
  }

  #decodeValue(full: Uint8Array, bytes: Uint8Array): V {
    try {
      return this.#codec.value.decode(bytes)
    } catch (error) {
      throw new RowError(this.name, this.#nameOf(full), error)
    }
  }

  /** A key for people: as text where it is plain, else in hex. */
  #nameOf(full: Uint8Array): string {
    const own = Buffer.from(full.subarray(this.#prefix.length))
    const text = own.toString('latin1')
    return /^[\x21-\x7e]{1,128}$/.test(text) ? text : `0x${own.toString('hex').slice(0, 256)}`
  }
}

/** The name's length and the name: no table's prefix can begin another's. */
export function tablePrefix(name: string): Uint8Array {
  if (!/^[a-z][a-z0-9-]{0,31}$/.test(name)) throw new TypeError(`bad table name: ${name}`)
  return Uint8Array.of(name.length, ...new TextEncoder().encode(name))
}

function successor(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1)
  next.set(key)
  return next
}
