import type { Row } from './backend.ts'
import { StorageLimitError } from './errors.ts'
import type { Table } from './table.ts'

/** Changes to any tables that happen together or not at all. */
export class Batch {
  readonly #rowsMax: number
  readonly #bytesMax: number
  readonly #rows: Row[] = []
  #bytes = 0
  #sealed = false

  constructor(limits: { rowsMax: number; bytesMax: number }) {
    this.#rowsMax = limits.rowsMax
    this.#bytesMax = limits.bytesMax
  }

  get rows(): readonly Row[] {
    return this.#rows
  }

  /** Of keys and values as stored. */
  get bytes(): number {
    return this.#bytes
  }

  put<K, V>(table: Table<K, V>, key: K, value: V): this {
    return this.#push([table.rowToPut(key, value)])
  }

  del<K, V>(table: Table<K, V>, key: K): this {
    return this.#push([table.rowToDel(key)])
  }

  /** Takes over the rows of another batch, so that two rooms' changes happen together. */
  add(other: Batch): this {
    return this.#push(other.rows)
  }

  /** From here on the rows belong to the store. */
  seal(): readonly Row[] {
    this.#sealed = true
    return this.#rows
  }

  #push(rows: readonly Row[]): this {
    if (this.#sealed) throw new Error('this batch was already handed to the store')
    const bytes = rows.reduce((sum, row) => sum + rowBytes(row), this.#bytes)
    if (this.#rows.length + rows.length > this.#rowsMax) {
      throw new StorageLimitError('The batch', this.#rowsMax, 'rows')
    }
    if (bytes > this.#bytesMax) throw new StorageLimitError('The batch', this.#bytesMax, 'bytes')
    for (const row of rows) this.#rows.push(row)
    this.#bytes = bytes
    return this
  }
}

const rowBytes = (row: Row): number => row.key.length + (row.type === 'put' ? row.value.length : 0)
