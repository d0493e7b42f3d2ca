import { BusyError } from '../../base/errors.ts'
import type { Batch as Rows } from '../../storage/batch.ts'
import { StorageLimitError } from '../../storage/errors.ts'
import type { SealedEntry } from '../../wire/entry.ts'
import type { Place } from './feed-id.ts'

export interface AppendLimits {
  waitingMax: number
  waitingBytesMax: number
  /** Of what is written in one piece. */
  groupBytesMax: number
  /** Of one append, with its rows. */
  entriesMax: number
  appendBytesMax: number
}

export interface AppendOptions {
  /** Otherwise into a log that nobody else ever sees. */
  publish: boolean
  /** What happens together with the entries or not at all. */
  rows?: Rows
}

export interface Append extends AppendOptions {
  entries: readonly SealedEntry[]
  bytes: number
  resolve(places: Place[]): void
  reject(error: unknown): void
}

/** Appends that wait for the disk, the oldest first. */
export class AppendQueue {
  readonly #limits: AppendLimits
  #waiting: Append[] = []
  #bytes = 0

  constructor(limits: AppendLimits) {
    this.#limits = limits
  }

  get length(): number {
    return this.#waiting.length
  }

  /** Resolves when whoever takes it says so. Refuses with BusyError when too much waits. */
  push(entries: readonly SealedEntry[], options: AppendOptions): Promise<Place[]> {
    const bytes = entries.reduce((sum, entry) => sum + entry.bytes.length, options.rows?.bytes ?? 0)
    const { waitingMax, waitingBytesMax, entriesMax, appendBytesMax } = this.#limits
    if (entries.length > entriesMax) throw new StorageLimitError('An append', entriesMax, 'entries')
    if (bytes > appendBytesMax) throw new StorageLimitError('An append', appendBytesMax, 'bytes')
    if (this.length >= waitingMax || this.#bytes + bytes > waitingBytesMax) {
      throw new BusyError('The log is behind with writing. Ask again in a second.')
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ ...options, entries, bytes, resolve, reject })
      this.#bytes += bytes
    })
  }

  /** The oldest that make up one group; at least one, if any waits. */
  takeGroup(): Append[] {
    let bytes = 0
    let count = 0
    for (const append of this.#waiting) {
      bytes += append.bytes
      if (count > 0 && bytes > this.#limits.groupBytesMax) break
      count += 1
    }
    return this.#take(count)
  }

  takeAll(): Append[] {
    return this.#take(this.length)
  }

  #take(count: number): Append[] {
    const taken = this.#waiting.splice(0, count)
    for (const { bytes } of taken) this.#bytes -= bytes
    return taken
  }
}
