import type { Row } from './backend.ts'
import { StorageLimitError } from './errors.ts'
import type { Table } from './table.ts'

/** Puts rows into the batch at the last moment; it must not fail. */
export type LastRows = (batch: Batch) => void

/** Changes to any tables that happen together or not at all. */
export class Batch {
  readonly #rowsMax: number
  readonly #bytesMax: number
  readonly #rows: Row[] = []
  /** Most batches have none. */
  #listeners: (() => void)[] | undefined
  readonly #last: LastRows[] = []
  #states: Map<object, LastRows> | undefined
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

  /**
   * Rows that follow from what was written before, as a balance does: asked for when the store takes
   * the batch. From then on only the disk can fail, and batches are written in the order of these
   * calls. They come behind all other rows. A batch that is refused never asks.
   */
  last(rows: LastRows): this {
    if (this.#sealed) throw sealedAlready()
    this.#last.push(rows)
    return this
  }

  /**
   * The state of `subject` as it is behind all of `last`: put once, however many of the batches that
   * came together changed it.
   */
  state(subject: object, rows: LastRows): this {
    if (this.#sealed) throw sealedAlready()
    this.#states ??= new Map()
    this.#states.set(subject, rows)
    return this
  }

  /** Takes over the rows of another batch, so that two rooms' changes happen together. */
  add(other: Batch): this {
    this.#push(other.#rows)
    for (const rows of other.#last) this.#last.push(rows)
    for (const [subject, rows] of other.#states ?? []) this.state(subject, rows)
    for (const listener of other.#listeners ?? []) this.onWritten(listener)
    return this
  }

  /** Calls `listener`, which must not throw, once the rows are written; never if that fails. */
  onWritten(listener: () => void): this {
    this.#listeners ??= []
    this.#listeners.push(listener)
    return this
  }

  /** Said by the store. */
  written(): void {
    for (const listener of this.#listeners ?? []) listener()
  }

  /** From here on the rows belong to the store. */
  seal(): readonly Row[] {
    for (const rows of this.#last.splice(0)) rows(this)
    for (const rows of this.#states?.values() ?? []) rows(this)
    this.#sealed = true
    return this.#rows
  }

  #push(rows: readonly Row[]): this {
    if (this.#sealed) throw sealedAlready()
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

const sealedAlready = () => new Error('this batch was already handed to the store')

const rowBytes = (row: Row): number => row.key.length + (row.type === 'put' ? row.value.length : 0)
