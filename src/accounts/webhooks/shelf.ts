import type { Clock } from '../../base/clock.ts'
import { firstIdAt, type IdKind } from '../../base/ids.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { Store } from '../../storage/store.ts'
import type { Table } from '../../storage/table.ts'
import { within } from './event-record.ts'

export interface ShelfOptions {
  kind: IdKind
  /** Of one group; up to a step more for a moment. */
  keepMax: number
  keepMs: number
}

/** Rows that go with one write: some milliseconds of work. */
const STEP_ROWS = 200
/** Groups whose number of rows is remembered; of another it is counted again. */
const COUNTS_MAX = 20_000

/** Rows in groups, each in order of time, of which the oldest go: by number and by age. */
export class Shelf {
  readonly #table: Table<string, unknown>
  readonly #store: Store
  readonly #clock: Clock
  readonly #options: ShelfOptions
  readonly #counts = new LruMap<string, number>(COUNTS_MAX)
  /** Groups that were said to need a trim, and wait for it. */
  readonly #asked = new Set<string>()

  constructor(
    table: Table<string, unknown>,
    { store, clock }: { store: Store; clock: Clock },
    options: ShelfOptions,
  ) {
    this.#table = table
    this.#store = store
    this.#clock = clock
    this.#options = options
  }

  /** One more row in the group. Says, once, that it is now to be trimmed. */
  added(group: string): boolean {
    const count = this.#counts.get(group)
    if (count !== undefined) {
      this.#counts.set(group, count + 1)
      if (count + 1 < this.#options.keepMax + STEP_ROWS) return false
    }
    if (this.#asked.has(group)) return false
    this.#asked.add(group)
    return true
  }

  /** Leaves a group its newest rows. */
  async trim(group: string, signal: AbortSignal): Promise<void> {
    const { keepMax } = this.#options
    this.#asked.delete(group)
    let count = this.#counts.get(group)
    if (count === undefined) {
      count = 0
      const all = { gt: within(group, ''), lt: `${group}0`, signal }
      for await (const _row of this.#table.range(all)) count += 1
    }
    if (count > keepMax) count -= await this.#removeOldest(group, count - keepMax, signal)
    this.#counts.set(group, count)
  }

  /** Goes through all groups: what is too old goes, and all of those that are not to stay. */
  async sweep(stays: (group: string) => boolean, signal: AbortSignal): Promise<void> {
    const { kind, keepMs } = this.#options
    const oldest = firstIdAt(kind, Math.max(0, this.#clock.now() - keepMs))
    for (let after = ''; ; ) {
      const group = await this.#groupAfter(after, signal)
      if (group === undefined) return
      const until = stays(group) ? within(group, oldest) : `${group}0`
      const removed = await this.#removeOldest(group, Number.POSITIVE_INFINITY, signal, until)
      const count = this.#counts.get(group)
      if (count !== undefined) this.#counts.set(group, Math.max(0, count - removed))
      after = `${group}0`
    }
  }

  async #groupAfter(after: string, signal: AbortSignal): Promise<string | undefined> {
    for await (const [key] of this.#table.range({ gte: after, limit: 1, signal })) {
      return key.slice(0, key.indexOf('/'))
    }
    return undefined
  }

  async #removeOldest(
    group: string,
    most: number,
    signal: AbortSignal,
    lt = `${group}0`,
  ): Promise<number> {
    let removed = 0
    while (removed < most) {
      const rows = this.#store.batch()
      const limit = Math.min(STEP_ROWS, most - removed)
      let found = 0
      for await (const [key] of this.#table.range({ gt: within(group, ''), lt, limit, signal })) {
        rows.del(this.#table, key)
        found += 1
      }
      if (found === 0) break
      await this.#store.write(rows)
      removed += found
    }
    return removed
  }
}
