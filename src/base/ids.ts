import type { Clock } from './clock.ts'
import type { Random } from './random.ts'

export type IdKind = 'req' | 'job' | 'key' | 'evt' | 'whend' | 'whdel' | 'file' | 'sess' | 'msg'

/** Crockford's base 32, in which no two characters look alike. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
const TIME_CHARS = 10
const RANDOM_CHARS = 16

/** `req_` + a lower-case ULID: sorts by time, and needs no central counter. */
export function newId(kind: IdKind, clock: Clock, random: Random): string {
  let id = firstIdAt(kind, clock.now())
  // 32 divides 256: each letter is as likely as the others.
  for (const byte of random.bytes(RANDOM_CHARS)) id += ALPHABET.charAt(byte % ALPHABET.length)
  return id
}

/** What every id of that time begins with, and what is before all of them. */
export function firstIdAt(kind: IdKind, ms: number): string {
  let time = ''
  for (let left = ms, at = 0; at < TIME_CHARS; at++) {
    time = ALPHABET.charAt(left % 32) + time
    left = Math.floor(left / 32)
  }
  return `${kind}_${time}`
}

const tail = new RegExp(`^[${ALPHABET}]{${TIME_CHARS + RANDOM_CHARS}}$`)

/** Whether a text could be one of ours: what is none need not be looked up. */
export const isId = (kind: IdKind, text: string): boolean =>
  text.startsWith(`${kind}_`) && tail.test(text.slice(kind.length + 1))
