/** Randomness as a parameter, so that a test can replay what a peer did. */
export interface Random {
  bytes(length: number): Uint8Array
  /** A whole number from 0 up to, not including, `limit` (at most 2^32). */
  below(limit: number): number
}

export const systemRandom: Random = {
  bytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
  below(limit) {
    // Numbers above the last whole multiple of `limit` would favour the small ones: draw again.
    const fair = Math.floor(2 ** 32 / limit) * limit
    for (;;) {
      const [drawn] = crypto.getRandomValues(new Uint32Array(1))
      if (drawn !== undefined && drawn < fair) return drawn % limit
    }
  },
}

/** A repeatable source for tests and simulations (xorshift32). Never for keys. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0 || 1
  const next = (): number => {
    state ^= state << 13
    state >>>= 0
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return state
  }
  return {
    bytes: (length) => Uint8Array.from({ length }, () => next() & 255),
    below: (limit) => next() % limit,
  }
}
