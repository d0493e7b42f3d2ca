import { ownerAccount, type Principal } from '../accounts/principal.ts'
import { PeerError } from '../base/errors.ts'
import { optional, string } from './schema.ts'

/** No account has a longer name, and rows are looked for by it. */
const NAME_CHARS_MAX = 64

/** For the query of what the owner may ask for any account. */
export const accountField = {
  account: optional(
    string({
      maxLength: NAME_CHARS_MAX,
      description: "The owner's keys with keys:manage see any account.",
    }),
  ),
}

export interface AccountQuery {
  account?: string
}

/** Whoever holds the owner's account, and may manage keys. */
export const isManager = ({ account, scopes }: Principal): boolean =>
  account === ownerAccount && scopes.has('keys:manage')

/** Whose things are asked for; others learn nothing of an account, not even whether there is one. */
export function accountOf({ account }: AccountQuery, principal: Principal): string {
  if (account === undefined || account === principal.account) return principal.account
  if (isManager(principal)) return account
  throw new PeerError(
    'insufficient_scope',
    "Only the owner sees other accounts' credits and usage.",
    {
      param: 'account',
    },
  )
}

export function checkManager(principal: Principal): void {
  if (isManager(principal)) return
  throw new PeerError('insufficient_scope', "Only a key of the owner's account may do that.")
}
