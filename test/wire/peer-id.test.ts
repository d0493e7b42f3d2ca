import { readFileSync } from 'node:fs'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { identityFromSeed } from '../../src/identity/identity.ts'
import { peerIdOf, publicKeyOf } from '../../src/wire/peer-id.ts'

const key = fc.uint8Array({ minLength: 32, maxLength: 32 })
const refusal = /52 characters/

describe('peer ids', () => {
  it('are libp2p’s', async () => {
    await fc.assert(
      fc.asyncProperty(key, async (seed) => {
        const theirs = peerIdFromPrivateKey(await generateKeyPairFromSeed('Ed25519', seed))
        const identity = identityFromSeed(seed)
        expect(identity.peerId).toBe(theirs.toString())
        expect(identity.publicKey).toEqual(theirs.publicKey.raw)
        expect(publicKeyOf(theirs.toString())).toEqual(identity.publicKey)
      }),
      { numRuns: 25 },
    )
  })

  it('come back as keys, whatever the key', () => {
    fc.assert(
      fc.property(key, (bytes) => {
        expect(publicKeyOf(peerIdOf(bytes))).toEqual(bytes)
      }),
    )
    for (const bytes of [new Uint8Array(32), new Uint8Array(32).fill(255)]) {
      expect(publicKeyOf(peerIdOf(bytes))).toEqual(bytes)
    }
  })

  it('are those of the vectors', () => {
    const file = new URL('../../protocols/identity/vectors/peer-id.json', import.meta.url)
    const { cases } = JSON.parse(readFileSync(file, 'utf8')) as {
      cases: { seed: string; publicKey: string; peerId: string }[]
    }
    expect(cases.length).toBeGreaterThan(2)
    for (const { seed, publicKey, peerId } of cases) {
      const identity = identityFromSeed(new Uint8Array(Buffer.from(seed, 'hex')))
      expect(Buffer.from(identity.publicKey).toString('hex')).toBe(publicKey)
      expect(identity.peerId).toBe(peerId)
    }
  })

  it('of other kinds, damaged or hostile, are a typed error', () => {
    const good = peerIdOf(new Uint8Array(32))
    const bad = [
      '',
      good.slice(1),
      `${good}1`,
      `1${good.slice(1, -1)}0`,
      good.replace('12D3', '22D3'),
      'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N',
      `z${good.slice(1)}`,
      '1'.repeat(52),
      'z'.repeat(52),
      '1'.repeat(1_000_000),
      'ä'.repeat(52),
    ]
    for (const text of bad) expect(() => publicKeyOf(text), text.slice(0, 60)).toThrow(refusal)
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 40, maxLength: 60 }), (text) => {
        expect(() => publicKeyOf(text)).toThrow(refusal)
      }),
    )
  })
})
