import type { BatchTime } from './engine.ts'

const WINDOW_MAX = 16

/** Of a decode of so many tokens; between two that were measured, on the line between them. */
export function msBetween(curve: readonly BatchTime[], tokens: number): number {
  const above = curve.find((each) => each.tokens >= tokens)
  const below = curve.findLast((each) => each.tokens <= tokens)
  if (above === undefined || below === undefined) throw new RangeError(`${tokens} is not measured`)
  if (above.tokens === below.tokens) return below.ms
  const part = (tokens - below.tokens) / (above.tokens - below.tokens)
  return below.ms + (above.ms - below.ms) * part
}

/**
 * How much faster answers can be whose guesses are right so often, each by itself: with this window,
 * or the best, none among them.
 */
export function bound(
  { curve, draftMs }: { curve: readonly BatchTime[]; draftMs: number },
  accepted: number,
  fixed?: number,
): number {
  const one = msBetween(curve, 1)
  const ofWindow = (window: number) => {
    const each = acceptanceOf(accepted, window)
    const right = Array.from({ length: window }, (_, at) => each ** (at + 1))
    const tokens = right.reduce((sum, share) => sum + share, 1)
    return (tokens * one) / (msBetween(curve, 1 + window) + window * draftMs)
  }
  if (fixed !== undefined) return ofWindow(fixed)
  const windows = Array.from({ length: WINDOW_MAX }, (_, at) => ofWindow(at + 1))
  return Math.max(1, ...windows)
}

/**
 * Of all guesses of a window this part was accepted; guesses behind a wrong one never are. How often
 * a guess is right whose predecessors are.
 */
function acceptanceOf(accepted: number, window: number): number {
  let [low, high] = [0, 1]
  for (let step = 0; step < 40; step++) {
    const middle = (low + high) / 2
    const right = Array.from({ length: window }, (_, at) => middle ** (at + 1))
    const share = right.reduce((sum, each) => sum + each, 0) / window
    if (share < accepted) low = middle
    else high = middle
  }
  return high
}
