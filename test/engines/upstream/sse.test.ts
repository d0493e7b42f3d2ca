import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { EVENT_BYTES_MAX, EventSplitter } from '../../../src/engines/upstream/sse.ts'

function split(parts: readonly Buffer[]): string[] {
  const events: string[] = []
  const splitter = new EventSplitter((data) => events.push(data))
  for (const part of parts) splitter.push(part)
  splitter.end()
  return events
}

/** Cut at these places. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const ends = places.map((place) => place % (bytes.length + 1)).toSorted((a, b) => a - b)
  return [...ends, bytes.length].map((end, at) => bytes.subarray(ends[at - 1] ?? 0, end))
}

const line = fc.string({ unit: 'grapheme' }).map((text) => text.replace(/[\r\n]/g, ''))

describe('an event stream', () => {
  it('comes to the same events however it is cut', () => {
    const streams = fc.record({
      data: fc.array(line, { minLength: 1, maxLength: 8 }),
      places: fc.array(fc.nat(), { maxLength: 12 }),
      end: fc.constantFrom('\n', '\r\n'),
    })
    fc.assert(
      fc.property(streams, ({ data, places, end }) => {
        const text = data.map((each) => `data: ${each}${end}${end}`).join('')
        expect(split(cut(Buffer.from(text), places))).toEqual(data)
      }),
    )
  })

  it('is read as the standard has it', () => {
    const text = [
      '\ufeffdata: behind a byte order mark\n\n',
      ': a comment\n\n',
      'event: message\nid: 7\nretry: 10\ndata:without a space\n\n',
      'data: of two\ndata:  lines\n\n',
      '\n\n\ndata\n\n',
      'data: without an empty line behind it',
    ].join('')
    expect(split([Buffer.from(text)])).toEqual([
      'behind a byte order mark',
      'without a space',
      'of two\n lines',
      'without an empty line behind it',
    ])
  })

  it('hands on each event with its last byte', () => {
    const events: string[] = []
    const splitter = new EventSplitter((data) => events.push(data))
    splitter.push(Buffer.from('data: é\n'))
    expect(events).toEqual([])
    splitter.push(Buffer.from('\ndata: next'))
    expect(events).toEqual(['é'])
  })

  it.each([
    ['a line', (splitter: EventSplitter, bytes: Buffer) => splitter.push(bytes)],
    [
      'many lines',
      (splitter: EventSplitter) => splitter.push(Buffer.from(`data: ${'x'.repeat(1000)}\n`)),
    ],
    ['a comment', (splitter: EventSplitter, bytes: Buffer) => splitter.push(bytes.fill(':'))],
  ])('ends where %s of one event has no end', (_what, push) => {
    const splitter = new EventSplitter(() => {})
    const forever = () => {
      for (let bytes = 0; bytes <= 2 * EVENT_BYTES_MAX; bytes += 1000) {
        push(splitter, Buffer.alloc(1000, 'x'))
      }
    }
    expect(forever).toThrow(/cannot be read/)
  })
})
