import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AnswerCheck } from '../../src/market/remote/answer-check.ts'
import type { FromProvider } from '../../src/wire/generate.ts'
import type { Work } from '../../src/wire/job.ts'
import { chat, frames } from './coordinator-stage.ts'

type FrameOf<T extends FromProvider['type']> = Extract<FromProvider, { type: T }>

const checkOf = (work: Work) => new AnswerCheck({ work, contextLength: 512, embeddingLength: 4 })

/** What the check says to these frames: the number of the one that it refuses, or -1. */
function refusedAt(work: Work, sequence: readonly FromProvider[]): number {
  const check = checkOf(work)
  return sequence.findIndex((frame) => {
    try {
      if (frame.type === 'tokens') check.tokens(frame)
      if (frame.type === 'vectors') check.vectors(frame)
      if (frame.type === 'done') check.done(frame)
      return false
    } catch (error) {
      expect(error).toMatchObject({ code: 'provider_misbehaved', action: 'penalise' })
      return true
    }
  })
}

/** The frames of an honest answer, its choices interleaved in any way. */
const honestAnswer = fc
  .array(fc.array(fc.string({ maxLength: 8 }), { maxLength: 20 }), { minLength: 1, maxLength: 4 })
  .chain((texts) =>
    fc.record({
      texts: fc.constant(texts),
      // Which choice goes on next, and with how many tokens.
      steps: fc.infiniteStream(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 16 }))),
    }),
  )
  .map(({ texts, steps }) => {
    const sent = texts.map(() => 0)
    const sequence: FrameOf<'tokens'>[] = []
    for (const [pick, count] of steps) {
      const open = texts.flatMap((tokens, at) => (sent[at] === tokens.length ? [] : [at]))
      if (open.length === 0) break
      const choice = open[pick % open.length] as number
      const first = sent[choice] as number
      const next = (texts[choice] as string[]).slice(first, first + count)
      sequence.push(frames.tokens(first, next, choice) as FrameOf<'tokens'>)
      sent[choice] = first + next.length
    }
    const done = frames.done(texts.flat().length, {
      finish: texts.map(() => 'stop' as const),
    }) as FrameOf<'done'>
    return { work: chat({ choices: texts.length }), sequence, done }
  })

describe('a text answer', () => {
  it('of an honest provider comes through, however its choices mix', () => {
    fc.assert(
      fc.property(honestAnswer, ({ work, sequence, done }) => {
        expect(refusedAt(work, [...sequence, done])).toBe(-1)
      }),
    )
  })

  it('with one index moved is refused', () => {
    fc.assert(
      fc.property(honestAnswer, fc.nat(), fc.integer({ min: 1, max: 5 }), (answer, pick, by) => {
        const { work, sequence, done } = answer
        fc.pre(sequence.length > 0)
        const at = pick % sequence.length
        const frame = sequence[at] as FrameOf<'tokens'>
        for (const first of [frame.first + by, frame.first - by]) {
          const mutated = sequence.with(at, { ...frame, first })
          expect(refusedAt(work, [...mutated, done])).toBe(at)
        }
      }),
    )
  })

  it('with a frame lost, repeated or of another choice is refused', () => {
    fc.assert(
      fc.property(honestAnswer, fc.nat(), (answer, pick) => {
        const { work, sequence, done } = answer
        fc.pre(sequence.length > 0)
        const at = pick % sequence.length
        const frame = sequence[at] as FrameOf<'tokens'>
        const lost = [...sequence.toSpliced(at, 1), done]
        expect(refusedAt(work, lost)).toBeGreaterThanOrEqual(0)
        const twice = [...sequence.toSpliced(at, 0, frame), done]
        expect(refusedAt(work, twice)).toBe(at + 1)
        const choice = answer.done.finish.length
        expect(refusedAt(work, sequence.with(at, { ...frame, choice }))).toBe(at)
      }),
    )
  })

  const tokens = frames.tokens(0, ['a', 'b']) as FrameOf<'tokens'>
  const done = frames.done(2) as FrameOf<'done'>
  const scored = { token: 'a', bytes: [97], logprob: -0.5, top: [] }
  const scoredTwice = { ...tokens, logprobs: [scored, scored] }
  const usage = (more: object) => ({ ...done, usage: { ...done.usage, ...more } })

  const lies: [what: string, work: Work, frames: FromProvider[]][] = [
    ['too many tokens', chat({ maxTokens: 1 }), [tokens]],
    ['no tokens in a frame', chat(), [{ ...tokens, ids: [], text: '' }]],
    ['text without end', chat(), [{ ...tokens, text: 'x'.repeat(5_000) }]],
    ['another channel', chat(), [{ ...tokens, channel: 'reasoning' }]],
    ['log-probabilities that nobody asked for', chat(), [scoredTwice]],
    ['no log-probabilities', chat({ logprobs: 0 }), [tokens]],
    ['too few log-probabilities', chat({ logprobs: 0 }), [{ ...tokens, logprobs: [scored] }]],
    [
      'a log-probability that is not a number',
      chat({ logprobs: 0 }),
      [{ ...tokens, logprobs: [scored, { ...scored, logprob: Number.NaN }] }],
    ],
    [
      'a probability above one',
      chat({ logprobs: 0 }),
      [{ ...tokens, logprobs: [scored, { ...scored, logprob: 2 }] }],
    ],
    [
      'more alternatives than asked for',
      chat({ logprobs: 1 }),
      [{ ...tokens, logprobs: [scored, { ...scored, top: [scored, scored] }] }],
    ],
    [
      'an alternative that is more than certain',
      chat({ logprobs: 1 }),
      [{ ...tokens, logprobs: [scored, { ...scored, top: [{ ...scored, logprob: 1 }] }] }],
    ],
    ['fewer ends than choices', chat({ choices: 2 }), [tokens, done]],
    ['more ends than choices', chat(), [tokens, { ...done, finish: ['stop', 'stop'] }]],
    ['an end that nobody asked for', chat(), [tokens, { ...done, finish: ['tool_calls'] }]],
    ['more tokens counted than sent', chat(), [tokens, usage({ outputTokens: 3 })]],
    ['fewer tokens counted than sent', chat(), [tokens, usage({ outputTokens: 1 })]],
    ['an impossible prompt', chat(), [tokens, usage({ inputTokens: 1_000_000 })]],
    ['no prompt at all', chat(), [tokens, usage({ inputTokens: 0 })]],
    ['more cached than there is', chat(), [tokens, usage({ cachedTokens: 6 })]],
    ['vectors in place of text', chat(), [vectorsOf(0, [[1, 0, 0, 0]])]],
  ]
  it.each(lies)('with %s is refused', (_what, work, sequence) => {
    expect(refusedAt(work, sequence)).toBe(sequence.length - 1)
  })

  it('has to count its prompt the same each time', () => {
    const check = checkOf(chat())
    expect(check.counted(0)).toBe(false)
    expect(check.counted(5)).toBe(true)
    expect(check.counted(5)).toBe(false)
    expect(() => check.counted(6)).toThrow('provider')
  })
})

function vectorsOf(first: number, rows: number[][], length = 4): FromProvider {
  return { type: 'vectors', first, length, values: Float32Array.from(rows.flat()) }
}

describe('vectors', () => {
  const work: Work = { kind: 'embedding', inputs: ['a', 'b', 'c'] }
  const [a, b, c] = [
    [1, 0, 0, 0],
    [0, 1, 0, 0],
    [0, 0, 1, 0],
  ] as [number[], number[], number[]]
  const done = frames.done(0, { finish: [] })

  it('come through in any order and in any pieces', () => {
    expect(refusedAt(work, [vectorsOf(2, [c]), vectorsOf(0, [a, b]), done])).toBe(-1)
    const check = checkOf(work)
    const chunk = check.vectors(vectorsOf(1, [b, c]) as FrameOf<'vectors'>)
    expect(chunk).toEqual({
      type: 'vectors',
      first: 1,
      vectors: [Float32Array.from(b), Float32Array.from(c)],
    })
  })

  it('have the length that was asked for', () => {
    const short: Work = { ...work, dimensions: 2 }
    expect(refusedAt(short, [vectorsOf(0, [[1, 0]], 2)])).toBe(-1)
    expect(refusedAt(short, [vectorsOf(0, [a])])).toBe(0)
  })

  const lies: [what: string, frames: FromProvider[]][] = [
    ['twice the same', [vectorsOf(0, [a]), vectorsOf(0, [a])]],
    ['beyond the last', [vectorsOf(2, [c, a])]],
    ['one and a half', [vectorsOf(0, [[1, 0, 0, 0, 1, 0]])]],
    ['none', [vectorsOf(0, [])]],
    ['not a number', [vectorsOf(0, [[1, 0, Number.NaN, 0]])]],
    ['endless', [vectorsOf(0, [[1, 0, Number.POSITIVE_INFINITY, 0]])]],
    ['one missing', [vectorsOf(0, [a, b]), done]],
    ['text', [frames.tokens(0, ['a'])]],
  ]
  it.each(lies)('that are %s are refused', (_what, sequence) => {
    expect(refusedAt(work, sequence)).toBe(sequence.length - 1)
  })
})
