import { InvalidError } from '../base/errors.ts'
import { jsonValue, textKey } from '../storage/codec.ts'
import { defaultScopes, isScope, ownerAccount, type Scope, scopes } from './principal.ts'

/** What is known of a key, and may be shown to whoever manages keys. */
export interface KeyRecord {
  /** `key_…` */
  id: string
  name: string
  account: string
  scopes: readonly Scope[]
  /** The first characters of the key, to recognise it by. */
  prefix: string
  /** The key in the data folder's `owner.key`: every scope, never expires. */
  owner: boolean
  /** Milliseconds since the epoch, like the other times. */
  createdAt: number
  expiresAt: number | null
  revokedAt: number | null
  /** Up to a minute old after a crash. */
  lastUsedAt: number | null
}

/** As stored: with the key's SHA-256 (hex), without the last use, which has its own table. */
export type KeyRow = Omit<KeyRecord, 'lastUsedAt'> & { hash: string }

export interface NewKey {
  name: string
  /** Default: the owner's. */
  account?: string
  /** Default: all but `keys:manage`. */
  scopes?: readonly string[]
  /** Milliseconds since the epoch. Default: never. */
  expiresAt?: number
}

/** The checked parts of a new key's row. */
export function checkNewKey(input: NewKey, now: number) {
  const name = input.name.trim()
  if (!/^[^\p{C}]{1,128}$/u.test(name)) {
    throw new InvalidError('name', 'A key needs a name of 1 to 128 characters, on one line.')
  }
  const account = input.account ?? ownerAccount
  if (!/^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/.test(account)) {
    throw new InvalidError(
      'account',
      'An account is named by 1 to 64 letters, digits and . _ @ - and begins with one of the first two.',
    )
  }
  const expiresAt = input.expiresAt ?? null
  if (expiresAt !== null && !(Number.isSafeInteger(expiresAt) && expiresAt > now)) {
    throw new InvalidError('expires_at', 'A key must expire in the future.')
  }
  return { name, account, scopes: checkScopes(input.scopes ?? defaultScopes), expiresAt }
}

function checkScopes(wanted: readonly string[]): Scope[] {
  const unknown = wanted.find((scope) => !isScope(scope))
  if (unknown !== undefined || wanted.length === 0) {
    const what = unknown === undefined ? 'A key needs a scope' : `There is no scope "${unknown}"`
    throw new InvalidError('scopes', `${what}. Scopes: ${scopes.join(', ')}.`, 'invalid_scope')
  }
  return scopes.filter((scope) => wanted.includes(scope))
}

const isTime = (value: unknown): value is number => Number.isSafeInteger(value)
const isTimeOrNull = (value: unknown): value is number | null => value === null || isTime(value)

function checkRow(value: unknown): KeyRow {
  const row = value as Partial<Record<keyof KeyRow, unknown>>
  const { id, name, account, prefix, hash, owner, createdAt, expiresAt, revokedAt } = row
  const texts = [id, name, account, prefix, hash].every((text) => typeof text === 'string')
  const times = isTime(createdAt) && isTimeOrNull(expiresAt) && isTimeOrNull(revokedAt)
  const scoped = Array.isArray(row.scopes) && row.scopes.every(isScope)
  if (!texts || !times || !scoped || typeof owner !== 'boolean') throw new TypeError('not a key')
  return value as KeyRow
}

/** By key id. */
export const keyRows = { key: textKey, value: jsonValue(checkRow) }

/** By key id: when it was last used. */
export const keyUses = {
  key: textKey,
  value: jsonValue((value): number => {
    if (!isTime(value)) throw new TypeError('not a time')
    return value
  }),
}
