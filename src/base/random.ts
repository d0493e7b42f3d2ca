/** Randomness as a parameter, so that a test can replay what a peer did. */
export interface Random {
  bytes(length: number): Uint8Array
  /** A whole number from 0 up to, not including, `limit` (at most 2^32). */
  below(limit: number): number
}

// Asking the system costs 3 µs, whether for one number or for hundreds.
const pool = new Uint8Array(1024)
const words = new DataView(pool.buffer)
/** More are asked for by themselves. */
const SHORT_BYTES = 64
let drawn = pool.length

/** Where so many bytes stand in the pool that nobody had yet. */
function take(length: number): number {
  if (drawn + length > pool.length) {
    crypto.getRandomValues(pool)
    drawn = 0
  }
  drawn += length
  return drawn - length
}

/** Each is used once; nobody who reads this memory later learns an id, seed or nonce from it. */
const wipe = (start: number, length: number): void => void pool.fill(0, start, start + length)

function draw(): number {
  const start = take(4)
  const number = words.getUint32(start)
  wipe(start, 4)
  return number
}

function drawBytes(length: number): Uint8Array {
  const start = take(length)
  const bytes = pool.slice(start, start + length)
  wipe(start, length)
  return bytes
}

export const systemRandom: Random = {
  bytes: (length) =>
    length > SHORT_BYTES ? crypto.getRandomValues(new Uint8Array(length)) : drawBytes(length),
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
