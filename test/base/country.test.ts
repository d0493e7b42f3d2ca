import { expect, it } from 'vitest'
import { countryCode, liesWithin } from '../../src/base/country.ts'

it.each([
  ['de', 'DE'],
  ['JP', 'JP'],
  ['uk', 'GB'],
  ['EU', undefined],
  ['ZZ', undefined],
  ['QX', undefined],
  ['DEU', undefined],
  ['', undefined],
  ['D\n', undefined],
])('the country %j is %j', (text, code) => {
  expect(countryCode(text)).toBe(code)
})

it('a jurisdiction is one country, or any member of the union', () => {
  expect(liesWithin('FR', 'FR')).toBe(true)
  expect(liesWithin('FR', 'EU')).toBe(true)
  expect(liesWithin('FR', 'DE')).toBe(false)
  expect(liesWithin('CH', 'EU')).toBe(false)
  expect(liesWithin('GB', 'EU')).toBe(false)
  expect(liesWithin(undefined, 'EU')).toBe(false)
})
