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
import { refusedCbor } from './vectors/cbor-bad.ts'
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

it.each(refusedCbor)('refuses %s', (_, hex) => {
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
