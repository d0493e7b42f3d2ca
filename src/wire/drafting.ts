import type { Drafted, Provisional } from './chunk.ts'
import { peerId as peerIdRule } from './rules.ts'

/** Peers told of in one answer: who answers, and those that drafted for it. */
export const DRAFTERS_MAX = 8

/** What drafts on the machine of who answers is known to others by that peer's id. */
export function drafterOf({ drafter }: Pick<Provisional, 'drafter'>, self: string): string {
  return peerIdRule.pattern.test(drafter) ? drafter : self
}

/** The same of what became of guesses: one for each peer. */
export function draftingOf(drafting: readonly Drafted[], self: string): Drafted[] {
  const sums = new Map<string, Drafted>()
  for (const each of drafting) {
    const drafter = drafterOf(each, self)
    const sum = sums.get(drafter)
    if (sum === undefined) {
      if (sums.size < DRAFTERS_MAX) sums.set(drafter, { ...each, drafter })
      continue
    }
    sum.drafted += each.drafted
    sum.accepted += each.accepted
    sum.rolledBack += each.rolledBack
  }
  return [...sums.values()]
}

/** Each guess is accepted or rolled back, and what is accepted is in the answer. */
export function addsUp(drafting: readonly Drafted[], outputTokens: number): boolean {
  const accepted = drafting.reduce((sum, each) => sum + each.accepted, 0)
  const isWhole = drafting.every((each) => each.accepted + each.rolledBack === each.drafted)
  return isWhole && accepted <= outputTokens
}
