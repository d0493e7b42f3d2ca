import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { GhostText, showsGhosts } from '../../bin/ghost-text.ts'
import { noPaint, paintFor, widthOf } from '../../bin/text.ts'
import { Screen } from './screen.ts'
import { Recorder } from './stage.ts'

const esc = '\u001b'

function terminal(columns = 80) {
  const screen = new Screen(columns, 24)
  const text = new GhostText(screen, paintFor(screen, {}))
  return { screen, text, seen: () => screen.lines.join('\n') }
}

describe('ghosts on a terminal', () => {
  it('stand dim behind the text, and become it, or something else', () => {
    const { screen, text, seen } = terminal()
    text.show('The', '')
    text.show('', ' quick')
    expect(seen()).toBe('The quick')
    expect(screen.written.endsWith(`${esc}7${esc}[2m quick${esc}[22m`)).toBe(true)
    text.show('', ' quick brown')
    expect(seen()).toBe('The quick brown')
    text.show(' quick', ' brown')
    expect(seen()).toBe('The quick brown')
    text.show(' red', '')
    expect(seen()).toBe('The quick red')
    text.show('', ' herring')
    text.end()
    expect(seen()).toBe('The quick red')
  })

  it('stay in the row, of which the last column is left free', () => {
    const { text, seen } = terminal(10)
    text.show('12345', '678901234')
    expect(seen()).toBe('12345678…')
    text.show('', '\nbelow')
    expect(seen()).toBe('12345')
    text.show('', '6\tb')
    expect(seen()).toBe('123456')
    text.show('67', '89')
    expect(seen()).toBe('123456789')
    text.show('8', '9')
    expect(seen()).toBe('12345678')
    text.show('\nnext', ' row')
    expect(seen()).toBe('12345678\nnext row')
  })

  it('can command nothing', () => {
    const { screen, text, seen } = terminal()
    text.show('a', `${esc}[2J\u009b1m\rb`)
    expect(seen()).toBe('a␛[2J�1mb')
    text.show(`${esc}8`, '')
    expect(seen()).toBe('a␛8')
    expect(screen.written.match(new RegExp(`${esc}\\[\\d?J`, 'g'))).toEqual([`${esc}[J`])
  })

  const piece = fc.string({
    unit: fc.constantFrom('a', 'b ', '世', '😀', '\t', '\n', 'é'),
    maxLength: 9,
  })

  it('leave the text as it is, whatever they were', () => {
    const shown = fc.array(fc.tuple(piece, piece), { maxLength: 20 })
    fc.assert(
      fc.property(shown, fc.integer({ min: 4, max: 30 }), (pieces, columns) => {
        const { text, seen } = terminal(columns)
        let all = ''
        for (const [settled, ghost] of pieces) {
          all += settled
          text.show(settled, ghost)
          const drafted = seen().slice(all.length)
          // A line that nothing was written in is not there yet.
          expect(`${seen()}\n`.startsWith(all)).toBe(true)
          expect(ghost.startsWith(drafted.replace(/…$/, ''))).toBe(true)
          expect(drafted).not.toMatch(/[\n\t]/)
          expect(drafted === '' || widthOf(drafted) < columns).toBe(true)
        }
        text.end()
        expect(seen()).toBe(all.replace(/\n$/, ''))
      }),
    )
  })

  it('are for terminals that show colours', () => {
    const screen = new Screen(80, 24)
    const shows = (env: Record<string, string>) => showsGhosts(screen, paintFor(screen, env))
    expect(shows({})).toBe(true)
    expect(shows({ NO_COLOR: '1' })).toBe(false)
    expect(shows({ TERM: 'dumb' })).toBe(false)
    expect(showsGhosts(new Recorder(), noPaint)).toBe(false)
  })
})
