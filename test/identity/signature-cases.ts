import { getPublicKey, hash, hashes, Point, sign, utils } from '@noble/ed25519'
import { sha512 } from '@noble/hashes/sha2.js'

// Makes the cases of protocols/identity/vectors/ed25519.json, the same on every run.

hashes.sha512 = sha512

export interface SignatureCase {
  name: string
  publicKey: string
  message: string
  signature: string
  valid: boolean
}

const { n: L, p: P } = Point.CURVE()

/** A point of order 8: its multiples are the eight points of small order. */
const TORSION = Point.fromHex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05')

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const concat = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts))
const toNumber = (bytes: Uint8Array): bigint =>
  BigInt(`0x${hex(Uint8Array.from(bytes).reverse()) || '0'}`)

function toBytes(value: bigint): Uint8Array {
  return new Uint8Array(Buffer.from(value.toString(16).padStart(64, '0'), 'hex').reverse())
}

const challenge = (r: Uint8Array, a: Uint8Array, message: Uint8Array): bigint =>
  toNumber(hash(concat(r, a, message))) % L

/** A secret scalar and nonce with which even odd signatures can be made. */
function signer(label: string) {
  const seed = hash(text(label)).slice(0, 32)
  const { scalar, point } = utils.getExtendedPublicKey(seed)
  const nonce = toNumber(hash(text(`nonce of ${label}`))) % L
  return { seed, scalar, point, nonce }
}

/** `S = r + k·a` for whatever R and A say they are. */
function craft(r: Uint8Array, a: Uint8Array, message: Uint8Array, nonce: bigint, scalar: bigint) {
  const s = (nonce + challenge(r, a, message) * scalar) % L
  return concat(r, toBytes(s))
}

/** The first message for which the challenge leaves `rest` modulo 8. */
function messageWith(r: Uint8Array, a: Uint8Array, rest: (k: bigint) => boolean): Uint8Array {
  for (let n = 0; ; n++) {
    const message = text(`message ${n}`)
    if (rest(challenge(r, a, message) % 8n)) return message
  }
}

/** Every way to write a point of small order, the non-canonical ones too: 14 in all. */
export function smallOrderKeys(): { name: string; bytes: Uint8Array }[] {
  const keys: { name: string; bytes: Uint8Array }[] = []
  let point = Point.ZERO
  for (let n = 0; n < 8; n++) {
    keys.push({ name: `${n} x T8`, bytes: point.toBytes() })
    point = point.add(TORSION)
  }
  const signBit = 1n << 255n
  const odd: [string, bigint][] = [
    ['y = 1, sign bit on x = 0', 1n | signBit],
    ['y = -1, sign bit on x = 0', (P - 1n) | signBit],
    ['y = p', P],
    ['y = p, sign bit', P | signBit],
    ['y = p + 1', P + 1n],
    ['y = p + 1, sign bit', (P + 1n) | signBit],
  ]
  return [...keys, ...odd.map(([name, y]) => ({ name, bytes: toBytes(y) }))]
}

function honestCases(): SignatureCase[] {
  // The first three tests of RFC 8032, section 7.1.
  const published: [seed: string, message: string][] = [
    ['9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', ''],
    ['4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb', '72'],
    ['c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7', 'af82'],
  ]
  const own: [string, string][] = ['short', 'x'.repeat(1023), '\0'].map((message, n) => [
    hex(signer(`honest ${n}`).seed),
    hex(text(message)),
  ])
  return [...published, ...own].map(([seed, message], n) => {
    const secret = new Uint8Array(Buffer.from(seed, 'hex'))
    const signed = new Uint8Array(Buffer.from(message, 'hex'))
    return {
      name: n < published.length ? `RFC 8032 test ${n + 1}` : `honest ${n - published.length}`,
      publicKey: hex(getPublicKey(secret)),
      message,
      signature: hex(sign(signed, secret)),
      valid: true,
    }
  })
}

function tamperedCases(): SignatureCase[] {
  const { seed, point } = signer('tampered')
  const a = point.toBytes()
  const message = text('pay 10')
  const signature = sign(message, seed)
  const s = toNumber(signature.slice(32))
  const withS = (value: bigint) => concat(signature.slice(0, 32), toBytes(value))
  const flipped = (bytes: Uint8Array, at: number) => bytes.with(at, (bytes[at] ?? 0) ^ 1)
  const odd: [string, Uint8Array, Uint8Array, Uint8Array][] = [
    ['another message', a, text('pay 11'), signature],
    ['another key', signer('other').point.toBytes(), message, signature],
    ['a bit of R', a, message, flipped(signature, 3)],
    ['a bit of S', a, message, flipped(signature, 40)],
    ['a bit of the key', flipped(a, 5), message, signature],
    ['S + L', a, message, withS(s + L)],
    ['S + 2L', a, message, withS(s + 2n * L)],
    ['S = L', a, message, withS(L)],
    ['S with its top bit', a, message, flipped(signature, 63).with(63, 0x80)],
    ['all-zero signature', a, message, new Uint8Array(64)],
    ['all-zero key and signature', new Uint8Array(32), message, new Uint8Array(64)],
    ['all-ones key', new Uint8Array(32).fill(255), message, signature],
    ['signature of 63 bytes', a, message, signature.slice(0, 63)],
    ['signature of 65 bytes', a, message, concat(signature, Uint8Array.of(0))],
    ['empty signature', a, message, new Uint8Array(0)],
    ['key of 31 bytes', a.slice(0, 31), message, signature],
    ['key of 33 bytes', concat(a, Uint8Array.of(0)), message, signature],
    ['empty key', new Uint8Array(0), message, signature],
    ['a key that is no point', toBytes(2n), message, signature],
  ]
  return odd.map(([name, publicKey, signed, sig]) => ({
    name,
    publicKey: hex(publicKey),
    message: hex(signed),
    signature: hex(sig),
    valid: false,
  }))
}

/** Keys for which anyone can make signatures that a careless verifier accepts. */
function smallOrderCases(): SignatureCase[] {
  const identity = Point.ZERO.toBytes()
  return smallOrderKeys().map(({ name, bytes }) => {
    // With S = 0 and k = 0 modulo 8 the equation holds: 0·B - k·A is the identity.
    const message = messageWith(identity, bytes, (k) => k === 0n)
    return {
      name: `small order key: ${name}, equation holds`,
      publicKey: hex(bytes),
      message: hex(message),
      signature: hex(concat(identity, new Uint8Array(32))),
      valid: false,
    }
  })
}

function torsionCases(): SignatureCase[] {
  const { point, scalar, nonce } = signer('torsion')
  const honestKey = point.toBytes()
  const mixedKey = point.add(TORSION).toBytes()
  const honestR = Point.BASE.multiply(nonce).toBytes()
  const mixedR = Point.BASE.multiply(nonce).add(TORSION).toBytes()
  const identity = Point.ZERO.toBytes()
  const isZero = (k: bigint) => k === 0n
  const isSeven = (k: bigint) => k === 7n
  const any = () => true
  const odd: [string, Uint8Array, Uint8Array, (k: bigint) => boolean, bigint][] = [
    ['key + T8, equation holds exactly', mixedKey, honestR, isZero, nonce],
    ['key + T8, equation holds times 8', mixedKey, honestR, isSeven, nonce],
    ['key + T8 and R + T8, equation holds exactly', mixedKey, mixedR, isSeven, nonce],
    ['R + T8: holds only times 8', honestKey, mixedR, any, nonce],
    ['R = identity', honestKey, identity, any, 0n],
    ['R = identity, spelled y = p + 1', honestKey, toBytes(P + 1n), any, 0n],
    ['R = identity, sign bit', honestKey, toBytes(1n | (1n << 255n)), any, 0n],
  ]
  return odd.map(([name, a, r, rest, r0]) => {
    const message = messageWith(r, a, rest)
    return {
      name,
      publicKey: hex(a),
      message: hex(message),
      signature: hex(craft(r, a, message, r0, scalar)),
      valid: false,
    }
  })
}

/** Points whose y is below 19 can be written twice; the second way is refused. */
function nonCanonicalKeyCases(): SignatureCase[] {
  return Array.from({ length: 19 }, (_, y) => BigInt(y)).flatMap((y) => {
    const bytes = toBytes(y + P)
    try {
      Point.fromBytes(bytes, true)
    } catch {
      return []
    }
    const signature = craft(Point.BASE.toBytes(), bytes, text('m'), 1n, 0n)
    return {
      name: `key spelled y = p + ${y}`,
      publicKey: hex(bytes),
      message: hex(text('m')),
      signature: hex(signature),
      valid: false,
    }
  })
}

export function signatureCases(): SignatureCase[] {
  return [
    ...honestCases(),
    ...tamperedCases(),
    ...smallOrderCases(),
    ...torsionCases(),
    ...nonCanonicalKeyCases(),
  ]
}
