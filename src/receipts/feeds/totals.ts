import type { Batch } from '../../storage/batch.ts'
import type { FeedRow } from './rows.ts'
import type { FeedTables } from './tables.ts'

/** All of others' feeds together, kept so that nothing needs to be counted at a start. */
export interface Totals {
  feeds: number
  /** What the entries that are here take, as `costOf` counts it. */
  bytes: number
  /** Authors that are barred. */
  barred: number
}

const ROW = 'others'

/** What the keys of an entry take in its tables: small entries cost more than their bytes. */
const ENTRY_BYTES = 256

export const costOf = ({ bytes, entries }: { bytes: number; entries: number }): number =>
  bytes + entries * ENTRY_BYTES

export const costOfLog = ({ bytes, size, start }: FeedRow): number =>
  costOf({ bytes, entries: size - start })

/** Only one change at a time may be under way. */
export class TotalsKeeper {
  readonly #table: FeedTables['totals']
  #totals: Totals | undefined

  constructor(table: FeedTables['totals']) {
    this.#table = table
  }

  async get(): Promise<Totals> {
    const totals = this.#totals ?? (await this.#table.get(ROW))
    this.#totals = totals ?? { feeds: 0, bytes: 0, barred: 0 }
    return this.#totals
  }

  /** Writes the batch, and in it what it changes of the totals. */
  async write(
    batch: Batch,
    change: Partial<Totals>,
    write: (batch: Batch) => Promise<void>,
  ): Promise<void> {
    const now = await this.get()
    const next = {
      // A feed that was once this peer's own was never counted in.
      feeds: Math.max(0, now.feeds + (change.feeds ?? 0)),
      bytes: Math.max(0, now.bytes + (change.bytes ?? 0)),
      barred: now.barred + (change.barred ?? 0),
    }
    await write(batch.put(this.#table, ROW, next))
    this.#totals = next
  }
}
