import type { Price } from '../../wire/job.ts'
import { type Bounds, roundedUp, thousandths, toCredits } from '../quote.ts'

/** What is paid for, and at what price per 1,000 tokens. */
export interface Priced {
  paid: Bounds
  price: Price
}

/**
 * Micro-credits for each part of one answer. What all cost together is rounded up once; what the
 * division leaves goes to the parts that lost most by it, the earlier first.
 */
export function split(parts: readonly Priced[]): number[] {
  const exact = parts.map(({ paid, price }) => thousandths(paid, price))
  const amounts = exact.map((each) => each / 1000n)
  const left = roundedUp(sum(exact)) - sum(amounts)
  const byRemainder = [...exact.keys()].sort((a, b) => remainder(exact[b]) - remainder(exact[a]))
  for (const at of byRemainder.slice(0, Number(left))) amounts[at] = (amounts[at] ?? 0n) + 1n
  return amounts.map(toCredits)
}

const sum = (all: readonly bigint[]): bigint => all.reduce((total, each) => total + each, 0n)

const remainder = (thousandths = 0n): number => Number(thousandths % 1000n)
