import { blobOf } from './contents.ts'
import type { BackupRecord, Manifest } from './records.ts'

/** What went through so far, for whoever waits. */
export interface Progress {
  rows: number
  files: number
  /** Of the backup, encrypted. */
  bytes: number
}

/** Counts what goes through, and remembers what the report says of it. */
export class Tally {
  manifest: Manifest | undefined
  rows = 0
  files = 0
  fileBytes = 0
  /** Files whose content on the disk is not what it was named for: whoever has them has lost them. */
  damagedFiles = 0
  #path = ''

  async *watch(records: AsyncIterable<BackupRecord>): AsyncGenerator<BackupRecord> {
    for await (const record of records) {
      this.#take(record)
      yield record
    }
  }

  #take(record: BackupRecord): void {
    if (record.type === 'manifest') this.manifest = record.manifest
    if (record.type === 'row') this.rows += 1
    if (record.type === 'file') this.#path = record.path
    if (record.type === 'bytes') this.fileBytes += record.bytes.length
    if (record.type !== 'file-end') return
    this.files += 1
    if (isDamaged(this.#path, record.sha256)) this.damagedFiles += 1
  }
}

/** Whether the content of a blob is another one than its name says. */
export function isDamaged(path: string, sha256: Uint8Array): boolean {
  const named = blobOf(path)
  return named !== undefined && named !== Buffer.from(sha256).toString('hex')
}

export const facts = ({ manifest, rows, files, fileBytes, damagedFiles }: Tally) => ({
  ...{ peerId: manifest?.peerId ?? '', createdAt: manifest?.createdAt ?? 0 },
  ...{ program: manifest?.program ?? '', rows, files, fileBytes, damagedFiles },
})

export type Facts = ReturnType<typeof facts>
