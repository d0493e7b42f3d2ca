import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonicalJson, parseCanonicalJson } from '../../src/wire/canonical-json.ts'
import { refusalOf } from './hostile.ts'

const bounds = { depthMax: 8, valuesMax: 1000 }
const parse = (text: string | Uint8Array) =>
  parseCanonicalJson(typeof text === 'string' ? Buffer.from(text) : text, 'body', bounds)

const json = fc.jsonValue({ maxDepth: 5, stringUnit: 'binary' })

describe('canonical JSON', () => {
  it('is one text, however the value was put together', () => {
    fc.assert(
      fc.property(json, (value) => {
        const text = canonicalJson(value)
        expect(canonicalJson(JSON.parse(text))).toBe(text)
        expect(parse(text)).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })

  // From RFC 8785, 3.2.2 and 3.2.3.
  it('is that of the RFC', () => {
    const value = {
      numbers: [1e30, 4.5, 2e-3, 0.000000000000000000000000001],
      string: '\u20ac$\u000F\u000aA\'\u0042\u0022\u005c\\"/',
      literals: [null, true, false],
    }
    expect(canonicalJson(value)).toBe(
      '{"literals":[null,true,false],"numbers":[1e+30,4.5,0.002,1e-27],' +
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
    )
    const sorted = ['\r', '1', '\u0080', '\u00f6', '\u20ac', '\u{1f600}', '\ufb33']
    const members = Object.fromEntries(sorted.toReversed().map((key) => [key, 0]))
    expect(Object.keys(JSON.parse(canonicalJson(members)))).toEqual(['1', '\r', ...sorted.slice(2)])
    expect(canonicalJson(members)).toBe(`{${sorted.map((k) => `${JSON.stringify(k)}:0`).join()}}`)
  })

  it('has no half characters, and no numbers without a text', () => {
    expect(canonicalJson(['a\ud800b', { '\udc00': 1 }])).toBe('["a\ufffdb",{"\ufffd":1}]')
    expect(() => canonicalJson([Number.NaN])).toThrow(RangeError)
    expect(() => canonicalJson({ a: -Infinity })).toThrow(RangeError)
  })

  it.each([
    ['a space', '{"a": 1}'],
    ['a line at the end', '{"a":1}\n'],
    ['unsorted keys', '{"b":1,"a":2}'],
    ['a key twice', '{"a":1,"a":1}'],
    ['__proto__ twice', '{"__proto__":1,"__proto__":1}'],
    ['a number written otherwise', '[1.0]'],
    ['a number with an exponent', '[1e2]'],
    ['minus zero', '[-0]'],
    ['a number with more digits than it holds', '[0.10000000000000000001]'],
    ['a number above all', '[1e999]'],
    ['a character written as an escape', '["\\u0041"]'],
    ['an escape in capital letters', '["\\u001F"]'],
    ['an escape that has a shorter form', '["\\u000a"]'],
    ['an escaped slash', '["\\/"]'],
    ['half a character', '["\\ud800"]'],
    ['a byte order mark', '\ufeff[]'],
    ['nothing', ''],
    ['two values', '[][]'],
    ['no end', '["'],
    ['a comment', '[]//'],
  ])('is not text with %s', (_, text) => {
    expect(refusalOf(() => parse(text))?.code).toBe('malformed')
  })

  it('is UTF-8', () => {
    const bad = [
      [0x22, 0xff, 0x22],
      [0x22, 0xc0, 0x80, 0x22],
      [0x22, 0xed, 0xa0, 0x80, 0x22],
      [0x22, 0xe2, 0x82, 0x22],
    ]
    for (const bytes of bad) {
      expect(refusalOf(() => parse(Uint8Array.from(bytes)))?.message).toMatch(/UTF-8/)
    }
  })

  it('keeps __proto__ a key like others', () => {
    const value = parse('{"__proto__":{"admin":true}}') as Record<string, unknown>
    expect(Object.hasOwn(value, '__proto__')).toBe(true)
    expect(value.admin).toBeUndefined()
    expect(canonicalJson(value)).toBe('{"__proto__":{"admin":true}}')
  })

  it('is bounded in depth and in values, before anything is built', () => {
    const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
    expect(canonicalJson(parse(nested(8)))).toBe(nested(8))
    expect(refusalOf(() => parse(nested(9)))?.message).toMatch(/deeper than 8/)
    expect(refusalOf(() => parse('['.repeat(5_000_000)))?.message).toMatch(/deeper than 8/)
    const list = (length: number) => JSON.stringify(Array.from({ length }, () => 0))
    expect(parse(list(1000))).toHaveLength(1000)
    expect(refusalOf(() => parse(list(1001)))?.message).toMatch(/more than 1000 values/)
    const empty = (length: number) => `[${Array.from({ length }, () => '{}').join()}]`
    expect(refusalOf(() => parse(empty(1_000_000)))?.message).toMatch(/more than 1000 values/)
  })

  // Were each quote's look back over backslashes not bounded by the quote before, this took hours.
  it('takes no longer for a text made of backslashes and quotes', () => {
    const text = JSON.stringify(['\\"'.repeat(1_000_000)])
    expect(parse(text)).toHaveLength(1)
    expect(refusalOf(() => parse(`["${'\\'.repeat(3_000_000)}`))?.code).toBe('malformed')
    const brackets = JSON.stringify(['[{,"'.repeat(1_000_000)])
    expect(parse(brackets)).toHaveLength(1)
  })
})
