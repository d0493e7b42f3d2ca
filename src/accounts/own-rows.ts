import type { Range } from '../storage/table.ts'

/** The key of a row that belongs to an account: an account's rows lie together, by their ids. */
export const ownKey = (account: string, id: string): string => `${account}/${id}`

/** A range of ids, among the rows of one account alone. No account's name has a slash. */
export function ownRange(account: string, { gt, gte, lt, lte, ...rest }: Range<string>) {
  const range: Range<string> = { ...rest, gt: ownKey(account, gt ?? ''), lt: `${account}0` }
  if (gte !== undefined) range.gte = ownKey(account, gte)
  if (lt !== undefined) range.lt = ownKey(account, lt)
  if (lte !== undefined) range.lte = ownKey(account, lte)
  return range
}
