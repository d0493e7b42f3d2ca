import { jsonValue, textKey } from '../../storage/codec.ts'
import type { Lots } from './lots.ts'

/**
 * What credits flow between. `wallet:<account>` is what an account has; the others are this peer's:
 * `issued` is less than nothing by what was granted, `earned` is what it was paid for own work,
 * `owed:<peer id>` what it owes others for theirs, `expired` what was granted in vain, and `borne`
 * less than nothing by what it owes and no account pays. All together are nothing, always.
 */
export const totalNames = ['issued', 'earned', 'owed', 'expired', 'borne'] as const
export type TotalName = (typeof totalNames)[number]

export type Posting = readonly [account: string, amount: number]

export const isWallet = (posting: string): boolean => posting.startsWith('wallet:')

/** Under which the posting counts. */
export const totalOf = (posting: string): TotalName =>
  posting.startsWith('owed:') ? 'owed' : (posting as TotalName)

export type EntryKind = 'grant' | 'charge' | 'expiry'

/** One transaction: its postings are nothing when added up. */
export interface LedgerEntry {
  /** `txn_` and its number in its account's ledger: they sort as they happened. */
  id: string
  /** Whose ledger it is in; empty: this peer's own. */
  account: string
  kind: EntryKind
  /** Milliseconds since the epoch. */
  at: number
  /** What it made of the account's credits, and what was there after it. */
  amount: number
  balance: number
  postings: readonly Posting[]
  /** Of a grant. */
  expiresAt?: number
  /** Of a charge. */
  jobId?: string
  /** What was set aside for it before. */
  reserved?: number
  requestId?: string
  keyId?: string
  model?: string
  /** The routing entry of this peer's log that says the same, as `bafyrei…`. */
  routing?: string
}

export interface WalletRow {
  balance: number
  /** Together they are the balance. */
  lots: Lots
  /** So many entries are in its ledger. */
  entries: number
  /** What was there after the last grant. */
  high: number
  /** Its holder was told that little is left of that. */
  isLow: boolean
}

/** Totals of this peer, and how many entries are in its own ledger. */
export type TotalsRow = Record<TotalName, number> & { entries: number }

const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0

function checkWallet(value: unknown): WalletRow {
  const { balance, lots, entries, high, isLow } = value as Partial<WalletRow>
  const counts = [balance, entries, high].every(isCount) && typeof isLow === 'boolean'
  const good = Array.isArray(lots) && lots.every(({ left }) => isCount(left))
  if (!counts || !good) throw new TypeError('not a wallet')
  return value as WalletRow
}

function checkTotals(value: unknown): TotalsRow {
  const row = value as Partial<TotalsRow>
  const good = totalNames.every((name) => Number.isSafeInteger(row[name])) && isCount(row.entries)
  if (!good) throw new TypeError('not the totals')
  return value as TotalsRow
}

function checkSpent(value: unknown): number {
  if (!isCount(value)) throw new TypeError('not what a key has spent')
  return value
}

function checkEntry(value: unknown): LedgerEntry {
  const { id, account, kind, at, amount, balance, postings } = value as Partial<LedgerEntry>
  const texts = [id, account, kind].every((text) => typeof text === 'string')
  const numbers = [at, amount, balance].every(Number.isSafeInteger)
  if (!texts || !numbers || !Array.isArray(postings)) throw new TypeError('not a ledger entry')
  return value as LedgerEntry
}

export type BalanceRow =
  | { type: 'wallet'; row: WalletRow }
  | { type: 'totals'; row: TotalsRow }
  | { type: 'key'; row: number }

/** In one table, so that a range over it is all of them at one moment. */
export const balanceRows = {
  key: textKey,
  value: jsonValue((value): BalanceRow => {
    const { type, row } = value as Partial<BalanceRow>
    if (type === 'wallet') return { type, row: checkWallet(row) }
    if (type === 'totals') return { type, row: checkTotals(row) }
    if (type === 'key') return { type, row: checkSpent(row) }
    throw new TypeError('not a balance')
  }),
}

export const TOTALS_KEY = 'totals'
export const walletKey = (account: string): string => `wallet:${account}`
export const keyKey = (keyId: string): string => `key:${keyId}`
/** What stands behind the colon. */
export const nameIn = (key: string): string => key.slice(key.indexOf(':') + 1)

/** By account and number; see `entryKey`. */
export const entryRows = { key: textKey, value: jsonValue(checkEntry) }

/** By job: the key of its charge. */
export const jobRows = {
  key: textKey,
  value: jsonValue((value): string => {
    if (typeof value !== 'string') throw new TypeError('not a key')
    return value
  }),
}

/** As many as a number can count one by one. */
const ID_DIGITS = 16

export const entryId = (number: number): string => `txn_${String(number).padStart(ID_DIGITS, '0')}`

/** No account has a zero byte in its name: nobody's entries are among another's. */
export const entryKey = (account: string, id: string): string => `${account}\0${id}`
