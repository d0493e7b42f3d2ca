import { joinBytes } from './octets.ts'
import { sha256 } from './sha256.ts'

const BLOCK_BYTES = 64

/**
 * HMAC-SHA256 (RFC 2104), with the platform's hash where there is one. The key has at most 64 bytes.
 * Node's own needs no copy of the message, but an object, which for most bodies costs more.
 */
export function hmacSha256(key: Uint8Array, message: Uint8Array): Uint8Array<ArrayBuffer> {
  if (key.length > BLOCK_BYTES) throw new RangeError(`a key of ${key.length} bytes`)
  const inner = sha256(joinBytes(padded(key, 0x36), message))
  return sha256(joinBytes(padded(key, 0x5c), inner))
}

function padded(key: Uint8Array, filler: number): Uint8Array {
  const block = new Uint8Array(BLOCK_BYTES).fill(filler)
  for (let at = 0; at < key.length; at++) block[at] = filler ^ (key[at] ?? 0)
  return block
}
