import type { Clock } from './clock.ts'
import type { Random } from './random.ts'

export type IdKind = 'req' | 'job' | 'key'

/** Crockford's base 32, in which no two characters look alike. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
const TIME_CHARS = 10
const RANDOM_CHARS = 16

/** `req_` + a lower-case ULID: sorts by time, and needs no central counter. */
export function newId(kind: IdKind, clock: Clock, random: Random): string {
  let time = ''
  for (let left = clock.now(), at = 0; at < TIME_CHARS; at++) {
    time = ALPHABET.charAt(left % 32) + time
    left = Math.floor(left / 32)
  }
  let id = `${kind}_${time}`
  for (let n = 0; n < RANDOM_CHARS; n++) id += ALPHABET.charAt(random.below(ALPHABET.length))
  return id
}
