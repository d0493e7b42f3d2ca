import type { Batch } from './batch.ts'
import { jsonValue, textKey } from './codec.ts'
import { StorageCorruptError, StorageVersionError } from './errors.ts'
import type { Store } from './store.ts'
import type { Table } from './table.ts'

/** One step from format `to - 1` to format `to`. */
export interface Migration {
  to: number
  /** The first version of the program that reads format `to`. */
  program: string
  /**
   * Reads the old rows and puts the new ones into `batch`, which is committed together with the
   * new version: an interrupted migration has not happened, and runs again at the next start.
   */
  migrate(store: Store, batch: Batch): Promise<void>
}

export interface Schema {
  /** The format of a new database without any migration, and the program that introduced it. */
  base: { version: number; program: string }
  /** In order, without gaps. */
  migrations: readonly Migration[]
}

export const currentSchema: Schema = {
  base: { version: 1, program: '0.1.0' },
  migrations: [],
}

export interface SchemaRow {
  version: number
  program: string
}

export type MetaTable = Table<string, SchemaRow>

export const metaCodec = {
  key: textKey,
  value: jsonValue((value): SchemaRow => {
    const { version, program } = value as Partial<SchemaRow>
    if (!Number.isSafeInteger(version) || typeof program !== 'string') {
      throw new TypeError('not a schema row')
    }
    return { version: version as number, program }
  }),
}

export const SCHEMA_ROW = 'schema'

/** Brings a database to the program's format, or refuses it untouched. */
export async function settleSchema(
  store: Store,
  meta: MetaTable,
  schema: Schema,
  migrationBatch: () => Batch,
): Promise<void> {
  const newest = schema.migrations.at(-1)?.to ?? schema.base.version
  const found = await meta.get(SCHEMA_ROW)
  if (found === undefined) {
    if (!(await store.isEmpty())) {
      throw new StorageCorruptError('The database does not say which format it has.')
    }
    const program = schema.migrations.at(-1)?.program ?? schema.base.program
    await store.commit(store.batch().put(meta, SCHEMA_ROW, { version: newest, program }))
    return
  }
  if (found.version > newest) throw new StorageVersionError(found.version, newest, found.program)
  if (found.version < schema.base.version) {
    throw new StorageCorruptError(`The database has format ${found.version}, which never was.`)
  }
  for (const { to, program, migrate } of schema.migrations) {
    if (to <= found.version) continue
    const batch = migrationBatch()
    await migrate(store, batch)
    await store.commit(batch.put(meta, SCHEMA_ROW, { version: to, program }))
  }
}
