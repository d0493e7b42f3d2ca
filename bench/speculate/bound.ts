import { seededDraw } from '../soak/mix.ts'
import type { BatchTime } from './engine.ts'

const WINDOW_MAX = 16
/** Tokens of an answer that is only reckoned: two in a thousand of its speed are chance. */
const RECKONED = 200_000

export interface GuessCost {
  curve: readonly BatchTime[]
  draftMs: number
}

/** Of a decode of so many tokens; between two that were measured, on the line between them. */
export function msBetween(curve: readonly BatchTime[], tokens: number): number {
  const above = curve.find((each) => each.tokens >= tokens)
  const below = curve.findLast((each) => each.tokens <= tokens)
  if (above === undefined || below === undefined) throw new RangeError(`${tokens} is not measured`)
  if (above.tokens === below.tokens) return below.ms
  const part = (tokens - below.tokens) / (above.tokens - below.tokens)
  return below.ms + (above.ms - below.ms) * part
}

/** How much faster answers can be of whose guesses each is right so often if those before it are. */
export function bound({ curve, draftMs }: GuessCost, right: number, window: number): number {
  const tokens = expected(right, window) + 1
  return (tokens * msBetween(curve, 1)) / (msBetween(curve, 1 + window) + window * draftMs)
}

/** With the best window, none among them. */
export function bestBound(cost: GuessCost, right: number): number {
  const windows = Array.from({ length: WINDOW_MAX }, (_, at) => bound(cost, right, at + 1))
  return Math.max(1, ...windows)
}

/**
 * The same with a drafter so far away, each way: behind a token that it did not guess it has to hear
 * of it, and its next guess to arrive. What it computes is not this machine's time.
 */
export function bestFarBound(cost: GuessCost, right: number, delayMs: number): number {
  const windows = Array.from({ length: WINDOW_MAX }, (_, at) =>
    farBound(cost, { right, window: at + 1, delayMs }),
  )
  return Math.max(1, ...windows)
}

function farBound(
  { curve, draftMs }: GuessCost,
  { right, window, delayMs }: { right: number; window: number; delayMs: number },
): number {
  const draw = seededDraw(1)
  const isLikely = () => draw(2 ** 32) < right * 2 ** 32
  const one = msBetween(curve, 1)
  let [ms, tokens, nextGuessAt] = [0, 0, 0]
  while (tokens < RECKONED) {
    const guesses = ms >= nextGuessAt ? window : 0
    ms += msBetween(curve, 1 + guesses)
    let drawn = 1
    while (drawn <= guesses && isLikely()) drawn++
    tokens += drawn
    // The last one was compared with no guess, and may be as it has guessed all the same.
    const isKnown = drawn > guesses && isLikely()
    if (!isKnown) nextGuessAt = ms + 2 * delayMs + draftMs
  }
  return (tokens * one) / ms
}

/**
 * Of all guesses of a window this part was accepted; guesses behind a wrong one never are. How often
 * a guess is right whose predecessors are.
 */
export function rightOf(accepted: number, window: number): number {
  let [low, high] = [0, 1]
  for (let step = 0; step < 40; step++) {
    const middle = (low + high) / 2
    if (expected(middle, window) / window < accepted) low = middle
    else high = middle
  }
  return high
}

/** Tokens of so many guesses that are right before the first one that is wrong. */
function expected(right: number, window: number): number {
  return Array.from({ length: window }, (_, at) => right ** (at + 1)).reduce((a, b) => a + b, 0)
}
