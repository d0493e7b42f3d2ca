import type { Random } from '../../base/random.ts'

/** Characters. Long enough that common tokens and short words all look alike. */
const STEP = 16

/** Random characters that bring `text` to a multiple of one length, against who counts bytes. */
export function obfuscation(text: string, random: Random): string {
  const missing = STEP - (Buffer.byteLength(text) % STEP)
  return Buffer.from(random.bytes(missing)).toString('base64url').slice(0, missing)
}
