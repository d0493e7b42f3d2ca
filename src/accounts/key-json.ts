import type { KeyRecord } from './key-record.ts'

/** A key as its endpoints and its events show it. */
export interface KeyJson {
  id: string
  object: 'api_key'
  name: string
  prefix: string
  account: string
  scopes: string[]
  credit_limit: number | null
  rpm_limit: number | null
  tpm_limit: number | null
  concurrency_limit: number | null
  jurisdiction: string | null
  created_at: string
  last_used_at: string | null
  expires_at: string | null
  revoked_at: string | null
  rotated_at: string | null
  overlap_ends_at: string | null
}

const isoTime = (ms: number): string => new Date(ms).toISOString()
const isoTimeOrNull = (ms: number | null): string | null => (ms === null ? null : isoTime(ms))

export function keyJson(record: KeyRecord): KeyJson {
  return {
    id: record.id,
    object: 'api_key',
    name: record.name,
    prefix: record.prefix,
    account: record.account,
    scopes: [...record.scopes],
    credit_limit: record.creditLimit,
    rpm_limit: record.rpmLimit,
    tpm_limit: record.tpmLimit,
    concurrency_limit: record.concurrencyLimit,
    jurisdiction: record.jurisdiction,
    created_at: isoTime(record.createdAt),
    last_used_at: isoTimeOrNull(record.lastUsedAt),
    expires_at: isoTimeOrNull(record.expiresAt),
    revoked_at: isoTimeOrNull(record.revokedAt),
    rotated_at: isoTimeOrNull(record.rotatedAt),
    overlap_ends_at: isoTimeOrNull(record.overlapEndsAt),
  }
}
