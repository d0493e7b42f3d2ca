import { PeerError } from '../base/errors.ts'
import type { KeyRecord, NewKey } from './key-record.ts'
import { defaultScopes, isScope, ownerAccount } from './principal.ts'

type Holder = Pick<
  KeyRecord,
  'account' | 'scopes' | 'expiresAt' | 'creditLimit' | 'rpmLimit' | 'tpmLimit' | 'concurrencyLimit'
> &
  Pick<KeyRecord, 'jurisdiction'>

/** Keys of the owner's account manage those of every account, others those of their own. */
export const mayManage = (holder: { account: string }, account: string): boolean =>
  holder.account === ownerAccount || holder.account === account

/** A key as its maker asked for it; where nothing was said, what the maker's own key has. */
export function derivedKey(wanted: NewKey, maker: Holder): NewKey {
  const account = wanted.account ?? maker.account
  if (!mayManage(maker, account)) {
    throw beyond('account', 'Only the owner makes keys for other accounts.')
  }
  const key = {
    ...wanted,
    account,
    scopes: wanted.scopes ?? defaultScopes.filter((scope) => maker.scopes.includes(scope)),
    expiresAt: wanted.expiresAt ?? maker.expiresAt,
    creditLimit: wanted.creditLimit ?? maker.creditLimit,
    rpmLimit: wanted.rpmLimit ?? maker.rpmLimit,
    tpmLimit: wanted.tpmLimit ?? maker.tpmLimit,
    concurrencyLimit: wanted.concurrencyLimit ?? maker.concurrencyLimit,
    jurisdiction: wanted.jurisdiction ?? maker.jurisdiction,
  }
  refuseBeyond(key, maker)
  return key
}

/** Nobody hands out more than they have: not by a new key, and not by a new secret of another key. */
export function refuseBeyond(key: Omit<NewKey, 'name'>, holder: Holder): void {
  const lacking = key.scopes?.find((scope) => isScope(scope) && !holder.scopes.includes(scope))
  if (lacking !== undefined) {
    throw beyond('scopes', `Your own key lacks the scope ${lacking}.`)
  }
  const exceeds = (wanted: number | null = null, own: number | null) =>
    own !== null && (wanted === null || wanted > own)
  if (exceeds(key.expiresAt, holder.expiresAt)) {
    throw beyond('expires_at', 'Your own key expires before that.')
  }
  const limits = [
    ['credit_limit', key.creditLimit, holder.creditLimit],
    ['rpm_limit', key.rpmLimit, holder.rpmLimit],
    ['tpm_limit', key.tpmLimit, holder.tpmLimit],
    ['concurrency_limit', key.concurrencyLimit, holder.concurrencyLimit],
  ] as const
  for (const [param, wanted, own] of limits) {
    if (exceeds(wanted, own)) throw beyond(param, `Your own key has a ${param} of ${own}.`)
  }
}

const beyond = (param: string, message: string) =>
  new PeerError('insufficient_scope', message, { param })
