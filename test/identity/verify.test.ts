import { readFileSync } from 'node:fs'
import { sign as nobleSign, verify as nobleVerify, Point } from '@noble/ed25519'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { identityFromSeed } from '../../src/identity/identity.ts'
import { isPublicKey, verify } from '../../src/identity/verify.ts'
import { createVerifyLater, createVerifyNative } from '../../src/identity/verify-native.ts'
import type { Verify } from '../../src/wire/signed.ts'
import { hex, type SignatureCase, signatureCases, smallOrderKeys } from './signature-cases.ts'

const file = new URL('../../protocols/identity/vectors/ed25519.json', import.meta.url)
const vectors = JSON.parse(readFileSync(file, 'utf8')) as { cases: SignatureCase[] }
const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'hex'))
const seed = fc.uint8Array({ minLength: 32, maxLength: 32 })
const message = fc.uint8Array({ maxLength: 200 })

describe('the vectors', () => {
  it('are what the published procedure makes', () => {
    expect(vectors.cases).toEqual(signatureCases())
  })

  const verifiers: [string, Verify][] = [
    ['verify', verify],
    ['the native verify', createVerifyNative()],
    ['the native verify with room for one key', createVerifyNative({ keysMax: 1 })],
  ]
  for (const [name, check] of verifiers) {
    it(`hold for ${name}, twice`, () => {
      for (const round of [1, 2]) {
        for (const { name: what, publicKey, message: signed, signature, valid } of vectors.cases) {
          const verdict = check(bytes(publicKey), bytes(signed), bytes(signature))
          expect(verdict, `${what} (round ${round})`).toBe(valid)
        }
      }
    })
  }

  it('hold for the native verify in other threads, many at a time', async () => {
    for (const atOnceMax of [1, 16]) {
      const later = createVerifyLater({ keysMax: 10, atOnceMax })
      const verdicts = vectors.cases.map((one) =>
        later(bytes(one.publicKey), bytes(one.message), bytes(one.signature)),
      )
      expect(await Promise.all(verdicts)).toEqual(vectors.cases.map(({ valid }) => valid))
    }
  })

  it('contain what a plain verifier would let through', () => {
    const fooled = vectors.cases.filter((one) => {
      try {
        const signed = bytes(one.message)
        return !one.valid && nobleVerify(bytes(one.signature), signed, bytes(one.publicKey))
      } catch {
        return false
      }
    })
    expect(fooled.length).toBeGreaterThan(10)
  })
})

describe('keys', () => {
  it('of small order are all 14 refused, and so is any key with torsion', () => {
    const keys = smallOrderKeys()
    expect(new Set(keys.map((key) => hex(key.bytes))).size).toBe(14)
    for (const key of keys) expect(isPublicKey(key.bytes), key.name).toBe(false)
    const honest = Point.fromBytes(identityFromSeed(new Uint8Array(32)).publicKey)
    expect(isPublicKey(honest.toBytes())).toBe(true)
    for (const { name, bytes: torsion } of keys.slice(1, 8)) {
      const mixed = honest.add(Point.fromBytes(torsion)).toBytes()
      expect(isPublicKey(mixed), name).toBe(false)
    }
  })
})

describe('both verifiers', () => {
  const native = createVerifyNative({ keysMax: 8 })

  it('accept what an identity signs, which is what noble signs', () => {
    return fc.assert(
      fc.asyncProperty(seed, message, async (secret, signed) => {
        const identity = identityFromSeed(secret)
        const signature = identity.sign(signed)
        expect(signature).toEqual(nobleSign(signed, secret))
        expect(await identity.signLater(signed)).toEqual(signature)
        expect(verify(identity.publicKey, signed, signature)).toBe(true)
        expect(native(identity.publicKey, signed, signature)).toBe(true)
      }),
      { numRuns: 25 },
    )
  })

  it('refuse whatever was changed, and agree on bytes from nowhere', () => {
    const flip = fc.record({ part: fc.constantFrom(0, 1, 2), at: fc.nat(95), bit: fc.nat(7) })
    fc.assert(
      fc.property(seed, fc.uint8Array({ minLength: 1, maxLength: 99 }), flip, (secret, m, f) => {
        const identity = identityFromSeed(secret)
        const parts = [identity.publicKey, m, identity.sign(m)].map((part) => part.slice())
        const part = parts[f.part] ?? m
        const at = f.at % part.length
        part[at] = (part[at] ?? 0) ^ (1 << f.bit)
        const [key = part, signed = part, signature = part] = parts
        expect(verify(key, signed, signature)).toBe(false)
        expect(native(key, signed, signature)).toBe(false)
      }),
      { numRuns: 25 },
    )
    const anything = fc.uint8Array({ minLength: 0, maxLength: 70 })
    const nearly = fc.oneof(anything, fc.uint8Array({ minLength: 64, maxLength: 64 }))
    fc.assert(
      fc.property(fc.oneof(anything, seed), message, nearly, (key, m, signature) => {
        expect(native(key, m, signature)).toBe(verify(key, m, signature))
      }),
    )
  })
})
