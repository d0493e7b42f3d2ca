import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Coalescer, FRAME_TOKENS_MAX, HOLD_MS } from '../../src/market/serve/coalescer.ts'
import { vectorFrames } from '../../src/market/serve/vector-frames.ts'
import type { TokenLogprob, Tokens } from '../../src/wire/chunk.ts'
import type { FromProvider } from '../../src/wire/generate.ts'
import { decodeFromProvider, encodeFromProvider } from '../../src/wire/generate-codec.ts'
import { FRAME_BYTES_MAX } from '../../src/wire/protocols.ts'

const token = (index: number, text = 'a', choice = 0): Tokens => ({
  type: 'tokens',
  choice,
  index,
  ids: [index],
  text,
})

const frameOf = ({ choice, index, ids, text, logprobs = [] }: Tokens): FromProvider => ({
  type: 'tokens',
  choice,
  first: index,
  ids,
  text,
  logprobs,
  channel: 'content',
  tool: { index: 0, name: '', callId: '' },
})

function coalescer() {
  const sent: Tokens[] = []
  return { sent, coalescer: new Coalescer((tokens) => sent.push(tokens)) }
}

describe('tokens', () => {
  it('are not held when they come one by one, and the first one of an answer never is', () => {
    const { sent, coalescer: held } = coalescer()
    for (let at = 0; at < 5; at++) {
      held.add(token(at), at * HOLD_MS)
      expect(sent.length).toBe(at + 1)
    }
    held.add(token(0, 'b', 1), 4 * HOLD_MS)
    expect(sent.at(-1)).toMatchObject({ choice: 1, ids: [0] })
    expect(held.holds).toBe(false)
  })

  it('go out together when they are ready together, as many as a frame takes', () => {
    const { sent, coalescer: held } = coalescer()
    for (let at = 0; at < 40; at++) held.add(token(at, String(at % 10)), 0)
    expect(sent.map(({ ids }) => ids.length)).toEqual([1, 16, 16])
    expect(held.holds).toBe(true)
    held.flush(HOLD_MS)
    expect(sent.map(({ ids }) => ids.length)).toEqual([1, 16, 16, 7])
    expect(held.holds).toBe(false)
  })

  it('that are many at once have their text with the last of them', () => {
    const { sent, coalescer: held } = coalescer()
    const ids = Array.from({ length: 40 }, (_, at) => at)
    held.add({ type: 'tokens', choice: 0, index: 0, ids, text: 'all of it' }, 0)
    held.flush(0)
    expect(sent.map(({ ids, text }) => [ids.length, text])).toEqual([
      [16, ''],
      [16, ''],
      [8, 'all of it'],
    ])
  })

  it('arrive the same and in order, in frames that are small enough, whatever their parts', () => {
    const text = fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 12 }),
      fc.constantFrom('', '€'.repeat(9_000), `x${'😀'.repeat(10_000)}`, 'x'.repeat(20_000)),
    )
    const logprob = fc.constantFrom('a', '€'.repeat(100)).map((name): TokenLogprob => {
      const bytes = [...new TextEncoder().encode(name)]
      const one = { token: name, bytes, logprob: -1 }
      return { ...one, top: Array.from({ length: 20 }, () => one) }
    })
    const part = fc.record({
      choice: fc.nat(2),
      count: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 40 })),
      text,
      waitMs: fc.constantFrom(0, 0, 1, 4, 5, 30),
    })
    const run = (
      parts: { choice: number; count: number; text: string; waitMs: number }[],
      scored?: TokenLogprob,
    ) => {
      const { sent, coalescer: held } = coalescer()
      const given = [0, 1, 2].map(() => ({ text: '', ids: 0 }))
      // More text than its tokens can hold: then, and only then, are there frames without tokens.
      const scant = parts.some(({ count, text }) => text.length > count * 1024)
      let now = 0
      for (const { choice, count, text, waitMs } of parts) {
        now += waitMs
        if (waitMs >= HOLD_MS) held.flush(now)
        const so = given[choice] ?? { text: '', ids: 0 }
        const ids = Array.from({ length: count }, (_, at) => so.ids + at)
        const logprobs = scored && { logprobs: ids.map(() => scored) }
        held.add({ type: 'tokens', choice, index: so.ids, ids, text, ...logprobs }, now)
        so.ids += count
        so.text += text
      }
      held.flush(now)
      for (const [choice, { text, ids }] of given.entries()) {
        const own = sent.filter((tokens) => tokens.choice === choice)
        expect(own.map((tokens) => tokens.text).join('') === text).toBe(true)
        const indices = own.flatMap((tokens) => tokens.ids.map((_, at) => tokens.index + at))
        expect(indices).toEqual(Array.from({ length: ids }, (_, at) => at))
        expect(own.flatMap((tokens) => tokens.ids)).toEqual(indices)
      }
      for (const tokens of sent) {
        expect(tokens.ids.length).toBeLessThanOrEqual(FRAME_TOKENS_MAX)
        expect(tokens.ids.length > 0 || scant).toBe(true)
        expect(tokens.logprobs?.length).toBe(scored && tokens.ids.length)
        const bytes = encodeFromProvider(frameOf(tokens))
        expect(bytes.length).toBeLessThanOrEqual(FRAME_BYTES_MAX)
        const read = decodeFromProvider(bytes)
        expect(read?.type === 'tokens' && read.text === tokens.text).toBe(true)
      }
    }
    const parts = fc.array(part, { maxLength: 8 })
    const plain = { arbitrary: fc.constant(undefined), weight: 7 }
    fc.assert(fc.property(parts, fc.oneof(plain, { arbitrary: logprob, weight: 1 }), run))
  })
})

describe('vectors', () => {
  it('go out whole, as many in a frame as fit, in their order', () => {
    const size = {
      length: fc.integer({ min: 1, max: 4096 }),
      count: fc.integer({ min: 1, max: 40 }),
    }
    fc.assert(
      fc.property(size.length, size.count, fc.nat(9), (length, count, first) => {
        const vectors = Array.from({ length: count }, (_, at) => new Float32Array(length).fill(at))
        let next = first
        for (const frame of vectorFrames({ type: 'vectors', first, vectors })) {
          const bytes = encodeFromProvider(frame)
          expect(bytes.length).toBeLessThanOrEqual(FRAME_BYTES_MAX)
          const read = decodeFromProvider(bytes)
          if (read?.type !== 'vectors') throw new Error('no vectors')
          expect(read).toMatchObject({ first: next, length })
          for (let at = 0; at < read.values.length; at += length) {
            expect(read.values[at]).toBe(next - first)
            next++
          }
        }
        expect(next - first).toBe(count)
      }),
    )
  })

  it('that no frame can hold are a fault of ours', () => {
    const vectors = [new Float32Array(16_384)]
    expect(() => vectorFrames({ type: 'vectors', first: 0, vectors })).toThrow('does not fit')
    expect(vectorFrames({ type: 'vectors', first: 0, vectors: [] })).toEqual([])
  })
})
