import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkedTitle, titleOf } from '../../../src/accounts/sessions/title.ts'

const sixty = 'one two three four five six seven eight nine ten eleven twelve thirteen'

describe('the title of a session', () => {
  it.each([
    ['Hello', 'Hello'],
    ['  How do I\tboil   an egg?  \nPlease be short.', 'How do I boil an egg?'],
    ['\n\r\n \u200b\n# Notes', '# Notes'],
    [sixty, 'one two three four five six seven eight nine ten eleven…'],
    ['x'.repeat(80), `${'x'.repeat(59)}…`],
    ['猫'.repeat(80), `${'猫'.repeat(59)}…`],
    [`a ${'x'.repeat(80)}`, `a ${'x'.repeat(57)}…`],
    ['a\u202eb\u0000c', 'abc'],
    ['   ', 'New chat'],
    ['\ud800', '�'],
  ])('of %j is %j', (message, title) => {
    expect(titleOf(message)).toBe(title)
  })

  it('is one short line of any text, and one that could be chosen', () => {
    const text = fc.string({ unit: 'binary', maxLength: 300 })
    fc.assert(
      fc.property(text, (message) => {
        const title = titleOf(message)
        expect([...title].length).toBeLessThanOrEqual(60)
        expect(checkedTitle(title)).toBe(title)
      }),
    )
  })

  it.each(['', '   ', 'a\nb', 'a\u0007', 'a\u202eb', 'x'.repeat(201)])(
    'that is chosen is not %j',
    (title) => {
      expect(() => checkedTitle(title)).toThrow(/1 to 200 characters/)
    },
  )
})
