import {
  type Llama,
  type LlamaContext,
  type LlamaModel,
  type Token,
  TokenPredictor,
} from 'node-llama-cpp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openLibraryModel } from './library-model.ts'

// Faults of the library that this engine goes around. When one of these tests fails, the library was
// mended: see whether the detour is still worth its code.

let llama: Llama
let model: LlamaModel

beforeAll(async () => {
  ;({ llama, model } = await openLibraryModel())
})
afterAll(async () => {
  await llama.dispose()
})

/** Counts how many tokens each decode of a context holds. */
function watchBatches(context: LlamaContext): number[] {
  const native = Reflect.get(context, '_ctx') as { initBatch: (size: number) => void }
  const sizes: number[] = []
  const watched = new Proxy(native, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key)
      if (key === 'initBatch') {
        return (size: number) => {
          sizes.push(size)
          target.initBatch(size)
        }
      }
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  Reflect.set(context, '_ctx', watched)
  return sizes
}

async function take(tokens: AsyncGenerator<Token>, count: number): Promise<Token[]> {
  const taken: Token[] = []
  for await (const token of tokens) {
    taken.push(token)
    if (taken.length === count) break
  }
  return taken
}

describe('the library', () => {
  it('does not gather the answers at work into full batches', async () => {
    const context = await model.createContext({ sequences: 4, contextSize: 256, threads: 1 })
    const sizes = watchBatches(context)
    const prompt = model.tokenize('A peer is')
    await Promise.all(
      Array.from({ length: 4 }, () => take(context.getSequence().evaluate(prompt), 20)),
    )
    const full = sizes.filter((size) => size === 4).length
    expect(full).toBeLessThan(10)
    await context.dispose()
  })

  it('accepts at most one token of a draft in one decode', async () => {
    const prompt = model.tokenize(
      '<|im_start|>user\nWhat is a peer?<|im_end|>\n<|im_start|>assistant\n',
      true,
    )
    const plain = await model.createContext({ contextSize: 256, threads: 1 })
    const answer = await take(plain.getSequence().evaluate(prompt, { temperature: 0 }), 30)
    await plain.dispose()

    class Oracle extends TokenPredictor {
      #length = 0
      override reset({ stateTokens }: { stateTokens: Token[] }): void {
        this.#length = stateTokens.length
      }
      override pushTokens(tokens: Token[]): void {
        this.#length += tokens.length
      }
      override predictTokens(): Token[] {
        const at = this.#length - prompt.length
        return answer.slice(at, at + 8)
      }
    }
    const context = await model.createContext({ contextSize: 256, threads: 1 })
    const sizes = watchBatches(context)
    const sequence = context.getSequence({ tokenPredictor: new Oracle() })
    expect(await take(sequence.evaluate(prompt, { temperature: 0 }), 30)).toEqual(answer)
    // Eight right guesses at a time would take five decodes; with none accepted it were thirty.
    expect(sizes.length).toBeGreaterThan(12)
    expect(sizes.length).toBeLessThan(20)
    await context.dispose()
  })

  it('leaves the largest logit out although includeMax is set', async () => {
    const context = await model.createContext({ contextSize: 256, threads: 1 })
    const result = await context.getSequence().controlledEvaluate([
      [
        300 as Token,
        {
          generateNext: {
            logits: { filter: { tokens: [5 as Token], includeMax: true } },
            options: { temperature: 0 },
          },
        },
      ],
    ])
    expect([...(result[0]?.next.logits?.keys() ?? [])]).toEqual([5])
    await context.dispose()
  })
})
