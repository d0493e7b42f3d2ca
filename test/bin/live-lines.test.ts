import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LiveLines } from '../../bin/live-lines.ts'
import { noPaint, paintFor } from '../../bin/text.ts'
import { Screen } from './screen.ts'

const rowsOf = (...texts: string[]) => texts.map((text) => ({ text }))

describe('live lines', () => {
  it('are replaced in place, below what is printed', () => {
    const screen = new Screen(40, 10)
    const live = new LiveLines(screen, noPaint)
    live.draw(rowsOf('one', 'a longer line'))
    live.draw(rowsOf('two'))
    live.print('said')
    live.draw(rowsOf('three', 'four'))
    expect(screen.lines).toEqual(['said', 'three', 'four'])
    live.end()
    live.print('below')
    expect(screen.lines).toEqual(['said', 'three', 'four', 'below'])
  })

  it('are cut to the terminal, in both directions', () => {
    const screen = new Screen(10, 4)
    const live = new LiveLines(screen, noPaint)
    live.draw(rowsOf('0123456789abc', 'b', 'c', 'd', 'e'))
    expect(screen.lines).toEqual(['01234567…', 'b', '… and 3 …'])
  })

  it('are painted after they were cut', () => {
    const screen = new Screen(8, 4)
    const live = new LiveLines(screen, paintFor({ isTTY: true }, {}))
    live.draw([{ text: 'in danger', colour: 'red' }])
    expect(screen.written).toContain('\u001b[31min dan…\u001b[39m')
  })

  it('stay where they are when the terminal becomes narrower, and go on below', () => {
    const screen = new Screen(40, 10)
    const live = new LiveLines(screen, noPaint)
    live.draw(rowsOf('as wide as nine'))
    screen.columns = 12
    live.draw(rowsOf('as wide as nine'))
    expect(screen.lines).toEqual(['as wide as nine', 'as wide as…'])
    screen.columns = 40
    live.draw(rowsOf('as wide as nine'))
    expect(screen.lines).toEqual(['as wide as nine', 'as wide as nine'])
  })

  it('leave on the screen what was printed and what was drawn last, whatever the order', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', ' ', '日'), maxLength: 30 })
    const step = fc.record({ draw: fc.boolean(), lines: fc.array(text, { maxLength: 12 }) })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const screen = new Screen(80, 40)
        const live = new LiveLines(screen, noPaint)
        const printed: string[] = []
        let drawn: string[] = []
        for (const { draw, lines } of steps) {
          if (draw) {
            live.draw(rowsOf(...lines))
            drawn = lines
          } else if (lines.length > 0) {
            live.print(...lines)
            printed.push(...lines)
          }
        }
        expect(screen.lines).toEqual([...printed, ...drawn])
      }),
    )
  })
})
