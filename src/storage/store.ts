import { BusyError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { Backend, Row } from './backend.ts'
import { Batch } from './batch.ts'
import { StorageClosedError, StorageFailedError } from './errors.ts'
import { GroupCommit } from './group-commit.ts'
import { defaultLevel, openLevel } from './level-backend.ts'
import { bytesDropped } from './level-losses.ts'
import { MemoryBackend } from './memory-backend.ts'
import { type RawRange, type RawRow, rawRows, readSchema } from './raw-rows.ts'
import { currentSchema, metaCodec, type SchemaRow, settleSchema } from './schema.ts'
import { Table, type TableCodec, type TableHost } from './table.ts'

export interface StoreComponents {
  logger: Logger
}

export const defaultStore = {
  /** Ids, CIDs, hashes and short names are keys; more belongs into the value. */
  keyBytesMax: 1024,
  /** Files are kept as files; the largest row is a long chat turn. */
  valueBytesMax: 16 * 1024 * 1024,
  /** A batch is copied into LevelDB's log in one piece. */
  batchRowsMax: 100_000,
  batchBytesMax: 64 * 1024 * 1024,
  /** A migration is one batch as well, and may rewrite a whole table. */
  migrationRowsMax: 10_000_000,
  migrationBytesMax: 1024 * 1024 * 1024,
  /** About 20 ms of writing on a slow disk. */
  groupRowsMax: 4096,
  groupBytesMax: 1024 * 1024,
  /** At 1,000 commits a second this is what a disk that hangs for 16 s holds up. */
  waitingCommitsMax: 16_384,
  waitingBytesMax: 128 * 1024 * 1024,
  /** Writes without fsync take microseconds: thousands under way mean that the disk hangs. */
  unsyncedMax: 4096,
  level: defaultLevel,
  schema: currentSchema,
}

export type StoreOptions = typeof defaultStore

/** The level database in the data folder, created when it is not there. */
export async function openStore(
  dataDir: string,
  components: StoreComponents,
  options: Partial<StoreOptions> = {},
): Promise<Store> {
  const backend = await openLevel(dataDir, options.level ?? defaultStore.level)
  const bytes = await bytesDropped(dataDir)
  if (bytes > 0) {
    const what = 'the database was damaged, and a part of what was written last is gone from it'
    components.logger.error(`${what}: look at the disk; receipts are still at other peers`, {
      bytes,
    })
  }
  return openStoreOn(backend, components, options)
}

/** The same store in memory. */
export function openMemoryStore(
  components: StoreComponents,
  options: Partial<StoreOptions> = {},
): Promise<Store> {
  return openStoreOn(new MemoryBackend(), components, options)
}

/** A store on any backend, whose schema is settled before anyone sees it. */
export async function openStoreOn(
  backend: Backend,
  components: StoreComponents,
  options: Partial<StoreOptions> = {},
): Promise<Store> {
  const settings = { ...defaultStore, ...options }
  const store = new Store(backend, components, settings)
  try {
    const migrationBatch = () =>
      new Batch({ rowsMax: settings.migrationRowsMax, bytesMax: settings.migrationBytesMax })
    await settleSchema(store, store.table('meta', metaCodec), settings.schema, migrationBatch)
    return store
  } catch (error) {
    await store.close()
    throw error
  }
}

/**
 * Typed tables over one sorted database.
 *
 * `commit` is durable: it resolves after the fsync, and concurrent commits share one. `write`,
 * `table.put` and `table.del` are for what can be had again: written at once, without fsync, and
 * not in step with commits that still wait. After a failed write the store is read-only (`storage_failed`) until reopened.
 */
export class Store {
  readonly #backend: Backend
  readonly #logger: Logger
  readonly #options: StoreOptions
  readonly #group: GroupCommit
  readonly #host: TableHost
  #unsynced = 0
  #failure: StorageFailedError | undefined
  #closing: Promise<void> | undefined

  /** `openStore` and its siblings also settle the schema; nothing else should construct a store. */
  constructor(backend: Backend, { logger }: StoreComponents, options: StoreOptions) {
    this.#backend = backend
    this.#logger = logger
    this.#options = options
    this.#group = new GroupCommit((rows) => this.#write(rows, true), options)
    this.#host = {
      backend,
      write: (rows) => this.#writeUnsynced(rows),
      assertOpen: () => this.#assertOpen(),
      keyBytesMax: options.keyBytesMax,
      valueBytesMax: options.valueBytesMax,
    }
  }

  /** Set once a write failed: reads go on, writes are refused until the peer is restarted. */
  get failure(): StorageFailedError | undefined {
    return this.#failure
  }

  /**
   * A view of the rows under `name`. A name belongs to one room (`meta` to the store itself), and
   * the codec is its rows' schema: whoever changes it adds a migration.
   */
  table<K, V>(name: string, codec: TableCodec<K, V>): Table<K, V> {
    return new Table(name, codec, this.#host)
  }

  batch(): Batch {
    const { batchRowsMax, batchBytesMax } = this.#options
    return new Batch({ rowsMax: batchRowsMax, bytesMax: batchBytesMax })
  }

  /**
   * Writes the batch, all or nothing, and resolves after the fsync that covers it.
   * Rejects with BusyError when too much waits, with StorageFailedError when the disk fails.
   */
  commit(batch: Batch): Promise<void> {
    return this.#group.commit(batch)
  }

  /**
   * Writes the batch at once, all or nothing, without waiting for the disk: for what can be had
   * again elsewhere. A crash of the machine may take the last of these back, never one from between.
   */
  async write(batch: Batch): Promise<void> {
    await this.#writeUnsynced(batch.seal())
    batch.written()
  }

  /** Whether no table holds any row. */
  async isEmpty(): Promise<boolean> {
    const all = { gte: new Uint8Array(0), lt: Uint8Array.of(0xff), reverse: false, limit: 1 }
    for await (const _row of this.#backend.range(all)) return false
    return true
  }

  /** All rows but those of some tables, as their bytes, at the moment when the first is asked for. */
  async snapshot(range: RawRange): Promise<{
    schema: SchemaRow | undefined
    rows: AsyncIterable<RawRow>
  }> {
    this.#assertOpen()
    return { schema: await readSchema(this.#backend), rows: rawRows(this.#backend, range) }
  }

  /** Waits for the commits under way, then lets go of the data folder. Safe to call twice. */
  close(): Promise<void> {
    this.#closing ??= this.#group.close().then(() => this.#backend.close())
    return this.#closing
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw new StorageClosedError()
  }

  async #writeUnsynced(rows: readonly Row[]): Promise<void> {
    this.#assertOpen()
    if (this.#failure !== undefined) throw new StorageFailedError('no', this.#failure.cause)
    if (this.#unsynced >= this.#options.unsyncedMax) {
      throw new BusyError('The disk is behind with writing. Ask again in a second.')
    }
    this.#unsynced += 1
    await this.#write(rows, false).finally(() => {
      this.#unsynced -= 1
    })
  }

  async #write(rows: readonly Row[], sync: boolean): Promise<void> {
    try {
      await this.#backend.write(rows, sync)
    } catch (error) {
      this.#failure ??= new StorageFailedError('unknown', error)
      this.#group.fail(error)
      this.#logger.error('write failed, the database is read-only now', { error })
      throw new StorageFailedError('unknown', error)
    }
  }
}
