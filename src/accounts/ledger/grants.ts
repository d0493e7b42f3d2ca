import { InvalidError, PeerError } from '../../base/errors.ts'
import { checkAccount } from '../key-record.ts'
import type { WalletRow } from './ledger-rows.ts'
import { isNewLot } from './lots.ts'

export const ledgerLimits = {
  /** Each is in memory, some 300 bytes: twice as many as there can be keys. */
  accountsMax: 100_000,
  /** Grants of one account with different ends: all of them are in the row of its wallet. */
  lotsMax: 100,
  /** Of one account. All that is ever granted stays below 2^53, so that every sum is exact. */
  balanceMax: 1_000_000_000_000_000,
} as const

export interface NewGrant {
  account: string
  amount: number
  /** Milliseconds since the epoch. Default: never. */
  expiresAt?: number | undefined
}

/** What there is before it is granted. */
export interface Before {
  wallet: WalletRow | undefined
  accounts: number
  /** So much more can be counted exactly. */
  isCountable: boolean
  now: number
}

/** Throws why it can't be granted. */
export function checkGrant({ account, amount, expiresAt }: NewGrant, before: Before): void {
  const { accountsMax, lotsMax, balanceMax } = ledgerLimits
  const { wallet, accounts, isCountable, now } = before
  checkAccount(account)
  if (!Number.isSafeInteger(amount) || amount < 1 || amount > balanceMax) {
    const message = `Invalid 'amount': expected a whole number of micro-credits from 1 to ${balanceMax}.`
    throw new InvalidError('amount', message)
  }
  const isTime = expiresAt === undefined || Number.isSafeInteger(expiresAt)
  if (!isTime || (expiresAt ?? Number.POSITIVE_INFINITY) <= now) {
    throw new InvalidError('expires_at', 'Credits must expire in the future.')
  }
  if ((wallet?.balance ?? 0) + amount > balanceMax || !isCountable) {
    throw tooMany('amount', `An account holds at most ${balanceMax} micro-credits. Grant fewer.`)
  }
  if (wallet === undefined && accounts >= accountsMax) {
    throw tooMany('account', `This peer keeps credits for ${accountsMax} accounts, its limit.`)
  }
  const lots = wallet?.lots ?? []
  if (lots.length >= lotsMax && isNewLot(lots, expiresAt ?? null)) {
    const message = `An account's credits have at most ${lotsMax} different ends. Use one of those.`
    throw tooMany('expires_at', message)
  }
}

const tooMany = (param: string, message: string): PeerError =>
  new PeerError('too_many_credits', message, { param })
