import { hash } from 'node:crypto'
import type { Random } from '../base/random.ts'

/** So that secret scanners, and people, know a key of ours when they see one. */
const PREFIX = 'sk-pnv-'
const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** 62^43 is just above 2^256: the digits of any 32 bytes. */
const DIGITS = 43
const FORM = /^sk-pnv-[0-9A-Za-z]{43}$/

/** Of the secret's 43 characters: enough to tell keys apart, and 232 bits stay unknown. */
const SHOWN_DIGITS = 4

/** A new API key: 32 random bytes, spelled so that a double click selects all of it. */
export function makeKey(random: Random): string {
  let rest = BigInt(`0x${Buffer.from(random.bytes(32)).toString('hex')}`)
  let digits = ''
  for (let n = 0; n < DIGITS; n++) {
    digits = ALPHABET.charAt(Number(rest % 62n)) + digits
    rest /= 62n
  }
  return PREFIX + digits
}

export function isKey(text: string): boolean {
  return FORM.test(text)
}

/** What is stored instead of the key. Random keys need no salt and no slow hash. */
export function hashOfKey(key: string): string {
  return hash('sha256', key, 'hex')
}

/** What may be shown of a key, to recognise it by. */
export function shownPart(key: string): string {
  return key.slice(0, PREFIX.length + SHOWN_DIGITS)
}
