import type { Price, Work } from '../wire/job.ts'
import { inputTokensMax, outputTokensMax, promptBytes } from '../wire/token-bounds.ts'

/** What a job can come to at most, known before any work. */
export interface Bounds {
  inputTokens: number
  outputTokens: number
}

export function boundsOf(work: Work, contextLength: number): Bounds {
  return {
    inputTokens: inputTokensMax(work, contextLength),
    outputTokens: lanesMax(work) * outputTokensMax(work, contextLength),
  }
}

/** What a job of this size costs at this price: micro-credits, rounded up once. */
export const quote = (bounds: Bounds, price: Price): number =>
  toCredits(roundedUp(thousandths(bounds, price)))

/** What nobody pays for has no price. */
export const FREE: Price = { input: 0, output: 0 }

export const isFree = ({ input, output }: Price): boolean => input === 0 && output === 0

/** What covers both. */
export const dearer = (a: Price, b: Price): Price => ({
  input: Math.max(a.input, b.input),
  output: Math.max(a.output, b.output),
})

/** The same before it is rounded, in thousandths of a micro-credit. */
export const thousandths = ({ inputTokens, outputTokens }: Bounds, price: Price): bigint =>
  BigInt(inputTokens) * BigInt(price.input) + BigInt(outputTokens) * BigInt(price.output)

export const roundedUp = (thousandths: bigint): bigint => (thousandths + 999n) / 1000n

/** No account holds more than the most: whoever compares finds that it can't be paid. */
export const toCredits = (credits: bigint): number =>
  Number(credits > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : credits)

/** Whether one of its prompts can have so many tokens at all. */
export function mayExceed(work: Work, contextLength: number): boolean {
  return promptBytes(work).some((bytes) => bytes >= contextLength)
}

function lanesMax(work: Work): number {
  if (work.kind === 'embedding') return 0
  return work.sampling.choices * (work.kind === 'completion' ? work.prompts.length : 1)
}
