import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto'
import type { Random } from '../../base/random.ts'
import { joinBytes } from '../../wire/octets.ts'

const NONCE_BYTES = 12
const TAG_BYTES = 16
const KEY_BYTES = 32

/** What only the caller has: the API key it asked with, and the `Idempotency-Key` it chose. */
export interface SealSecret {
  apiKey: string
  idempotencyKey: string
}

const keyOf = ({ apiKey, idempotencyKey }: SealSecret): Uint8Array =>
  new Uint8Array(hkdfSync('sha256', apiKey, idempotencyKey, 'pinaivu idempotency', KEY_BYTES))

/** Encrypts an answer that shows a secret: whoever reads the disk learns none from it. */
export function seal(body: Uint8Array, secret: SealSecret, random: Random): Uint8Array {
  const nonce = random.bytes(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', keyOf(secret), nonce)
  const text = Buffer.concat([cipher.update(body), cipher.final()])
  return joinBytes(nonce, cipher.getAuthTag(), text)
}

/** Undefined for anybody but the caller. */
export function unseal(sealed: Uint8Array, secret: SealSecret): Uint8Array | undefined {
  const nonce = sealed.subarray(0, NONCE_BYTES)
  const tag = sealed.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES)
  const decipher = createDecipheriv('aes-256-gcm', keyOf(secret), nonce)
  try {
    decipher.setAuthTag(tag)
    const text = decipher.update(sealed.subarray(NONCE_BYTES + TAG_BYTES))
    return Buffer.concat([text, decipher.final()])
  } catch {
    return undefined
  }
}
