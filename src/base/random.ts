/** Randomness as a parameter, so that a test can replay what a peer did. */
export interface Random {
  bytes(length: number): Uint8Array
  /** A whole number from 0 up to, not including, `limit` (at most 2^32). */
  below(limit: number): number
}

// Asking the system costs 3 µs, whether for one number or for hundreds.
const pool = new Uint32Array(256)
let drawn = pool.length

function draw(): number {
  if (drawn === pool.length) {
    crypto.getRandomValues(pool)
    drawn = 0
  }
  const number = pool[drawn] ?? 0
  // Each is used once; nobody who reads this memory later learns an id or seed from it.
  pool[drawn++] = 0
  return number
}

export const systemRandom: Random = {
  bytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
  below(limit) {
    // Numbers above the last whole multiple of `limit` would favour the small ones: draw again.
    const fair = Math.floor(2 ** 32 / limit) * limit
    for (;;) {
      const number = draw()
      if (number < fair) return number % limit
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
