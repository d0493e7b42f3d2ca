import { hash, hashes, Point } from '@noble/ed25519'
import { sha512 } from '@noble/hashes/sha2.js'
import type { Verify } from '../wire/signed.ts'

// noble leaves the choice of SHA-512 to its user, once per process; there is only one SHA-512.
hashes.sha512 = sha512

/**
 * Whether `signature` is `publicKey`'s over `message`, by the one rule of
 * `protocols/identity/spec.md`. Libraries disagree on odd keys and signatures, so peers that must
 * come to the same verdict can't use their plain `verify`. Runs anywhere; slow (2 to 10 ms).
 */
export const verify: Verify = (publicKey, message, signature) => {
  if (!isSignature(signature)) return false
  const key = decodeKey(publicKey)
  if (key === undefined) return false
  const r = signature.subarray(0, 32)
  const s = littleEndian(signature.subarray(32))
  if (s >= ORDER) return false
  const k = littleEndian(hash(concat(r, publicKey, message))) % ORDER
  const expected = Point.BASE.multiply(s, false).add(key.negate().multiply(k, false))
  return sameBytes(expected.toBytes(), r)
}

/** Whether any signature may count for this key: canonical, not of small order, without torsion. */
export function isPublicKey(publicKey: Uint8Array): boolean {
  return decodeKey(publicKey) !== undefined
}

/**
 * 64 bytes, and an R that isn't the neutral point: no honest signer ever makes that one, and
 * OpenSSL began to refuse it between the versions that peers run on.
 */
export function isSignature(signature: Uint8Array): boolean {
  return signature.length === 64 && !sameBytes(signature.subarray(0, 32), NEUTRAL)
}

const NEUTRAL = Point.ZERO.toBytes()
const ORDER = Point.CURVE().n

function decodeKey(publicKey: Uint8Array): Point | undefined {
  if (publicKey.length !== 32) return undefined
  const point = decodePoint(publicKey)
  if (point === undefined || point.isSmallOrder() || !point.isTorsionFree()) return undefined
  return point
}

/** Undefined for what is no point, and for a point spelled in another than its canonical way. */
function decodePoint(bytes: Uint8Array): Point | undefined {
  try {
    return Point.fromBytes(bytes, false)
  } catch {
    return undefined
  }
}

const littleEndian = (bytes: Uint8Array): bigint =>
  bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n)

function concat(...parts: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

/** All of it is public: no need for constant time. */
const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, index) => byte === b[index])
