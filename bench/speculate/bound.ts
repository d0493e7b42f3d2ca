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

/** How much faster answers can be of whose guesses each is right so often if those before it are. */
export function bound(
  { curve, draftMs }: { curve: readonly BatchTime[]; draftMs: number },
  right: number,
  window: number,
): number {
  const tokens = expected(right, window) + 1
  return (tokens * msBetween(curve, 1)) / (msBetween(curve, 1 + window) + window * draftMs)
}

/** With the best window, none among them. */
export function bestBound(cost: Parameters<typeof bound>[0], right: number): number {
  const windows = Array.from({ length: WINDOW_MAX }, (_, at) => bound(cost, right, at + 1))
  return Math.max(1, ...windows)
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
