import type { Batch } from '../../storage/batch.ts'
import { integerKey, type KeyCodec } from '../../storage/codec.ts'
import type { Table } from '../../storage/table.ts'
import { joinBytes } from '../../wire/octets.ts'
import { type Finding, OWN } from './findings.ts'

/** Who writes them: each has rows of its own. */
const writers = ['own', 'others'] as const
export type Writer = (typeof writers)[number]

export interface CountKey {
  writer: Writer
  /** Since 1970. */
  hour: number
}

export interface Counts {
  total: number
  /** In the last 24 hours, to the hour. */
  lastDay: number
}

const HOUR_MS = 3_600_000

/** Receipts that came, hour by hour; each row is how many there were at the hour's end. */
export class ReceiptCounts {
  readonly #table: Table<CountKey, number>
  readonly #writer: Writer
  #last: { hour: number; total: number } | undefined

  constructor(table: Table<CountKey, number>, writer: Writer) {
    this.#table = table
    this.#writer = writer
  }

  /**
   * Puts these into the rows. The next call comes after `written`, or after this one's rows were
   * lost.
   */
  async put(
    rows: Batch,
    at: number,
    arrivals: readonly { findings: readonly Finding[] }[],
  ): Promise<{ written(): void }> {
    const last = this.#last ?? (await lastOf(this.#table, this.#writer))
    const total = arrivals.reduce((sum, each) => sum + receiptsIn(each), last.total)
    // A clock that was set back must not hide the last row.
    const next = { hour: Math.max(last.hour, Math.floor(at / HOUR_MS)), total }
    if (total > last.total) rows.put(this.#table, { writer: this.#writer, hour: next.hour }, total)
    return {
      written: () => {
        this.#last = next
      },
    }
  }
}

/** All that came to this peer, in a few rows. */
export async function countReceipts(table: Table<CountKey, number>, at: number): Promise<Counts> {
  const dayAgo = Math.floor(at / HOUR_MS) - 24
  let total = 0
  let before = 0
  for (const writer of writers) {
    total += (await lastOf(table, writer)).total
    before += (await lastOf(table, writer, Math.max(0, dayAgo))).total
  }
  return { total, lastDay: total - before }
}

/** The last row, of this hour or one before. */
async function lastOf(table: Table<CountKey, number>, writer: Writer, hour = HOUR_MAX) {
  const range = { gte: { writer, hour: 0 }, lte: { writer, hour }, reverse: true, limit: 1 }
  for await (const [key, total] of table.range(range)) return { hour: key.hour, total }
  return { hour: 0, total: 0 }
}

const HOUR_MAX = Number.MAX_SAFE_INTEGER

/** In the log of who signed it: so each counts once, its segments with it. */
const receiptsIn = ({ findings }: { findings: readonly Finding[] }): number =>
  findings.some(({ find, rank }) => find === 'receipt' && rank === OWN) ? 1 : 0

export const countKey: KeyCodec<CountKey> = {
  encode: ({ writer, hour }) =>
    joinBytes(Uint8Array.of(writers.indexOf(writer)), integerKey.encode(hour)),
  decode(bytes) {
    const writer = writers[bytes[0] ?? writers.length]
    if (writer === undefined) throw new RangeError('nobody writes such a row')
    return { writer, hour: integerKey.decode(bytes.subarray(1)) }
  },
}
