import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import type { Logger } from '../base/logger.ts'
import { jsonValue, textKey } from '../storage/codec.ts'
import type { TableCodec } from '../storage/table.ts'
import { cidModelId, parseModelId } from '../wire/model-id.ts'
import { modelShards } from './model-shards.ts'
import { fileIdentity } from './model-store.ts'

/** Where ids outlive the process: reading 40 GB takes a minute. */
export interface ModelIdStore {
  get(key: string): Promise<string | undefined>
  put(key: string, id: string): Promise<void>
}

/** How ids are kept in the database. */
export const modelIdRows: TableCodec<string, string> = {
  key: textKey,
  value: jsonValue((value) => {
    if (typeof value === 'string' && parseModelId(value) !== undefined) return value
    throw new TypeError('not a model id')
  }),
}

/** About a millisecond of hashing, between which everything else has its turn. */
const CHUNK_BYTES = 256 * 1024

/** Names models by what is in their files, so that the same weights have one id everywhere. */
export class ModelIds {
  readonly #store: ModelIdStore
  readonly #logger: Logger

  constructor({ store, logger }: { store: ModelIdStore; logger: Logger }) {
    this.#store = store
    this.#logger = logger
  }

  /** What an earlier process found out. */
  async recall(path: string): Promise<string | undefined> {
    return await this.#orNothing('model id cannot be recalled', async () =>
      this.#store.get(await identityOf(modelShards(path))),
    )
  }

  /** Reads the whole model. Undefined when it cannot be read, or is replaced meanwhile. */
  async find(path: string, signal: AbortSignal): Promise<string | undefined> {
    return await this.#orNothing('model id cannot be found out', async () => {
      const shards = modelShards(path)
      const identity = await identityOf(shards)
      const digest = await sha256Of(shards, signal)
      if (digest === undefined || (await identityOf(shards)) !== identity) return undefined
      const id = cidModelId(digest)
      await this.#orNothing('model id cannot be kept', () => this.#store.put(identity, id))
      return id
    })
  }

  async #orNothing<T>(complaint: string, ask: () => Promise<T>): Promise<T | undefined> {
    try {
      return await ask()
    } catch (error) {
      // The model may be served without; if its file cannot be read, loading will say so better.
      this.#logger.warn(complaint, { error })
      return undefined
    }
  }
}

/** One short key for however many files. */
async function identityOf(shards: readonly string[]): Promise<string> {
  const identities: string[] = []
  for (const shard of shards) identities.push(await fileIdentity(shard))
  if (identities.length === 1) return identities.join()
  return `${shards.length} ${createHash('sha256').update(identities.join()).digest('hex')}`
}

/** Of all bytes of all files, one after the other; undefined once the signal aborts. */
async function sha256Of(
  shards: readonly string[],
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  const hash = createHash('sha256')
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES)
  for (const shard of shards) {
    await using file = await open(shard)
    for (;;) {
      if (signal.aborted) return undefined
      const { bytesRead } = await file.read(buffer, 0, buffer.length)
      if (bytesRead === 0) break
      hash.update(buffer.subarray(0, bytesRead))
    }
  }
  return hash.digest()
}
