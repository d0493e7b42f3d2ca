import type { Backend } from './backend.ts'
import { metaCodec, SCHEMA_ROW, type SchemaRow } from './schema.ts'
import { Table, tablePrefix } from './table.ts'

export type RawRow = readonly [key: Uint8Array, value: Uint8Array]

export interface RawRange {
  /** Names of tables whose rows are left out. */
  without: readonly string[]
  signal: AbortSignal
}

/** All rows of all tables as their bytes, as they were when the first was asked for: a snapshot. */
export async function* rawRows(
  backend: Backend,
  { without, signal }: RawRange,
): AsyncGenerator<RawRow> {
  const prefixes = without.map(tablePrefix)
  const all = { gte: new Uint8Array(), lt: Uint8Array.of(0xff), reverse: false }
  for await (const row of backend.range({ ...all, limit: Number.POSITIVE_INFINITY, signal })) {
    if (!prefixes.some((prefix) => startsWith(row[0], prefix))) yield row
  }
}

const startsWith = (key: Uint8Array, prefix: Uint8Array): boolean =>
  prefix.every((byte, at) => key[at] === byte)

/** Which format the rows have; undefined where there are none yet. */
export function readSchema(backend: Backend): Promise<SchemaRow | undefined> {
  const host = {
    backend,
    write: () => Promise.reject(new Error('this is for reading')),
    assertOpen: () => {},
    keyBytesMax: SCHEMA_ROW.length,
    valueBytesMax: 0,
  }
  return new Table('meta', metaCodec, host).get(SCHEMA_ROW)
}
