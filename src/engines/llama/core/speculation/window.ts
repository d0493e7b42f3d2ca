import type { BatchCost } from './batch-cost.ts'

/** A frame of the network holds as many tokens; further ahead hardly any guess is right. */
export const WINDOW_MAX = 16

/** Below this speed-up what is uncertain about it is more than what it gives. */
export const BOUND_MIN = 1.1

/** Who is to see guesses sees at least so many at a time. */
export const WATCHED_MIN = 2

/** The batch that guesses would be a part of. */
export interface Company {
  /** Answers in the batch, and all its tokens, without the guesses that are to be decided on. */
  lanes: number
  tokens: number
  /** What it takes to make a guess, before it is verified. */
  msPerGuess?: number
}

export interface Window {
  tokens: number
  /** Speed with it, relative to none, of the answer itself. */
  bound: number
}

/** Tokens of `window` guesses that are right before the first one that is wrong. */
export function expected(acceptance: number, window: number): number {
  if (acceptance >= 1) return window
  return (acceptance * (1 - acceptance ** window)) / (1 - acceptance)
}

/** What a token of an answer takes without guesses, and what so many guesses take on top. */
export function prices(cost: BatchCost, company: Company, window: number) {
  const { lanes, tokens, msPerGuess = 0 } = company
  return {
    token: cost.ms(lanes) / lanes,
    guesses: cost.ms(tokens + window) - cost.ms(tokens) + window * msPerGuess,
  }
}

/** The window that makes an answer fastest when its guesses are right so often; 0 where none does. */
export function bestWindow(
  cost: BatchCost,
  company: Company,
  acceptance: number,
  most = WINDOW_MAX,
): Window {
  let best: Window = { tokens: 0, bound: 1 }
  for (let tokens = 1; tokens <= most; tokens++) {
    const { token, guesses } = prices(cost, company, tokens)
    const ms = token + guesses
    const bound = ms > 0 ? ((1 + expected(acceptance, tokens)) * token) / ms : 1
    if (bound > best.bound) best = { tokens, bound }
  }
  return best
}
