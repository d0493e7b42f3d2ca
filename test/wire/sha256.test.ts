import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { nativeSha256, portableSha256, type Sha256, sha256 } from '../../src/wire/sha256.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

/** FIPS 180-2, appendix B. */
const published = [
  ['', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
  ['abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
  [
    'abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq',
    '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
  ],
] as const

const hashes = { portable: portableSha256, native: nativeSha256 as Sha256 }

describe.each(Object.entries(hashes))('the %s hash', (_, hash) => {
  it.each(published)('of %j is as published', (text, digest) => {
    expect(hex(hash(text))).toBe(digest)
    expect(hex(hash(new TextEncoder().encode(text)))).toBe(digest)
  })

  it('is that of any bytes, and of any text in UTF-8', () => {
    const same = (data: Uint8Array | string) => {
      const digest = hash(data)
      expect(digest.constructor).toBe(Uint8Array)
      expect(hex(digest)).toBe(createHash('sha256').update(data).digest('hex'))
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), same))
    fc.assert(fc.property(fc.string({ unit: 'grapheme' }), same))
  })
})

it('takes that of the platform', () => {
  expect(sha256).toBe(nativeSha256)
})
