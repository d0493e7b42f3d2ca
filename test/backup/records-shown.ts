import type { BackupRecord } from '../../src/backup/records.ts'

/** A record as JSON can hold it: bytes in hex. */
export const shownRecord = (record: BackupRecord): unknown =>
  Object.fromEntries(
    Object.entries(record).map(([name, value]: [string, unknown]) => [
      name,
      value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value,
    ]),
  )

export async function* listed<T>(items: Iterable<T>): AsyncGenerator<T> {
  yield* items
}

export async function bytesOf(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = []
  for await (const piece of pieces) all.push(piece)
  return Buffer.concat(all)
}

export async function gather<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}
