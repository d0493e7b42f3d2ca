import { DECODE_MS_MAX } from '../prefill-pace.ts'
import type { BatchCost } from './batch-cost.ts'

/** A frame of the network holds as many tokens; further ahead hardly any guess is right. */
export const WINDOW_MAX = 16

/** Below this speed-up what is uncertain about it is more than what it gives. */
export const BOUND_MIN = 1.1

/** Who is to see guesses sees at least so many at a time. */
export const WATCHED_MIN = 2

/** One answer of a batch, as far as its guesses go. */
export interface Prospect {
  /** Guesses that it has in any case, and can have at most. */
  least: number
  most: number
  /** The part of them that is right. */
  acceptance: number
  /** What it takes to make one, before it is verified. */
  msPerGuess: number
}

export interface Window {
  tokens: number
  /** Speed with it, relative to none but the least. */
  bound: number
}

/** Tokens of `window` guesses that are right before the first one that is wrong. */
export function expected(acceptance: number, window: number): number {
  if (acceptance >= 1) return window
  return (acceptance * (1 - acceptance ** window)) / (1 - acceptance)
}

export function guessesOf({ least, most }: Prospect, window: number): number {
  return Math.min(Math.max(window, least), most)
}

/**
 * What a batch of answers with so many tokens each takes. llama.cpp computes as many tokens of each
 * together as the shortest has, then the rest of the others likewise.
 */
export function batchMs(cost: BatchCost, lengths: readonly number[]): number {
  let ms = 0
  for (const pass of passes(lengths)) ms += cost.ms(pass)
  return ms
}

export function passes(lengths: readonly number[]): number[] {
  const sorted = lengths.toSorted((a, b) => a - b)
  const sizes: number[] = []
  let done = 0
  sorted.forEach((length, at) => {
    if (length > done) sizes.push((length - done) * (sorted.length - at))
    done = Math.max(done, length)
  })
  return sizes
}

/** Tokens a millisecond of all answers together; 0 where nobody knows, or a decode would take too long. */
function speed(cost: BatchCost, prospects: readonly Prospect[], window: number): number {
  let tokens = 0
  let ms = 0
  const lengths = prospects.map((prospect) => {
    const guesses = guessesOf(prospect, window)
    tokens += 1 + expected(prospect.acceptance, guesses)
    ms += guesses * prospect.msPerGuess
    return 1 + guesses
  })
  const decode = batchMs(cost, lengths)
  const isLong = window > 0 && decode > DECODE_MS_MAX
  return decode === 0 || isLong ? 0 : tokens / (ms + decode)
}

/** The one window for all that makes them fastest; 0 where none does by enough. */
export function bestWindow(cost: BatchCost, prospects: readonly Prospect[]): Window {
  const none = speed(cost, prospects, 0)
  let best: Window = { tokens: 0, bound: 1 }
  const most = Math.max(0, ...prospects.map((prospect) => prospect.most))
  for (let tokens = 1; none > 0 && tokens <= most; tokens++) {
    const bound = speed(cost, prospects, tokens) / none
    if (bound > best.bound && bound >= BOUND_MIN) best = { tokens, bound }
  }
  return best
}

/** Whether guesses could pay here at all; where nothing is said of them, all are right and take nothing to make. */
export function couldPay(
  cost: BatchCost,
  lanes: number,
  { acceptance = 1, msPerGuess = 0 }: Partial<Prospect> = {},
): boolean {
  const alone = cost.ms(lanes)
  for (let tokens = 1; alone > 0 && tokens <= WINDOW_MAX; tokens++) {
    const ms = cost.ms(lanes * (1 + tokens)) + lanes * tokens * msPerGuess
    if ((1 + expected(acceptance, tokens)) * alone >= BOUND_MIN * ms) return true
  }
  return false
}
