import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bytesKey, integerKey, jsonValue, textKey } from '../../src/storage/codec.ts'

const order = (a: Uint8Array, b: Uint8Array) => Math.sign(Buffer.compare(a, b))

describe('keys', () => {
  it('numbers come back, and their bytes are in numeric order', () => {
    const number = fc.maxSafeNat()
    fc.assert(
      fc.property(number, number, (a, b) => {
        expect(integerKey.decode(integerKey.encode(a))).toBe(a)
        expect(order(integerKey.encode(a), integerKey.encode(b))).toBe(Math.sign(a - b))
      }),
    )
  })

  it('text comes back, and its bytes are in the order of code points', () => {
    const text = fc.string({ unit: 'binary' })
    const byCodePoint = (a: string, b: string) => {
      const [left, right] = [Array.from(a), Array.from(b)]
      for (const [index, char] of left.entries()) {
        const other = right[index]
        if (other === undefined) return 1
        if (char !== other)
          return Math.sign((char.codePointAt(0) ?? 0) - (other.codePointAt(0) ?? 0))
      }
      return left.length === right.length ? 0 : -1
    }
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect(textKey.decode(textKey.encode(a))).toBe(a)
        expect(order(textKey.encode(a), textKey.encode(b))).toBe(byCodePoint(a, b))
      }),
    )
  })

  it('bytes are copied on their way in', () => {
    const key = Uint8Array.of(1, 2)
    const encoded = bytesKey.encode(key)
    key[0] = 9
    expect(encoded).toEqual(Uint8Array.of(1, 2))
  })

  it('what cannot be a key is refused', () => {
    for (const bad of [-1, 0.5, Number.NaN, 2 ** 53]) expect(() => integerKey.encode(bad)).toThrow()
    expect(() => integerKey.decode(new Uint8Array(7))).toThrow(/8 bytes/)
    expect(() => integerKey.decode(new Uint8Array(8).fill(255))).toThrow(/above/)
    expect(() => textKey.encode('\ud800')).toThrow(/well-formed/)
    expect(() => textKey.decode(Uint8Array.of(0xc0, 0x80))).toThrow()
  })
})

describe('JSON values', () => {
  const codec = jsonValue((value): unknown => value)

  it('come back', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const plain: unknown = JSON.parse(JSON.stringify(value))
        expect(codec.decode(codec.encode(plain))).toEqual(plain)
      }),
    )
  })

  it('that JSON cannot hold are refused, and so are bytes that are not JSON', () => {
    expect(() => codec.encode(undefined)).toThrow(/cannot hold/)
    expect(() => codec.decode(Uint8Array.of(0xff))).toThrow()
    expect(() => codec.decode(new Uint8Array(0))).toThrow()
  })
})
