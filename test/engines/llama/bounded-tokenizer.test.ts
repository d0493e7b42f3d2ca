import fc from 'fast-check'
import type { Llama, LlamaModel } from 'node-llama-cpp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PeerError } from '../../../src/base/errors.ts'
import { nativeModel } from '../../../src/engines/llama/core/binding.ts'
import { boundedTokenizer } from '../../../src/engines/llama/core/bounded-tokenizer.ts'
import { TokenTable } from '../../../src/engines/llama/core/token-table.ts'
import { ask, complete, embedModel, Harness } from './core-harness.ts'
import { openLibraryModel } from './library-model.ts'

let llama: Llama
let model: LlamaModel

beforeAll(async () => {
  ;({ llama, model } = await openLibraryModel())
})
afterAll(async () => {
  await llama.dispose()
})

const bounded = (tokensMax: number) =>
  boundedTokenizer(model.tokenizer, new TokenTable(nativeModel(model), model.vocabularyType), {
    tokensMax,
    tooLong: () => new PeerError('too_long', 'Too long.'),
  })

describe('boundedTokenizer', () => {
  it('gives the same tokens as all at once', () => {
    const part = fc.constantFrom(
      '<|im_start|>',
      '<|im_end|>',
      '<|im_',
      'a peer ',
      ' 😀\n',
      '  ',
      '|>',
    )
    const text = fc
      .tuple(fc.array(part, { minLength: 1, maxLength: 40 }), fc.integer({ min: 50, max: 400 }))
      .map(([parts, times]) => parts.join('').repeat(times))
    fc.assert(
      fc.property(text, fc.boolean(), (long, special) => {
        const whole = model.tokenize(long, special)
        expect(bounded(whole.length)(long, special)).toEqual(whole)
      }),
      { numRuns: 15 },
    )
  })

  it('counts over all its texts, and reads no further than its bound', () => {
    const tokenize = bounded(100)
    expect(tokenize('1'.repeat(60))).toHaveLength(60)
    expect(() => tokenize('1'.repeat(60))).toThrow('Too long.')
    const started = performance.now()
    expect(() => bounded(100)('1'.repeat(10_000_000))).toThrow('Too long.')
    expect(performance.now() - started).toBeLessThan(200)
  })
})

describe('a prompt that is far too long', () => {
  it('holds nobody up, whatever it is made of', async () => {
    const engine = await Harness.load()
    const texts = ['<|im_start|>'.repeat(80_000), 'a'.repeat(5_000_000), 'hello '.repeat(1_000_000)]
    for (const work of texts.flatMap((text) => [complete([text]), ask(text)])) {
      const started = performance.now()
      const { failure } = await engine.run(work)
      expect(failure?.code).toBe('context_length_exceeded')
      expect(failure?.message).toContain('your prompt has more than 4096. Shorten it.')
      expect(performance.now() - started).toBeLessThan(500)
    }
    await engine.core.dispose()
  })

  it('is refused as an embedding in the same way', async () => {
    const engine = await Harness.load({ modelPath: embedModel })
    const started = performance.now()
    const { failure } = await engine.run({
      kind: 'embedding',
      inputs: ['ok', 'a '.repeat(2_000_000)],
    })
    expect(failure?.message).toContain('input[1] has more than 2048. Shorten it.')
    expect(performance.now() - started).toBeLessThan(500)
    await engine.core.dispose()
  })
})
