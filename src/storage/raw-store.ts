import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Backend, Row } from './backend.ts'
import { DataDirInUseError } from './errors.ts'
import { openLevel } from './level-backend.ts'
import { type RawRange, type RawRow, rawRows, readSchema } from './raw-rows.ts'
import { currentSchema, type SchemaRow } from './schema.ts'
import { defaultStore } from './store.ts'

/** How large a row can be as it is stored: with its table's name before the key. */
export const rawLimits = {
  keyBytesMax: defaultStore.keyBytesMax + 33,
  valueBytesMax: defaultStore.valueBytesMax,
}

/** The newest format of a database that this program reads. */
export const newestFormat = (): number =>
  currentSchema.migrations.at(-1)?.to ?? currentSchema.base.version

/**
 * The database in a data folder for those who copy it: nothing is looked into and nothing migrated.
 * Its lock is this process's until `close`.
 */
export class RawStore {
  readonly #backend: Backend

  private constructor(backend: Backend) {
    this.#backend = backend
  }

  static async open(dataDir: string): Promise<RawStore> {
    return new RawStore(await openLevel(dataDir))
  }

  /** As of a store that others use at the same time. */
  async snapshot(range: RawRange): Promise<Snapshot> {
    return { schema: await readSchema(this.#backend), rows: rawRows(this.#backend, range) }
  }

  /** Without `sync` a crash may take it back. */
  write(rows: readonly RawRow[], { sync }: { sync: boolean }): Promise<void> {
    const puts = rows.map(([key, value]): Row => ({ type: 'put', key, value }))
    return this.#backend.write(puts, sync)
  }

  close(): Promise<void> {
    return this.#backend.close()
  }
}

/** The rows of a database at one moment. */
export interface Snapshot {
  /** Undefined where there are none. */
  schema: SchemaRow | undefined
  rows: AsyncIterable<RawRow>
}

/** Whether a process has the database in this folder open; one that is damaged counts as free. */
export async function isInUse(dataDir: string): Promise<boolean> {
  const lock = await stat(join(dataDir, 'store', 'LOCK')).catch(() => undefined)
  if (lock === undefined) return false
  try {
    const store = await RawStore.open(dataDir)
    await store.close()
    return false
  } catch (error) {
    return error instanceof DataDirInUseError
  }
}
