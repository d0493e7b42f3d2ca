import type { Batch } from '../storage/batch.ts'
import { bytesKey, textKey, type ValueCodec } from '../storage/codec.ts'
import type { Store } from '../storage/store.ts'
import type { Table } from '../storage/table.ts'
import { Cid } from '../wire/cid.ts'
import { joinBytes } from '../wire/octets.ts'
import { sha256 } from '../wire/sha256.ts'

/** Whose request it was, and the routing entry that says what became of it. */
export interface Requested {
  account: string
  cid: Cid
}

/** Which account made which request, for that account alone: the logs say only a request's hash. */
export class RequestIndex {
  readonly #requests: Table<Uint8Array, Requested>

  constructor({ store }: { store: Pick<Store, 'table'> }) {
    this.#requests = store.table('requests', { key: bytesKey, value: requestedRow })
  }

  /** Belongs into the commit that brings the entry. */
  put(rows: Batch, requestId: string, requested: Requested): void {
    rows.put(this.#requests, requestHash(requestId), requested)
  }

  /** Whether anything came of a request: its entry, and with it what it cost, was written. */
  async has(requestId: string): Promise<boolean> {
    return (await this.find(requestHash(requestId))) !== undefined
  }

  /** Of all requests, in no order. */
  async *all({ signal }: { signal: AbortSignal }): AsyncGenerator<Requested> {
    for await (const [, requested] of this.#requests.range({ signal })) yield requested
  }

  /** By the hash of a request's id. */
  find(hash: Uint8Array): Promise<Requested | undefined> {
    return this.#requests.get(hash)
  }
}

/** As routing entries have it. */
export const requestHash = (requestId: string): Uint8Array => sha256(requestId)

const DIGEST_BYTES = 32

const requestedRow: ValueCodec<Requested> = {
  encode: ({ account, cid }) => joinBytes(cid.digest, textKey.encode(account)),
  decode(bytes) {
    if (bytes.length < DIGEST_BYTES) throw new RangeError('the row is cut off')
    const account = textKey.decode(bytes.subarray(DIGEST_BYTES))
    return { account, cid: new Cid('entry', bytes.slice(0, DIGEST_BYTES)) }
  },
}
