import type { Batch } from '../storage/batch.ts'
import { bytesKey, bytesValue } from '../storage/codec.ts'
import type { Store } from '../storage/store.ts'
import type { Table } from '../storage/table.ts'
import { decodeEntry, referencesOf, type SealedEntry } from '../wire/entry.ts'

/**
 * Entries of other peers' logs that came to this one with their answers. Where they stand in those
 * logs is not known here; they are what the own routing entries are about.
 */
export class HeldEntries {
  readonly #entries: Table<Uint8Array, Uint8Array>
  /** Digests of receipts, final and open, and the digest of the entry that they are in. */
  readonly #finds: Table<Uint8Array, Uint8Array>

  constructor({ store }: { store: Store }) {
    this.#entries = store.table('held-entries', { key: bytesKey, value: bytesValue })
    this.#finds = store.table('held-finds', { key: bytesKey, value: bytesValue })
  }

  /** `entry` was found to be good. */
  put(rows: Batch, { entry, bytes, cid }: SealedEntry): void {
    rows.put(this.#entries, cid.digest, bytes)
    const { receipts, opens } = referencesOf(entry)
    for (const digest of [...receipts, ...opens]) rows.put(this.#finds, digest, cid.digest)
  }

  async entry(digest: Uint8Array): Promise<SealedEntry | undefined> {
    const bytes = await this.#entries.get(digest)
    return bytes && decodeEntry(bytes)
  }

  /** The entry that this receipt is in. */
  async find(receiptDigest: Uint8Array): Promise<SealedEntry | undefined> {
    const digest = await this.#finds.get(receiptDigest)
    return digest && this.entry(digest)
  }
}
