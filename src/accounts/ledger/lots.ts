/** Credits that came together, and may go together. */
export interface Lot {
  left: number
  /** Milliseconds since the epoch; null: never. */
  expiresAt: number | null
}

/** Lots in the order in which they are spent: what expires first goes first. */
export type Lots = Lot[]

const endOf = ({ expiresAt }: Lot): number => expiresAt ?? Number.POSITIVE_INFINITY

/** Whether a lot of this end would be one more. */
export const isNewLot = (lots: Readonly<Lots>, expiresAt: number | null): boolean =>
  lots.every((lot) => lot.expiresAt !== expiresAt)

export function addLot(lots: Lots, added: Lot): void {
  const same = lots.find(({ expiresAt }) => expiresAt === added.expiresAt)
  if (same !== undefined) {
    same.left += added.left
    return
  }
  const at = lots.findIndex((lot) => endOf(lot) > endOf(added))
  lots.splice(at < 0 ? lots.length : at, 0, { ...added })
}

/** Takes so much, which must be there, from those that expire first. */
export function takeFrom(lots: Lots, amount: number): void {
  let rest = amount
  while (rest > 0) {
    const [first] = lots
    if (first === undefined) throw new RangeError(`${rest} credits more than there are`)
    const taken = Math.min(rest, first.left)
    first.left -= taken
    rest -= taken
    if (first.left === 0) lots.shift()
  }
}

/** What of them is past its end. */
export function expiredIn(lots: Readonly<Lots>, now: number): number {
  let expired = 0
  for (const lot of lots) {
    if (endOf(lot) > now) break
    expired += lot.left
  }
  return expired
}
