import type { Clock } from '../base/clock.ts'
import { messageOf, PeerError } from '../base/errors.ts'
import { newId } from '../base/ids.ts'
import type { Logger } from '../base/logger.ts'
import type { Random } from '../base/random.ts'
import type { Store } from '../storage/store.ts'
import type { Range, Table } from '../storage/table.ts'
import { type AccountEventType, type Emit, noEvents } from './events.ts'
import { type KeyEntry, KeyIndex, overlapOf, recordOf } from './key-index.ts'
import { keyJson } from './key-json.ts'
import {
  checkNewKey,
  type KeyRecord,
  type KeyRow,
  keyRows,
  keyUses,
  type NewKey,
  withoutLimits,
} from './key-record.ts'
import { hashOfKey, isKey, makeKey, shownPart } from './key-text.ts'
import { ownerAccount, type Principal, scopes } from './principal.ts'

export interface KeyStoreComponents {
  store: Store
  clock: Clock
  random: Random
  logger: Logger
  /** Told of every key that is made, gets another secret or is revoked. */
  emit?: Emit
}

export const defaultKeys = {
  /** All keys are in memory, about 1 KB each. Revoked and expired ones make room when it's full. */
  keysMax: 50_000,
  /** Of one account but the owner's: whoever may make keys leaves room for others. */
  accountKeysMax: 5_000,
  /** A key's last use is written at most this often: nobody needs it to the second. */
  useSavedEveryMs: 60_000,
}

export type KeyStoreOptions = typeof defaultKeys

/** How long a replaced secret goes on to work: a day to bring the new one everywhere. */
export const OVERLAP_MS = 24 * 60 * 60 * 1000
/** Longer, and the rotation would not be one. */
export const OVERLAP_MS_MAX = 30 * OVERLAP_MS
/** Replaced secrets of one key that still work. More rotations than this in one overlap are a fault. */
const OLDER_MAX = 8

/**
 * The API keys of this peer. A key is shown once, when it is made; kept is its SHA-256.
 *
 * All are in memory, found by their hash: `verify` never waits. Its time tells nothing of a secret,
 * because what is compared is not the secret: to come closer to a stored hash, one would have to
 * choose texts by their SHA-256. Whatever is asked for, it hashes once and looks once.
 */
export class KeyStore {
  readonly #components: KeyStoreComponents
  readonly #options: KeyStoreOptions
  readonly #rows: Table<string, KeyRow>
  readonly #uses: Table<string, number>
  readonly #index = new KeyIndex()
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
    for await (const [, row] of keys.#rows.range()) keys.#index.add(row)
    for await (const [id, usedAt] of keys.#uses.range()) {
      const entry = keys.#index.get(id)
      if (entry === undefined) continue
      entry.lastUsedAt = usedAt
      entry.savedUseAt = usedAt
    }
    return keys
  }

  /** Who holds this key. Throws `invalid_api_key`, `api_key_revoked` or `api_key_expired`. */
  verify(key: string): Principal {
    const secret = this.#index.bySecret(hashOfKey(key))
    if (secret === undefined || !isKey(key)) {
      throw new PeerError(
        'invalid_api_key',
        'This peer does not know this API key. Its owner finds one in the file `owner.key` of the ' +
          'data folder, lists all with `pinaivu-peer keys list`, and makes new ones with ' +
          '`pinaivu-peer keys create`.',
      )
    }
    const { entry, until } = secret
    const now = this.#components.clock.now()
    const { revokedAt, expiresAt } = entry.row
    if (revokedAt !== null) {
      throw new PeerError('api_key_revoked', 'This API key was revoked. Ask for another one.')
    }
    if (expiresAt !== null && now >= expiresAt) {
      throw new PeerError('api_key_expired', 'This API key has expired. Ask for another one.')
    }
    if (now >= until) {
      throw new PeerError('api_key_expired', 'This API key was rotated. Use the one that followed.')
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
    const removed = this.#makeRoom(row.account)
    this.#creating += 1
    try {
      const batch = store.batch().put(this.#rows, row.id, row)
      if (removed !== undefined) {
        batch.del(this.#rows, removed.row.id).del(this.#uses, removed.row.id)
      }
      this.#tell('key.created', row, batch)
      await store.commit(batch)
    } finally {
      this.#creating -= 1
    }
    return { key, record: recordOf(this.#index.add(row)) }
  }

  /** All keys or those of one account, the revoked and expired too, by their ids. */
  list(account?: string, range: Range<string> = {}): KeyRecord[] {
    return this.#index.list(account, range).map(recordOf)
  }

  /** Throws `key_not_found`. */
  get(id: string): KeyRecord {
    return recordOf(this.#find(id))
  }

  /**
   * Gives the key another secret and resolves once that is on the disk. The replaced one works for
   * `overlapMs` more; one from an earlier rotation no longer than that either.
   */
  async rotate(id: string, overlapMs = OVERLAP_MS): Promise<{ key: string; record: KeyRecord }> {
    const entry = this.#find(id)
    if (entry.row.owner) throw ownerKeyNeeded('rotated')
    return await entry.inTurn(() => this.#rotate(entry, overlapMs))
  }

  async #rotate(entry: KeyEntry, overlapMs: number): Promise<{ key: string; record: KeyRecord }> {
    const { clock, random, store } = this.#components
    const { row } = entry
    const now = clock.now()
    const end = now + overlapMs
    if (row.revokedAt !== null || (row.expiresAt !== null && now >= row.expiresAt)) {
      const message = 'This key is revoked or has expired. Make a new one instead.'
      throw new PeerError('key_not_usable', message)
    }
    const older = [...row.older, { hash: row.hash, until: end }]
      .map(({ hash, until }) => ({ hash, until: Math.min(until, end) }))
      .filter(({ until }) => until > now)
    if (older.length > OLDER_MAX) {
      const message = `${OLDER_MAX} earlier secrets of this key still work. Rotate with overlap 0.`
      throw new PeerError('too_many_keys', message)
    }
    const key = makeKey(random)
    const rotated = {
      ...{ ...row, older, hash: hashOfKey(key), prefix: shownPart(key), rotatedAt: now },
    }
    const batch = store.batch().put(this.#rows, row.id, rotated)
    this.#tell('key.rotated', rotated, batch)
    await store.commit(batch)
    // It may have been revoked while it was written; that is written next.
    this.#index.change(entry, { ...rotated, revokedAt: entry.row.revokedAt })
    return { key, record: recordOf(entry) }
  }

  /** Refuses the key from now on, whatever the disk says; resolves once that will outlast a crash. */
  async revoke(id: string): Promise<KeyRecord> {
    const entry = this.#find(id)
    const { revokedAt } = entry.row
    if (entry.row.owner && revokedAt === null) throw ownerKeyNeeded('revoked')
    const { clock, store } = this.#components
    entry.row = { ...entry.row, revokedAt: revokedAt ?? clock.now() }
    await entry.inTurn(async () => {
      const batch = store.batch().put(this.#rows, id, entry.row)
      if (revokedAt === null) this.#tell('key.revoked', entry.row, batch)
      await store.commit(batch)
    })
    return recordOf(entry)
  }

  /** Takes the key of the file `owner.key` as the owner's; one that was it before is revoked. */
  async adoptOwner(key: string): Promise<KeyRecord> {
    const known = this.#index.bySecret(hashOfKey(key))?.entry
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
    for (const entry of this.#index.all()) {
      if (!entry.row.owner || entry.row.revokedAt !== null) continue
      entry.row = { ...entry.row, revokedAt: clock.now() }
      batch.put(this.#rows, entry.row.id, entry.row)
    }
    await store.commit(batch)
    return recordOf(this.#index.add(row))
  }

  /** Writes down the last uses. Nothing else waits to be written. */
  async close(): Promise<void> {
    for (const entry of this.#index.all()) {
      const { lastUsedAt } = entry
      if (lastUsedAt !== null && lastUsedAt !== entry.savedUseAt) this.#saveUse(entry, lastUsedAt)
    }
    await Promise.all(this.#saving)
  }

  #find(id: string): KeyEntry {
    const entry = this.#index.get(id)
    if (entry === undefined) throw keyNotFound()
    return entry
  }

  #tell(type: AccountEventType, row: KeyRow, rows: ReturnType<Store['batch']>): void {
    const { emit = noEvents } = this.#components
    const object = keyJson({ ...row, overlapEndsAt: overlapOf(row), lastUsedAt: null })
    emit({ account: row.account, type, data: { object } }, rows)
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
      older: [],
      owner: false,
      createdAt: clock.now(),
      expiresAt: null,
      revokedAt: null,
      rotatedAt: null,
      ...withoutLimits,
    }
  }

  /** When full, forgets the oldest key that is of no use any more: it stays refused, as unknown. */
  #makeRoom(account: string): KeyEntry | undefined {
    const { keysMax, accountKeysMax } = this.#options
    const isFull = this.#index.size + this.#creating >= keysMax
    const most = account === ownerAccount ? keysMax : accountKeysMax
    if (!isFull && this.#index.countOf(account) < most) return undefined
    const now = this.#components.clock.now()
    for (const entry of this.#index.all()) {
      const { revokedAt, expiresAt } = entry.row
      if (revokedAt === null && (expiresAt === null || now < expiresAt)) continue
      if (!isFull && entry.row.account !== account) continue
      this.#index.remove(entry)
      return entry
    }
    const whose = isFull ? `This peer holds ${keysMax}` : `This account has ${most}`
    throw new PeerError('too_many_keys', `${whose} keys, its limit. Revoke keys that nobody uses.`)
  }

  #saveUse(entry: KeyEntry, at: number): void {
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

/** Also where there is one that is none of the caller's business. */
export const keyNotFound = () =>
  new PeerError('key_not_found', 'There is no such key. See `pinaivu-peer keys list`.')

const ownerKeyNeeded = (what: string) =>
  new PeerError(
    'owner_key_needed',
    `The owner's key can't be ${what}. To replace it, stop the peer, delete the file ` +
      '`owner.key` in the data folder, and start the peer again.',
  )
