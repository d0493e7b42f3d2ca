import type { Range, Table } from '../../src/storage/table.ts'

/** All rows of a range, in its order. */
export async function allRows<K, V>(table: Table<K, V>, range?: Range<K>): Promise<[K, V][]> {
  const rows: [K, V][] = []
  for await (const row of table.range(range)) rows.push(row)
  return rows
}
