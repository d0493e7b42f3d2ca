/** One change; applied in order, so the last one for a key wins. */
export type Row =
  | { type: 'put'; key: Uint8Array; value: Uint8Array }
  | { type: 'del'; key: Uint8Array }

/** Keys from `gte` up to, not including, `lt`, in the order of their bytes. */
export interface KeyRange {
  gte: Uint8Array
  lt: Uint8Array
  reverse: boolean
  limit: number
  signal?: AbortSignal | undefined
}

/**
 * Sorted bytes to bytes: the database on disk, or memory. What it returns belongs to the caller.
 * A range shows the rows as they were when it began.
 */
export interface Backend {
  get(key: Uint8Array): Promise<Uint8Array | undefined>
  getMany(keys: Uint8Array[]): Promise<(Uint8Array | undefined)[]>
  range(range: KeyRange): AsyncIterable<[key: Uint8Array, value: Uint8Array]>
  /** All rows or none. With `sync` it resolves after the rows are on the disk itself. */
  write(rows: readonly Row[], sync: boolean): Promise<void>
  close(): Promise<void>
}
