import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { countText, durationText } from '../../bin/model-text.ts'
import {
  cut,
  noPaint,
  paintFor,
  safeJson,
  safeLine,
  safeText,
  table,
  widthOf,
  wrap,
} from '../../bin/text.ts'

const esc = '\u001b'
// What a terminal acts on: C0 but line end and tab, DEL, C1, and the marks that reorder text.
const acts = /(?![\n\t])[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/u

describe('text from elsewhere', () => {
  it('cannot move the cursor, set a title, or hide', () => {
    expect(safeLine(`${esc}[2J${esc}]0;evil\u0007a\r\nb`)).toBe('␛[2J␛]0;evil␇a  b')
    expect(safeText(`one\r\ntwo\tx${esc}[31m\u009b1m`)).toBe('one\ntwo\tx␛[31m�1m')
    expect(safeLine('a\u202egpj.exe')).toBe('a�gpj.exe')
    expect(safeLine('größe 日本 👩‍🚀')).toBe('größe 日本 👩‍🚀')
  })

  it('is harmless whatever it is, in one piece or in many', () => {
    const text = fc.string({ unit: 'binary' })
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect(safeText(a + b)).not.toMatch(acts)
        expect(safeLine(a)).not.toMatch(/[\n\t]/)
        expect(safeText(a) + safeText(b)).toBe(safeText(a + b))
      }),
    )
  })

  it('means the same as JSON', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(safeJson({ text })).not.toMatch(acts)
        expect(JSON.parse(safeJson({ text }))).toEqual({ text })
      }),
    )
  })
})

describe('layout', () => {
  it('counts columns as terminals do', () => {
    expect([
      widthOf('abc'),
      widthOf('日本'),
      widthOf('e\u0301'),
      widthOf(`${esc}[1mx${esc}[22m`),
    ]).toEqual([3, 4, 1, 1])
    expect(cut('日本語', 5)).toBe('日本…')
  })

  it('aligns a table and shrinks the column that gives way', () => {
    const columns = [
      { title: 'NAME', shrink: true },
      { title: 'N', align: 'right' as const },
    ]
    const rows = [
      ['日本', '7'],
      ['a-very-long-name', '1234'],
    ]
    expect(table(columns, rows, 100, noPaint)).toEqual([
      'NAME                 N',
      '日本                 7',
      'a-very-long-name  1234',
    ])
    expect(table(columns, rows, 16, noPaint)).toEqual([
      'NAME           N',
      '日本           7',
      'a-very-lo…  1234',
    ])
  })

  it('wraps between words', () => {
    expect(wrap('one two three', 8)).toEqual(['one two', 'three'])
    expect(wrap('incomprehensibilities are', 5)).toEqual(['incomprehensibilities', 'are'])
  })

  it('paints only on a terminal and without NO_COLOR', () => {
    expect(paintFor({ isTTY: true }, {})('red', 'x')).toBe(`${esc}[31mx${esc}[39m`)
    expect(paintFor({ isTTY: true }, { NO_COLOR: '1' })('red', 'x')).toBe('x')
    expect(paintFor({ isTTY: true }, { TERM: 'dumb' })('red', 'x')).toBe('x')
    expect(paintFor({}, {})('red', 'x')).toBe('x')
  })

  it('paints wherever FORCE_COLOR says so, and nowhere with 0', () => {
    const red = (env: Record<string, string>, isTTY = false) =>
      paintFor({ isTTY }, env)('red', 'x') !== 'x'
    expect(red({ FORCE_COLOR: '1' })).toBe(true)
    expect(red({ FORCE_COLOR: '1', NO_COLOR: '1', TERM: 'dumb' })).toBe(true)
    expect(red({ FORCE_COLOR: '' })).toBe(false)
    expect(red({ FORCE_COLOR: '0' }, true)).toBe(false)
    expect(red({ FORCE_COLOR: 'false' }, true)).toBe(false)
  })

  it('writes counts and times in a few characters', () => {
    expect([1, 999, 12_345_678, 3_212_749_888].map(countText)).toEqual([
      '1',
      '999',
      '12.3M',
      '3.21B',
    ])
    expect([0.4, 59, 3600, 3725, 90_061].map(durationText)).toEqual([
      '0 s',
      '59 s',
      '1 h',
      '1 h 2 min',
      '1 d 1 h',
    ])
  })
})
