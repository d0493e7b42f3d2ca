/** Longer than that waits nobody. */
const DOUBLINGS_MAX = 32

/** How long to wait before the next try: twice as long after each that was in vain before. */
export function backoffMs(before: number, firstMs: number, maxMs: number): number {
  return Math.min(maxMs, firstMs * 2 ** Math.min(before, DOUBLINGS_MAX))
}
