import { createHash, type Hash } from 'node:crypto'
import { blobOf, isOwnFile, ownFiles } from './contents.ts'
import { damaged } from './errors.ts'
import type { BackupRecord, Totals } from './records.ts'

/**
 * What a backup may hold: where each record belongs, and that none is missing. `data`: only what a
 * running peer tells of itself, which does not give its key away.
 */
export async function* checked(
  records: AsyncIterable<BackupRecord>,
  part: 'whole' | 'data' = 'whole',
): AsyncGenerator<BackupRecord> {
  const order = new Order(part === 'whole')
  for await (const record of records) {
    order.take(record)
    yield record
  }
  order.finish()
}

/** The manifest, then rows and files, then the end. A row stands behind those with lower keys. */
class Order {
  #state: 'begin' | 'within' | 'over' = 'begin'
  #key: Uint8Array | undefined
  #file: { path: string; left: number; hash: Hash } | undefined
  readonly #paths = new Set<string>()
  readonly #totals: Totals = { rows: 0, files: 0, fileBytes: 0 }
  readonly #withOwn: boolean

  constructor(withOwn: boolean) {
    this.#withOwn = withOwn
  }

  take(record: BackupRecord): void {
    const { type } = record
    const isBegun = this.#state !== 'begin'
    const isOfFile = type === 'bytes' || type === 'file-end'
    const isOpen = this.#file !== undefined
    if (this.#state === 'over' || (type === 'manifest') === isBegun || isOfFile !== isOpen) {
      throw damaged(`a ${type} where none belongs`)
    }
    if (type === 'manifest') this.#state = 'within'
    else if (type === 'row') this.#row(record.key)
    else if (type === 'file') this.#begin(record)
    else if (type === 'bytes') this.#bytes(record.bytes)
    else if (type === 'file-end') this.#endOfFile(record.sha256)
    else this.#end(record.totals)
  }

  finish(): void {
    if (this.#state !== 'over') throw damaged('its end is missing')
  }

  #row(key: Uint8Array): void {
    if (this.#key !== undefined && Buffer.compare(this.#key, key) >= 0) {
      throw damaged('its rows are out of order')
    }
    this.#key = key
    this.#totals.rows += 1
  }

  /** No other path is ever written to. */
  #begin({ path, size }: { path: string; size: number }): void {
    if (isOwnFile(path) ? !this.#withOwn : blobOf(path) === undefined) {
      throw damaged('a file that belongs into no data folder')
    }
    if (isOwnFile(path) && size > ownFiles[path].bytesMax) throw damaged(`${path} is too large`)
    // Of the others there may be millions; the disk finds one that is there twice.
    if (isOwnFile(path) && this.#paths.has(path)) throw damaged(`${path} is there twice`)
    if (isOwnFile(path)) this.#paths.add(path)
    this.#file = { path, left: size, hash: createHash('sha256') }
  }

  #bytes(bytes: Uint8Array): void {
    const file = this.#file
    if (file === undefined) return
    file.left -= bytes.length
    if (file.left < 0) throw damaged('a file is longer than it says')
    file.hash.update(bytes)
    this.#totals.fileBytes += bytes.length
  }

  #endOfFile(sha256: Uint8Array): void {
    const file = this.#file
    if (file === undefined) return
    const isWhole = file.left === 0 && file.hash.digest().equals(sha256)
    if (!isWhole) throw damaged('a file is not what it was')
    this.#file = undefined
    this.#totals.files += 1
  }

  #end({ rows, files, fileBytes }: Totals): void {
    const all = this.#totals
    const isAll = rows === all.rows && files === all.files && fileBytes === all.fileBytes
    if (!isAll) throw damaged('something is missing from it')
    const missing = Object.entries(ownFiles).find(
      ([path, { needed }]) => this.#withOwn && needed && !this.#paths.has(path),
    )
    if (missing !== undefined) throw damaged(`${missing[0]} is missing from it`)
    this.#state = 'over'
  }
}
