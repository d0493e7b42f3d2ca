import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { keptTurns, newerHalf, type Turn } from '../../bin/trim-turns.ts'

const turnOf = (length: number, tokensPerByte?: number): Turn => ({
  ...{ question: 'q'.repeat(length), answer: 'a'.repeat(length), model: 'm', isCut: false },
  tokensPerByte,
})
const said = { system: undefined, question: 'next' }
const room = (contextLength: number | undefined, maxTokens?: number) => ({
  contextLength,
  maxTokens,
})

describe('what a model is given of a long conversation', () => {
  it('is all of it while there is room, or nobody knows how much', () => {
    const turns = [turnOf(100), turnOf(100)]
    expect(keptTurns(turns, said, room(10_000))).toEqual(turns)
    expect(keptTurns(turns, said, room(undefined))).toEqual(turns)
    expect(keptTurns([], said, room(1))).toEqual([])
  })

  it('is the newest without a gap, with room for the answer', () => {
    const length = fc.integer({ min: 1, max: 400 })
    const lengths = fc.array(length, { minLength: 1, maxLength: 12 })
    const context = fc.integer({ min: 64, max: 4096 })
    const most = fc.option(fc.integer({ min: 1, max: 4096 }), { nil: undefined })
    fc.assert(
      fc.property(lengths, context, most, (all, contextLength, maxTokens) => {
        const turns = all.map((each) => turnOf(each, 0.5))
        const kept = keptTurns(turns, said, { contextLength, maxTokens })
        expect(kept).toEqual(turns.slice(turns.length - kept.length))
        const tokens = (some: readonly Turn[]) =>
          some.reduce((sum, { question, answer }) => sum + (question.length + answer.length) / 2, 2)
        const forAnswer = Math.min(maxTokens ?? contextLength / 4, contextLength / 2)
        if (kept.length > 0) expect(tokens(kept) + forAnswer).toBeLessThanOrEqual(contextLength)
        // Nothing is left out for which there was plenty of room: a token more, as sums of fractions are rounded.
        const oneMore = turns.slice(-kept.length - 1)
        if (oneMore.length > kept.length) {
          const frames = 16 * (oneMore.length + 1)
          expect(1.1 * tokens(oneMore) + frames + forAnswer).toBeGreaterThan(contextLength - 1)
        }
      }),
    )
  })

  it('counts what is told beforehand', () => {
    const turns = [turnOf(100, 0.5)]
    expect(keptTurns(turns, said, room(300))).toHaveLength(1)
    expect(keptTurns(turns, { ...said, system: 's'.repeat(400) }, room(300))).toHaveLength(0)
  })

  it('is half as much where that was too long, and at last the question alone', () => {
    const turns = [1, 2, 3, 4, 5].map((each) => turnOf(each))
    expect(newerHalf(turns)).toEqual(turns.slice(3))
    expect(newerHalf(turns.slice(4))).toEqual([])
  })
})
