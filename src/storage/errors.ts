import { PeerError } from '../base/errors.ts'

/** The database was written by a newer program; opening it could destroy what this one can't read. */
export class StorageVersionError extends PeerError {
  readonly found: number
  readonly supported: number

  constructor(found: number, supported: number, program: string) {
    super(
      'storage_newer',
      `The database has format ${found}, and this program reads formats up to ${supported}. ` +
        `Run pinaivu-peer ${program} or newer, or start with another --data-dir.`,
    )
    this.found = found
    this.supported = supported
  }
}

export class DataDirInUseError extends PeerError {
  constructor(dir: string, cause: unknown) {
    super(
      'data_dir_in_use',
      `Another process uses the data folder ${dir}. ` +
        'Stop that peer first, or give this one its own folder with --data-dir.',
      { cause },
    )
  }
}

/** The files are there but don't hold together. */
export class StorageCorruptError extends PeerError {
  constructor(what: string, cause?: unknown) {
    super(
      'storage_corrupt',
      `${what} Restore a backup, or move the folder \`store\` out of the data folder ` +
        'to begin with an empty database.',
      { cause },
    )
  }
}

/** The folder can't be used at all: rights, not a folder, a full or read-only disk. */
export class StorageUnavailableError extends PeerError {
  constructor(dir: string, reason: string, cause: unknown) {
    super(
      'storage_unavailable',
      `The database in ${dir} can't be opened: ${reason} ` +
        'Check that the folder belongs to you, is writable, and that the disk has room.',
      { cause },
    )
  }
}

/**
 * A write or its fsync failed, so what is on disk is unknown until the database is read again.
 * The store takes no more writes: a later fsync may report success for data that is already lost.
 */
export class StorageFailedError extends PeerError {
  /** `unknown`: these rows may or may not be there after a restart. `no`: they were never written. */
  readonly written: 'unknown' | 'no'

  constructor(written: 'unknown' | 'no', cause: unknown) {
    super(
      'storage_failed',
      'The peer could not write to its database and takes no more writes. ' +
        'Check the disk (room, health, rights), then restart the peer.',
      { cause },
    )
    this.written = written
  }
}

export class StorageClosedError extends PeerError {
  constructor() {
    super('storage_closed', 'The database is closed: the peer is stopping. Ask again once it runs.')
  }
}

/** A row that its table's codec refuses. The other rows are not affected. */
export class RowError extends PeerError {
  readonly table: string
  readonly key: string

  constructor(table: string, key: string, cause: unknown) {
    super(
      'storage_row_invalid',
      `The row ${key} of the table ${table} can't be read. Restore a backup of the database.`,
      { cause },
    )
    this.table = table
    this.key = key
  }
}

/** A row or a batch above the store's limits. */
export class StorageLimitError extends PeerError {
  constructor(what: string, limit: number, unit: string) {
    super('storage_limit', `${what} is above the limit of ${limit} ${unit}. Store it in parts.`)
  }
}
