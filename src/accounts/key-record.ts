import { jurisdictionCode } from '../base/country.ts'
import { InvalidError } from '../base/errors.ts'
import { jsonValue, textKey } from '../storage/codec.ts'
import { defaultScopes, isScope, ownerAccount, type Scope, scopes } from './principal.ts'

/** What is known of a key, and may be shown to whoever manages keys. */
export interface KeyRecord extends KeyLimits {
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
  rotatedAt: number | null
  /** Until when some secret works that was replaced by a rotation. */
  overlapEndsAt: number | null
  /** Up to a minute old after a crash. */
  lastUsedAt: number | null
}

/** Null: none. */
export interface KeyLimits {
  /** Micro-credits that this key may spend, in all. */
  creditLimit: number | null
  /** Requests a minute. */
  rpmLimit: number | null
  /** Tokens a minute, read and written. */
  tpmLimit: number | null
  /** Requests at a time. */
  concurrencyLimit: number | null
  /** For requests that name none: a country, or `EU`. */
  jurisdiction: string | null
}

/** A secret that a rotation replaced. */
export interface OldSecret {
  hash: string
  /** Milliseconds since the epoch: it works before that. */
  until: number
}

/** As stored: with the key's SHA-256 (hex), without what is known from it or has its own table. */
export interface KeyRow extends Omit<KeyRecord, 'lastUsedAt' | 'overlapEndsAt'> {
  hash: string
  /** The oldest first. */
  older: readonly OldSecret[]
}

export interface NewKey extends Partial<KeyLimits> {
  name: string
  /** Default: the owner's. */
  account?: string
  /** Default: all but `keys:manage`. */
  scopes?: readonly string[]
  /** Milliseconds since the epoch. Default: never. */
  expiresAt?: number | null
}

/** What a row has that was written before there was such a thing. */
export const withoutLimits: KeyLimits = {
  creditLimit: null,
  rpmLimit: null,
  tpmLimit: null,
  concurrencyLimit: null,
  jurisdiction: null,
}

/** The checked parts of a new key's row. */
export function checkNewKey(input: NewKey, now: number) {
  const name = input.name.trim()
  if (!/^[^\p{C}]{1,128}$/u.test(name)) {
    throw new InvalidError('name', 'A key needs a name of 1 to 128 characters, on one line.')
  }
  const account = checkAccount(input.account ?? ownerAccount)
  const expiresAt = input.expiresAt ?? null
  if (expiresAt !== null && !(Number.isSafeInteger(expiresAt) && expiresAt > now)) {
    throw new InvalidError('expires_at', 'A key must expire in the future.')
  }
  const allowed = checkScopes(input.scopes ?? defaultScopes)
  return { name, account, scopes: allowed, expiresAt, ...checkLimits(input) }
}

export function checkAccount(name: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/.test(name)) return name
  throw new InvalidError(
    'account',
    'An account is named by 1 to 64 letters, digits and . _ @ - and begins with one of the first two.',
  )
}

function checkScopes(wanted: readonly string[]): Scope[] {
  const unknown = wanted.find((scope) => !isScope(scope))
  if (unknown !== undefined || wanted.length === 0) {
    const what = unknown === undefined ? 'A key needs a scope' : `There is no scope "${unknown}"`
    throw new InvalidError('scopes', `${what}. Scopes: ${scopes.join(', ')}.`, 'invalid_scope')
  }
  return scopes.filter((scope) => wanted.includes(scope))
}

function checkLimits(input: Partial<KeyLimits>): KeyLimits {
  const { jurisdiction } = input
  const code = jurisdiction == null ? null : jurisdictionCode(jurisdiction)
  if (code === undefined) {
    const message = 'A jurisdiction is a country as ISO 3166 alpha-2, such as DE or CA, or EU.'
    throw new InvalidError('jurisdiction', message, 'invalid_jurisdiction')
  }
  return {
    creditLimit: checkCount('credit_limit', input.creditLimit, 0),
    rpmLimit: checkCount('rpm_limit', input.rpmLimit, 1),
    tpmLimit: checkCount('tpm_limit', input.tpmLimit, 1),
    concurrencyLimit: checkCount('concurrency_limit', input.concurrencyLimit, 1),
    jurisdiction: code,
  }
}

function checkCount(param: string, value: number | null | undefined, least: number): number | null {
  if (value == null) return null
  if (Number.isSafeInteger(value) && value >= least) return value
  throw new InvalidError(param, `Invalid '${param}': expected a whole number from ${least} on.`)
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
  // The first rows had nothing of this.
  const { older = [], rotatedAt = null } = row
  if (!Array.isArray(older) || !older.every(isOldSecret) || !isTimeOrNull(rotatedAt)) {
    throw new TypeError('not a key')
  }
  return { ...(value as KeyRow), ...checkLimits(row as Partial<KeyLimits>), older, rotatedAt }
}

function isOldSecret(value: unknown): value is OldSecret {
  const { hash, until } = (value ?? {}) as Partial<OldSecret>
  return typeof hash === 'string' && isTime(until)
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
