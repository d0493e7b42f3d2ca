import { LruMap } from '../base/lru-map.ts'
import type { Batch } from '../storage/batch.ts'
import { integerKey, textKey } from '../storage/codec.ts'
import type { Store } from '../storage/store.ts'
import type { Range, Table } from '../storage/table.ts'

/** Far more payees than have work on its way to the disk at one time. */
const TOTALS_MAX = 8192

/**
 * Micro-credits for all work of each peer together: what entries of the log say that is owed. Work
 * whose own entry could not be written was done all the same, and counts in the next one.
 */
export class Owed {
  readonly #table: Table<string, number>
  /** With what is on its way to the disk. */
  readonly #totals = new LruMap<string, Promise<number>>(TOTALS_MAX)
  /** Whoever comes next waits for these. */
  readonly #turns = new Map<string, Promise<unknown>>()

  constructor({ store }: { store: Store }) {
    this.#table = owedTable(store)
  }

  /** For each payee one after the other: what is owed only grows, in the log and on the disk. */
  async inTurn<T>(peerId: string, task: () => Promise<T>): Promise<T> {
    const done = (this.#turns.get(peerId) ?? Promise.resolve()).then(task)
    const turn = done.catch(() => {})
    this.#turns.set(peerId, turn)
    try {
      return await done
    } finally {
      if (this.#turns.get(peerId) === turn) this.#turns.delete(peerId)
    }
  }

  /** Adds what is owed for one job and puts the new total, which it returns, into the rows. */
  async add(peerId: string, amount: number, rows: Batch): Promise<number> {
    const before = this.#totals.get(peerId) ?? this.#load(peerId)
    const after = before.then((total) => Math.min(Number.MAX_SAFE_INTEGER, total + amount))
    this.#totals.set(peerId, after)
    after.catch(() => this.#totals.delete(peerId))
    const total = await after
    if (amount > 0) rows.put(this.#table, peerId, total)
    return total
  }

  async #load(peerId: string): Promise<number> {
    return (await this.#table.get(peerId)) ?? 0
  }
}

/** What is owed to each peer, in order of their ids. */
export const owedTo = (
  store: Pick<Store, 'table'>,
  range: Range<string>,
): AsyncIterable<[peerId: string, total: number]> => owedTable(store).range(range)

const owedTable = (store: Pick<Store, 'table'>): Table<string, number> =>
  store.table('owed', { key: textKey, value: integerKey })
