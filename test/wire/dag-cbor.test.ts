import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Cid } from '../../src/wire/cid.ts'
import {
  byKey,
  type Cbor,
  type CborMap,
  cborKey,
  decodeDagCbor,
  encodeDagCbor,
} from '../../src/wire/dag-cbor.ts'
import { rounds } from '../campaign.ts'
import { refusalOf } from './hostile.ts'
import { unpackHex } from './vectors/packed-hex.ts'

const bounds = { bytesMax: 64 * 1024, depthMax: 8, valuesMax: 10_000 }
const decode = (bytes: Uint8Array) => decodeDagCbor(bytes, 'Test', bounds)
const hexOf = (value: Cbor) => Buffer.from(encodeDagCbor(value)).toString('hex')

const key = fc.oneof(fc.stringMatching(cborKey), fc.constantFrom('a', 'b', 'to_string', 'v'))
const cid = fc
  .tuple(
    fc.constantFrom('receipt' as const, 'entry' as const),
    fc.uint8Array({ minLength: 32, maxLength: 32 }),
  )
  .map(([kind, digest]) => new Cid(kind, digest))

const { value } = fc.letrec<{ value: Cbor; leaf: Cbor }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    tie('leaf'),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(key, tie('value'), { maxKeys: 5, noNullPrototype: true }),
  ),
  leaf: fc.oneof(
    fc.maxSafeInteger().map((n) => n + 0),
    fc.integer({ min: -300, max: 300 }).map((n) => n + 0),
    fc.boolean(),
    fc.constant(null),
    fc.string({ unit: 'binary', maxLength: 50 }),
    fc.string({ maxLength: 50 }),
    fc.uint8Array({ maxLength: 300 }),
    cid,
  ),
}))

describe('DAG-CBOR', () => {
  it('comes back as it was, and shares no memory', () => {
    fc.assert(
      fc.property(value, (value) => {
        const bytes = encodeDagCbor(value)
        const back = decode(bytes)
        bytes.fill(255)
        expect(back).toEqual(value)
        expect(encodeDagCbor(back)).toEqual(encodeDagCbor(value))
      }),
    )
  })

  it('is read from the middle of a larger piece of memory', () => {
    fc.assert(
      fc.property(value, (value) => {
        const bytes = encodeDagCbor(value)
        const large = Buffer.alloc(bytes.length + 9, 255)
        large.set(bytes, 4)
        expect(decode(large.subarray(4, 4 + bytes.length))).toEqual(value)
      }),
    )
  })

  it('has one spelling: whatever is read is written the same', () => {
    const change = fc.tuple(fc.nat(), fc.nat({ max: 255 }))
    fc.assert(
      fc.property(value, fc.array(change, { minLength: 1, maxLength: 3 }), (value, changes) => {
        const bytes = encodeDagCbor(value)
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte
        let read: Cbor = null
        if (refusalOf(() => (read = decode(bytes))) === undefined) {
          expect(encodeDagCbor(read)).toEqual(bytes)
        }
      }),
      { numRuns: rounds(600, 20_000) },
    )
  })

  it('refuses noise with an error of its own', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        let read: Cbor = null
        const refusal = refusalOf(() => (read = decode(bytes)))
        if (refusal === undefined) expect(encodeDagCbor(read)).toEqual(bytes)
        else expect([refusal.code, refusal.action]).toEqual(['malformed', 'penalise'])
      }),
      { numRuns: rounds(1000, 50_000) },
    )
  })

  it('is refused when it is cut off, or goes on', () => {
    fc.assert(
      fc.property(value, fc.nat(), (value, at) => {
        const bytes = encodeDagCbor(value)
        expect(refusalOf(() => decode(bytes.subarray(0, at % bytes.length)))).toBeDefined()
        expect(refusalOf(() => decode(Buffer.concat([bytes, Uint8Array.of(0)])))).toBeDefined()
      }),
    )
  })

  it('sorts keys by their length first, whatever their order was', () => {
    fc.assert(
      fc.property(fc.uniqueArray(key, { maxLength: 12 }), (keys) => {
        const map: CborMap = Object.fromEntries(keys.map((key) => [key, 1]))
        expect(Object.keys(decode(encodeDagCbor(map)) as CborMap)).toEqual([...keys].sort(byKey))
      }),
    )
    expect(hexOf({ b: 1, aa: 2, a: 3 })).toBe('a3616103616201626161 02'.replace(' ', ''))
  })

  it('leaves out what is undefined', () => {
    expect(hexOf({ a: undefined, b: 1 })).toBe(hexOf({ b: 1 }))
  })
})

/** Other encoders write the same: these are of RFC 8949, appendix A. */
const published: [hex: string, value: Cbor][] = [
  ['00', 0],
  ['17', 23],
  ['1818', 24],
  ['18ff', 255],
  ['190100', 256],
  ['1a000f4240', 1_000_000],
  ['1b000000e8d4a51000', 1_000_000_000_000],
  ['1b001fffffffffffff', Number.MAX_SAFE_INTEGER],
  ['20', -1],
  ['3863', -100],
  ['3903e7', -1000],
  ['3b001ffffffffffffe', -Number.MAX_SAFE_INTEGER],
  ['f4', false],
  ['f5', true],
  ['f6', null],
  ['40', new Uint8Array()],
  ['4401020304', Uint8Array.of(1, 2, 3, 4)],
  ['60', ''],
  ['6449455446', 'IETF'],
  ['62c3bc', 'ü'],
  ['64f0908591', '\u{10151}'],
  ['80', []],
  ['8301820203820405', [1, [2, 3], [4, 5]]],
  ['98190102030405060708090a0b0c0d0e0f101112131415161718181819', countTo(25)],
  ['a0', {}],
  ['a56161614161626142616361436164614461656145', { a: 'A', b: 'B', c: 'C', d: 'D', e: 'E' }],
  [`d82a58250001711220${'ab'.repeat(32)}`, new Cid('entry', new Uint8Array(32).fill(0xab))],
  [`d82a58250001551220${'ab'.repeat(32)}`, new Cid('receipt', new Uint8Array(32).fill(0xab))],
]

function countTo(last: number): number[] {
  return Array.from({ length: last }, (_, at) => at + 1)
}

it.each(published)('%s is read and written', (hex, value) => {
  expect(decode(unpackHex(hex))).toEqual(value)
  expect(hexOf(value)).toBe(hex)
})

const refused: [name: string, hex: string][] = [
  ['nothing', ''],
  ['a number longer than it needs to be', '1817'],
  ['two bytes for 255', '1900ff'],
  ['four bytes for 65535', '1a0000ffff'],
  ['eight bytes for 2^32 - 1', '1b00000000ffffffff'],
  ['a length longer than it needs to be', '7803616263'],
  ['2^53', '1b0020000000000000'],
  ['2^64 - 1', '1bffffffffffffffff'],
  ['-2^53', '3b001fffffffffffff'],
  ['a bignum', 'c249010000000000000000'],
  ['a float of 16 bits', 'f93c00'],
  ['a float of 32 bits', 'fa47c35000'],
  ['a float of 64 bits', 'fb3ff199999999999a'],
  ['NaN', 'f97e00'],
  ['undefined', 'f7'],
  ['a simple value', 'f0'],
  ['a simple value of two bytes', 'f8ff'],
  ['bytes without a length', '5f42010243030405ff'],
  ['text without a length', '7f657374726561646d696e67ff'],
  ['a list without a length', '9f01ff'],
  ['a map without a length', 'bf616101ff'],
  ['a stop alone', 'ff'],
  ['a reserved length', '1c'],
  ['a key twice', 'a2616101616102'],
  ['keys that are not sorted', 'a2616201616102'],
  ['keys sorted by their bytes alone', 'a262616101616202'],
  ['a key that is a number', 'a10102'],
  ['a key that is bytes', 'a1416101'],
  ['an empty key', 'a16001'],
  ['__proto__', 'a1695f5f70726f746f5f5f01'],
  ['a key in capital letters', 'a1614101'],
  ['a key of 33 characters', `a17821${'61'.repeat(33)}01`],
  ['a key with a zero', 'a162610001'],
  ['text that is not UTF-8', '62c328'],
  ['half of a surrogate pair', '63eda080'],
  ['a character longer than it needs to be', '62c080'],
  ['long text that is not UTF-8', `7828${'61'.repeat(39)}ff`],
  ['a list longer than all bytes', '9bffffffffffffffff'],
  ['a list of 2^32 elements', '9b0000000100000000'],
  ['a list of 4 thousand million', '9affffffff00'],
  ['bytes longer than all bytes', '5affffffff00'],
  ['a map of as many pairs as bytes', 'a2616101'],
  ['another tag', 'c074323031332d30332d32315432303a30343a30305a'],
  ['a tag longer than it needs to be', `d9002a58250001711220${'ab'.repeat(32)}`],
  ['a CID without its zero', `d82a58240171 1220${'ab'.repeat(32)}`.replace(' ', '')],
  ['a CID with another multibase', `d82a58250101711220${'ab'.repeat(32)}`],
  ['a CID of 31 bytes', `d82a58240001711220${'ab'.repeat(31)}`],
  ['a CID of SHA-512', `d82a58450001711340${'ab'.repeat(64)}`],
  ['an identity CID', 'd82a4600015500016f'],
  ['an identity CID of 32 bytes', `d82a58250001550020${'ab'.repeat(32)}`],
  ['a CID of another codec', `d82a58250001701220${'ab'.repeat(32)}`],
  ['a CIDv0', `d82a5823001220${'ab'.repeat(32)}`],
  ['a CID that is text', 'd82a626261'],
  ['an empty CID', 'd82a40'],
  ['nine levels', `${'81'.repeat(9)}00`],
]

it.each(refused)('refuses %s', (_, hex) => {
  expect(refusalOf(() => decode(unpackHex(hex)))?.code).toBe('malformed')
})

describe('its bounds', () => {
  it('hold before anything is built', () => {
    const list = encodeDagCbor(countTo(200))
    const small = { ...bounds, valuesMax: 100 }
    expect(refusalOf(() => decodeDagCbor(list, 'Test', small))?.message).toMatch(/100 values/)
    const short = { ...bounds, bytesMax: 100 }
    expect(refusalOf(() => decodeDagCbor(list, 'Test', short))?.message).toMatch(/100 bytes/)
    expect(decode(unpackHex(`${'81'.repeat(8)}00`))).toEqual([[[[[[[[0]]]]]]]])
  })

  it('keep deep nesting off the stack', () => {
    const deep = new Uint8Array(64 * 1024).fill(0x81)
    expect(refusalOf(() => decode(deep))?.message).toMatch(/deeper than 8/)
  })
})

it.each<[string, Cbor]>([
  ['a fraction', 0.5],
  ['NaN', Number.NaN],
  ['minus zero', -0],
  ['2^53', 2 ** 53],
  ['half of a surrogate pair', '\ud800'],
  ['a key with a dash', { 'a-b': 1 }],
  ['a function', (() => 1) as never],
])('does not write %s', (_, value) => {
  expect(() => encodeDagCbor(value)).toThrow(RangeError)
  expect(hexOf(1)).toBe('01')
})
