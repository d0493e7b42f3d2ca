import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Piece, Tally } from '../../../src/engines/upstream/tally.ts'
import { TEXT_PER_TOKEN_MAX } from '../../../src/market/remote/answer-check.ts'
import type { TokenLogprob, Tokens } from '../../../src/wire/chunk.ts'

const score = (token: string): TokenLogprob => ({ token, bytes: [], logprob: -1, top: [] })

function run(pieces: readonly Piece[], tokensMax: number, total?: number, isScored = false) {
  const tally = new Tally({ choice: 0, tokensMax, isScored })
  const chunks: Tokens[] = []
  for (const piece of pieces) {
    chunks.push(...tally.add(piece))
    if (tally.isOver) break
  }
  const { isOver } = tally
  chunks.push(...tally.end(total))
  const count = chunks.reduce((sum, { ids }) => sum + ids.length, 0)
  const { isCut } = tally
  return { chunks, count, text: chunks.map(({ text }) => text).join(''), isOver, isCut }
}

const words = (count: number, text = ' word'): Piece[] =>
  Array.from({ length: count }, () => ({ text }))

const pieces = fc
  .array(
    fc.record({
      text: fc.string({ unit: 'binary', maxLength: 600 }),
      isSilent: fc.boolean(),
      total: fc.option(fc.nat(200), { nil: undefined }),
      // What is said, a part of the call before, or the first of another.
      kind: fc.constantFrom('text', 'text', 'text', 'call', 'next'),
    }),
    { maxLength: 60 },
  )
  .map((all) => {
    let index = -1
    return all.map(({ kind, ...piece }): Piece => {
      if (kind === 'next' || (kind === 'call' && index < 0)) index++
      if (kind === 'text') return piece
      return { ...piece, isSilent: false, call: { index, id: `c${index}`, name: 'f' } }
    })
  })

/** Of what is said, and of each call. */
function textsOf(all: readonly Piece[]): string[] {
  const texts: string[] = []
  for (const { text, call } of all) {
    const at = call === undefined ? 0 : call.index + 1
    texts[at] = (texts[at] ?? '') + text
  }
  return Array.from(texts, (text) => text ?? '')
}

describe('tokens without ids', () => {
  it('are never more than were asked for, and all text comes with a token', () => {
    fc.assert(
      fc.property(
        pieces,
        fc.integer({ min: 1, max: 50 }),
        fc.option(fc.nat(500)),
        (all, max, total) => {
          const { chunks, count, isOver, isCut } = run(all, max, total ?? undefined)
          expect(count).toBeLessThanOrEqual(max)
          for (const { ids } of chunks) expect(ids.length).toBeGreaterThan(0)
          expect(chunks.map(({ index }) => index)).toEqual(
            chunks.map((_, at) =>
              chunks.slice(0, at).reduce((sum, { ids }) => sum + ids.length, 0),
            ),
          )
          const [whole, came] = [textsOf(all), textsOf(chunks)]
          if (!isOver && !isCut) expect(came.join('|')).toEqual(whole.join('|'))
          else
            for (const [at, part] of came.entries()) expect(whole[at]?.startsWith(part)).toBe(true)
          for (const { text, ids } of chunks) {
            expect(text.length).toBeLessThanOrEqual(ids.length * TEXT_PER_TOKEN_MAX)
          }
        },
      ),
    )
  })

  it('begin a call that has said nothing yet, whatever waits before it', () => {
    const call = { index: 0, id: 'c', name: 'f' }
    const { chunks, isCut } = run([{ text: 'a' }, { text: '', call }], 2)
    expect(chunks).toMatchObject([{ text: 'a' }, { text: '', ids: [0], call }])
    expect(isCut).toBe(false)
    const tight = run([{ text: 'a' }, { text: '', call }], 1)
    expect([tight.chunks.length, tight.isCut]).toEqual([1, true])
  })

  it('keep a character that was cut in two, and half of one goes to nobody', () => {
    const cuts = [...'h\u{1f600}i\u{1f601}'].flatMap((each) => each.split(''))
    const cut = run(
      cuts.map((text) => ({ text })),
      50,
    )
    expect(cut.text).toBe('h\u{1f600}i\u{1f601}')
    const halves = run([{ text: 'a\ud800b' }, { text: '\udc00' }, { text: 'c\ud83d' }], 50)
    expect(halves.text).toBe('a\ufffdb\ufffdc\ufffd')
    for (const { text } of [...cut.chunks, ...halves.chunks]) expect(text.isWellFormed()).toBe(true)
  })

  it('are as many as the server says, where that can be', () => {
    // One piece a token; several tokens a piece; a step that decoded several; hidden ones at the end.
    expect(run(words(5), 100, 5).count).toBe(5)
    expect(run(words(5), 100, 9).count).toBe(9)
    expect(
      run(
        [
          { text: 'a b c', total: 3 },
          { text: ' d', total: 4 },
        ],
        100,
        4,
      ).count,
    ).toBe(4)
    expect(run(words(1), 100, 60).chunks.map(({ ids }) => ids.length)).toEqual([1, 16, 16, 16, 11])
    // Fewer than there were pieces: what was delivered stays delivered.
    expect(run(words(5), 100, 2).count).toBe(5)
    // More than were asked for: a server's own count is no reason to be paid for them.
    expect(run(words(5), 10, 99).count).toBe(10)
  })

  it('come at once, but for the last that was asked for', () => {
    const tally = new Tally({ choice: 3, tokensMax: 3, isScored: false })
    expect(tally.add({ text: 'a' })[0]).toMatchObject({ choice: 3, index: 0, ids: [0], text: 'a' })
    expect(tally.add({ text: 'b' })[0]).toMatchObject({ index: 1, ids: [0], text: 'b' })
    expect(tally.add({ text: 'c' })).toEqual([])
    expect(tally.add({ text: 'd' })).toEqual([])
    expect(tally.end(3)).toMatchObject([{ index: 2, ids: [0], text: 'cd' }])
  })

  it('that are thought and not said are counted, and show nothing', () => {
    const { chunks, count } = run([{ text: '', isSilent: true }, { text: 'so' }], 100, 2)
    expect([chunks.map(({ text }) => text), count]).toEqual([['', 'so'], 2])
    expect(run([{ text: '' }], 100).chunks).toEqual([])
  })

  it('of a server that does not stop are cut off', () => {
    const { count, isOver, text } = run(words(100_000), 4)
    expect([count, isOver]).toEqual([4, true])
    expect(text.length).toBeLessThan(10_000)
    const thoughts = Array.from({ length: 10_000 }, () => ({ text: '', isSilent: true }))
    expect(run(thoughts, 4)).toMatchObject({ count: 4, isOver: true, text: '' })
  })

  it('each have their log-probability where that is asked for', () => {
    const scored = fc.array(
      fc.record({
        text: fc.string({ maxLength: 5 }),
        logprobs: fc.array(fc.string().map(score), { maxLength: 4 }),
      }),
      { maxLength: 30 },
    )
    fc.assert(
      fc.property(scored, fc.integer({ min: 1, max: 20 }), (all, max) => {
        const { chunks, count, text } = run(all, max, 1000, true)
        for (const { ids, logprobs } of chunks) expect(logprobs).toHaveLength(ids.length)
        expect(count).toBeLessThanOrEqual(max)
        expect(text).toBe(all.map((piece) => piece.text).join(''))
      }),
    )
  })
})
