import type { Clock } from '../base/clock.ts'
import { messageOf, PeerError } from '../base/errors.ts'
import { newId } from '../base/ids.ts'
import type { Logger } from '../base/logger.ts'
import type { Random } from '../base/random.ts'
import type { Store } from '../storage/store.ts'
import type { Table } from '../storage/table.ts'
import {
  checkNewKey,
  type KeyRecord,
  type KeyRow,
  keyRows,
  keyUses,
  type NewKey,
} from './key-record.ts'
import { hashOfKey, isKey, makeKey, shownPart } from './key-text.ts'
import { ownerAccount, type Principal, scopes } from './principal.ts'

export interface KeyStoreComponents {
  store: Store
  clock: Clock
  random: Random
  logger: Logger
}

export const defaultKeys = {
  /** All keys are in memory, about 1 KB each. Revoked and expired ones make room when it's full. */
  keysMax: 50_000,
  /** A key's last use is written at most this often: nobody needs it to the second. */
  useSavedEveryMs: 60_000,
}

export type KeyStoreOptions = typeof defaultKeys

interface Entry {
  row: KeyRow
  principal: Principal
  lastUsedAt: number | null
  /** What the database knows of `lastUsedAt`. */
  savedUseAt: number | null
}

/**
 * The API keys of this peer. A key is shown once, when it is made; kept is its SHA-256.
 * All are in memory, found by their hash: `verify` never waits, and its time tells nothing.
 */
export class KeyStore {
  readonly #components: KeyStoreComponents
  readonly #options: KeyStoreOptions
  readonly #rows: Table<string, KeyRow>
  readonly #uses: Table<string, number>
  readonly #byHash = new Map<string, Entry>()
  /** In order of creation, as the ids are. */
  readonly #byId = new Map<string, Entry>()
  readonly #saving = new Set<Promise<void>>()
  #creating = 0

  private constructor(components: KeyStoreComponents, options: KeyStoreOptions) {
    this.#components = components
    this.#options = options
    this.#rows = components.store.table('api-keys', keyRows)
    this.#uses = components.store.table('api-key-uses', keyUses)
  }

  static async open(
    components: KeyStoreComponents,
    options: Partial<KeyStoreOptions> = {},
  ): Promise<KeyStore> {
    const keys = new KeyStore(components, { ...defaultKeys, ...options })
    for await (const [, row] of keys.#rows.range()) keys.#remember(row)
    for await (const [id, usedAt] of keys.#uses.range()) {
      const entry = keys.#byId.get(id)
      if (entry === undefined) continue
      entry.lastUsedAt = usedAt
      entry.savedUseAt = usedAt
    }
    return keys
  }

  /** Who holds this key. Throws `invalid_api_key`, `api_key_revoked` or `api_key_expired`. */
  verify(key: string): Principal {
    const entry = isKey(key) ? this.#byHash.get(hashOfKey(key)) : undefined
    if (entry === undefined) {
      throw new PeerError(
        'invalid_api_key',
        'This peer does not know this API key. Its owner finds one in the file `owner.key` of the ' +
          'data folder, lists all with `pinaivu-peer keys list`, and makes new ones with ' +
          '`pinaivu-peer keys create`.',
      )
    }
    const now = this.#components.clock.now()
    const { revokedAt, expiresAt } = entry.row
    if (revokedAt !== null) {
      throw new PeerError('api_key_revoked', 'This API key was revoked. Ask for another one.')
    }
    if (expiresAt !== null && now >= expiresAt) {
      throw new PeerError('api_key_expired', 'This API key has expired. Ask for another one.')
    }
    entry.lastUsedAt = now
    if (now - (entry.savedUseAt ?? Number.NEGATIVE_INFINITY) >= this.#options.useSavedEveryMs) {
      this.#saveUse(entry, now)
    }
    return entry.principal
  }

  /** Makes a key, and resolves once it is on the disk. Nobody can read the key again later. */
  async create(input: NewKey): Promise<{ key: string; record: KeyRecord }> {
    const { clock, random, store } = this.#components
    const checked = checkNewKey(input, clock.now())
    const key = makeKey(random)
    const row = { ...this.#blankRow(key), ...checked }
    const removed = this.#makeRoom()
    this.#creating += 1
    try {
      const batch = store.batch().put(this.#rows, row.id, row)
      if (removed !== undefined) {
        batch.del(this.#rows, removed.row.id).del(this.#uses, removed.row.id)
      }
      await store.commit(batch)
    } finally {
      this.#creating -= 1
    }
    return { key, record: recordOf(this.#remember(row)) }
  }

  /** All keys, the revoked and expired too, oldest first. */
  list(): KeyRecord[] {
    return [...this.#byId.values()].map(recordOf)
  }

  /** Refuses the key from now on, whatever the disk says; resolves once that will outlast a crash. */
  async revoke(id: string): Promise<KeyRecord> {
    const entry = this.#byId.get(id)
    if (entry === undefined) {
      throw new PeerError('key_not_found', `There is no key ${id}. See \`pinaivu-peer keys list\`.`)
    }
    if (entry.row.owner && entry.row.revokedAt === null) {
      throw new PeerError(
        'owner_key_needed',
        "The owner's key can't be revoked. To replace it, stop the peer, delete the file " +
          '`owner.key` in the data folder, and start the peer again.',
      )
    }
    const { clock, store } = this.#components
    entry.row = { ...entry.row, revokedAt: entry.row.revokedAt ?? clock.now() }
    await store.commit(store.batch().put(this.#rows, id, entry.row))
    return recordOf(entry)
  }

  /** Takes the key of the file `owner.key` as the owner's; one that was it before is revoked. */
  async adoptOwner(key: string): Promise<KeyRecord> {
    const known = this.#byHash.get(hashOfKey(key))
    if (known !== undefined) {
      if (known.row.owner && known.row.revokedAt === null) return recordOf(known)
      throw new PeerError(
        'owner_key_refused',
        'The file `owner.key` in the data folder holds a key that is revoked or not the owner’s. ' +
          'Delete the file and start the peer again: it makes a new one.',
      )
    }
    const { clock, store } = this.#components
    const row: KeyRow = { ...this.#blankRow(key), name: 'owner', owner: true, scopes }
    const batch = store.batch().put(this.#rows, row.id, row)
    const revoked = [...this.#byId.values()].filter(
      (entry) => entry.row.owner && entry.row.revokedAt === null,
    )
    for (const entry of revoked) {
      entry.row = { ...entry.row, revokedAt: clock.now() }
      batch.put(this.#rows, entry.row.id, entry.row)
    }
    await store.commit(batch)
    return recordOf(this.#remember(row))
  }

  /** Writes down the last uses. Nothing else waits to be written. */
  async close(): Promise<void> {
    for (const entry of this.#byId.values()) {
      const { lastUsedAt } = entry
      if (lastUsedAt !== null && lastUsedAt !== entry.savedUseAt) this.#saveUse(entry, lastUsedAt)
    }
    await Promise.all(this.#saving)
  }

  #blankRow(key: string): KeyRow {
    const { clock, random } = this.#components
    return {
      id: newId('key', clock, random),
      name: '',
      account: ownerAccount,
      scopes: [],
      prefix: shownPart(key),
      hash: hashOfKey(key),
      owner: false,
      createdAt: clock.now(),
      expiresAt: null,
      revokedAt: null,
    }
  }

  #remember(row: KeyRow): Entry {
    // The owner may do everything, also what a later version brings.
    const allowed = row.owner ? scopes : row.scopes
    const principal = { keyId: row.id, account: row.account, scopes: new Set(allowed) }
    const entry: Entry = { row, principal, lastUsedAt: null, savedUseAt: null }
    this.#byHash.set(row.hash, entry)
    this.#byId.set(row.id, entry)
    return entry
  }

  /** When full, forgets the oldest key that is of no use any more: it stays refused, as unknown. */
  #makeRoom(): Entry | undefined {
    const { keysMax } = this.#options
    if (this.#byId.size + this.#creating < keysMax) return undefined
    const now = this.#components.clock.now()
    for (const entry of this.#byId.values()) {
      const { revokedAt, expiresAt, hash, id } = entry.row
      if (revokedAt === null && (expiresAt === null || now < expiresAt)) continue
      this.#byHash.delete(hash)
      this.#byId.delete(id)
      return entry
    }
    throw new PeerError(
      'too_many_keys',
      `This peer holds ${keysMax} keys, its limit. Revoke keys that nobody uses.`,
    )
  }

  #saveUse(entry: Entry, at: number): void {
    entry.savedUseAt = at
    const saving = this.#uses
      .put(entry.row.id, at)
      .catch((error: unknown) => {
        this.#components.logger.warn('the last use of a key was not saved', {
          keyId: entry.row.id,
          error: messageOf(error),
        })
      })
      .finally(() => this.#saving.delete(saving))
    this.#saving.add(saving)
  }
}

function recordOf({ row, principal, lastUsedAt }: Entry): KeyRecord {
  const { hash: _secret, ...shown } = row
  return { ...shown, scopes: [...principal.scopes], lastUsedAt }
}
