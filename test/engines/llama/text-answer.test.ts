import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AnswerText, type Settled } from '../../../src/engines/llama/core/answer-text.ts'
import { StopStrings } from '../../../src/engines/llama/core/stop-strings.ts'

function write(pieces: readonly Uint8Array[], stops: readonly string[]): AnswerLog {
  const answer = new AnswerText(stops.length === 0 ? undefined : new StopStrings(stops))
  const settled: Settled[] = []
  let pushed = 0
  for (const piece of pieces) {
    if (answer.stopped) break
    const more = answer.push(pushed++, piece)
    if (more !== undefined) settled.push(more)
  }
  const rest = answer.stopped ? undefined : answer.flush()
  if (rest !== undefined) settled.push(rest)
  return {
    settled,
    stopped: answer.stopped,
    pushed,
    text: settled.map(({ text }) => text).join(''),
    ids: settled.flatMap(({ ids }) => ids),
  }
}

interface AnswerLog {
  settled: Settled[]
  stopped: boolean
  pushed: number
  text: string
  ids: number[]
}

const pieces = (...texts: string[]) => texts.map((text) => Buffer.from(text))

/** The stop string that is complete first; of those that end together the longest. */
function cutAtStop(text: string, stops: readonly string[]): string {
  const bytes = Buffer.from(text)
  for (let end = 1; end <= bytes.length; end++) {
    const matched = stops
      .map((stop) => Buffer.from(stop))
      .filter((stop) => stop.length <= end && bytes.subarray(end - stop.length, end).equals(stop))
    if (matched.length === 0) continue
    const longest = Math.max(...matched.map(({ length }) => length))
    return bytes.subarray(0, end - longest).toString()
  }
  return text
}

/** Cuts bytes anywhere, also inside characters. */
function split(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b)
  return [...places, bytes.length].map((end, at) => bytes.subarray(places[at - 1] ?? 0, end))
}

describe('AnswerText', () => {
  it('hands on each token at once where nothing is to be waited for', () => {
    const { settled } = write(pieces('Hel', 'lo', '!'), [])
    expect(settled.map(({ ids, text }) => [ids, text])).toEqual([
      [[0], 'Hel'],
      [[1], 'lo'],
      [[2], '!'],
    ])
  })

  it('sends the tokens of one character together', () => {
    const [a, b, c] = [[0xf0, 0x9f], [0x98], [0x80, 0x21]].map((part) => Uint8Array.from(part))
    const { settled } = write(
      [a, b, c].flatMap((part) => part ?? []),
      [],
    )
    expect(settled).toEqual([{ ids: [0, 1, 2], text: '😀!', logprobs: [] }])
  })

  it('does not part a character whose second half also begins a stop string', () => {
    const { text, settled, ids } = write(
      [Buffer.of(0xc3), Buffer.of(0xa9, 0x3c), Buffer.from('x')],
      ['<|'],
    )
    expect(text).toBe('é<x')
    expect(settled).toHaveLength(1)
    expect(ids).toEqual([0, 1, 2])
  })

  it('finds a stop string across tokens and says nothing of it or behind it', () => {
    const log = write(pieces('one T', 'W', 'O three'), ['TWO'])
    expect(log).toMatchObject({ text: 'one ', ids: [0], stopped: true, pushed: 3 })
  })

  it('releases what only looked like a stop string', () => {
    const log = write(pieces('EN', 'DE', 'N', ' E'), ['END!'])
    expect(log).toMatchObject({ text: 'ENDEN E', ids: [0, 1, 2, 3], stopped: false })
  })

  it('delivers an empty answer when it begins with the stop string', () => {
    expect(write(pieces('##', ' x'), ['##'])).toMatchObject({ text: '', ids: [], stopped: true })
  })

  it('shows a character that stays cut as a replacement mark', () => {
    expect(write([Buffer.from('a'), Buffer.of(0xe2, 0x82)], []).text).toBe('a\ufffd')
  })

  it('decodes invalid bytes as a whole decoder would', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.array(fc.nat()), (bytes, cuts) => {
        expect(write(split(bytes, cuts), []).text).toBe(
          new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes),
        )
      }),
    )
  })

  it('gives the text up to the first stop string, however it is split into tokens', () => {
    // Few letters and short stops, so that stops overlap each other and themselves.
    const text = fc.string({ unit: fc.constantFrom('a', 'b', 'é', '😀', '\n'), maxLength: 40 })
    const stop = fc.string({
      unit: fc.constantFrom('a', 'b', 'é', '😀'),
      minLength: 1,
      maxLength: 5,
    })
    fc.assert(
      fc.property(
        text,
        fc.array(stop, { maxLength: 6 }),
        fc.array(fc.nat()),
        (all, stops, cuts) => {
          const tokens = split(Buffer.from(all), cuts)
          const log = write(tokens, stops)
          const expected = cutAtStop(all, stops)
          expect(log.text).toBe(expected)
          expect(log.stopped).toBe(expected !== all)
          expect(log.ids).toEqual(log.ids.map((_, at) => at))
          if (!log.stopped) expect(log.ids).toHaveLength(tokens.length)
        },
      ),
      { numRuns: 2000 },
    )
  })

  it('goes on from any token as if nothing had been', () => {
    const letters = fc.constantFrom(
      0x61,
      0x62,
      0xc3,
      0xa9,
      0xe2,
      0x82,
      0xac,
      0xf0,
      0x9f,
      0x98,
      0x80,
    )
    const token = fc
      .uint8Array({ maxLength: 3 })
      .chain(({ length }) => fc.array(letters, { minLength: length, maxLength: length }))
    const stop = fc.constantFrom('a', 'ab', 'aba', '€', 'é😀', 'bé', '€a')
    fc.assert(
      fc.property(
        fc.array(token, { maxLength: 20 }),
        fc.uniqueArray(stop, { maxLength: 4 }),
        fc.nat(),
        fc.nat({ max: 3 }),
        (tokens, stops, cut, missing) => {
          const pieces = tokens.map((each) => Uint8Array.from(each))
          const whole = write(pieces, stops)
          const count = cut % (whole.ids.length + 1)
          const settled = whole.settled.filter(({ ids }) => (ids.at(-1) ?? 0) < count)
          const all = [...settled.map(({ text }) => text).join('')]
          const text = all.slice(0, all.length - missing).join('')
          const answer = new AnswerText(stops.length === 0 ? undefined : new StopStrings(stops))
          expect(answer.resume(Buffer.concat(pieces.slice(0, count)), text)).toBe(true)
          const more: (Settled | undefined)[] = []
          for (let at = count; at < pieces.length && !answer.stopped; at++) {
            more.push(answer.push(at, pieces[at] ?? new Uint8Array()))
          }
          more.push(answer.flush())
          const rest = more.filter((each) => each !== undefined)
          expect(text + rest.map((each) => each.text).join('')).toBe(whole.text)
          expect(rest.flatMap(({ ids }) => ids)).toEqual(whole.ids.slice(count))
          expect(answer.stopped).toBe(whole.stopped)
          const withoutIds = rest.filter(({ ids }) => ids.length === 0)
          expect(withoutIds.length).toBeLessThanOrEqual(1)
        },
      ),
      { numRuns: 2000 },
    )
  })

  it('takes no beginning that its tokens do not say', () => {
    for (const [said, text] of [
      ['abc', 'abd'],
      ['abc', 'abcd'],
      ['', 'a'],
      ['€', '\ufffd'],
    ] as const) {
      expect(new AnswerText(undefined).resume(Buffer.from(said), text)).toBe(false)
    }
  })

  it('costs the same for each token, whatever came before', () => {
    // Every stop is one long run of the letter that the text consists of, so all is always held.
    const stops = Array.from({ length: 64 }, (_, at) => `${'a'.repeat(255 - at)}b`)
    const log = write(
      Array.from({ length: 50_000 }, () => Buffer.from('aaaa')),
      stops,
    )
    expect(log.text).toHaveLength(200_000)
    const held = log.settled.map(({ ids }) => ids.length)
    expect(Math.max(...held)).toBeLessThanOrEqual(64)
  }, 5_000)
})

describe('a preview', () => {
  const stops = ['aba', 'é!']
  const table = new StopStrings(stops)
  const bytes = fc
    .array(fc.constantFrom(...Buffer.from('ab€é!'), 0xff), { maxLength: 30 })
    .map((list) => Uint8Array.from(list))

  it('is what would come, in whole characters, and changes nothing', () => {
    fc.assert(
      fc.property(bytes, fc.array(fc.nat(), { maxLength: 12 }), fc.nat(), (text, cuts, at) => {
        const parts = split(text, cuts)
        const now = at % (parts.length + 1)
        const answer = new AnswerText(table)
        let said = ''
        for (const [id, part] of parts.slice(0, now).entries()) {
          if (!answer.stopped) said += answer.push(id, part)?.text ?? ''
        }
        if (answer.stopped) return
        const all = [...parts.keys()]
        const ids = all.slice(now)
        const shown = answer.preview(ids, (id) => parts[id] ?? new Uint8Array())
        const guessed = said + shown.map((it) => it.text).join('')
        const whole = write(parts, stops)
        // All of it, but for a character that is open and a stop string that is not whole.
        expect(new TextDecoder().decode(text).startsWith(guessed)).toBe(true)
        for (const stop of stops) expect(guessed).not.toContain(stop)
        const places = shown.flatMap((it) => it.ids)
        const from = places[0] ?? 0
        expect(places).toEqual(all.slice(from, from + places.length))
        const rest = parts.slice(now).map((part, ahead) => {
          return answer.stopped ? '' : (answer.push(now + ahead, part)?.text ?? '')
        })
        const last = answer.stopped ? '' : (answer.flush()?.text ?? '')
        expect(said + rest.join('') + last).toBe(whole.text)
      }),
    )
  })
})
