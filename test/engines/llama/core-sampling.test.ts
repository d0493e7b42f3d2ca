import { getLlama, LlamaLogLevel } from 'node-llama-cpp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { seedOf } from '../../../src/engines/llama/core/sampler.ts'
import type { Sampling } from '../../../src/wire/job.ts'
import { ask, chatModel, complete, Harness } from './core-harness.ts'

let engine: Harness

beforeAll(async () => {
  engine = await Harness.load()
})
afterAll(async () => {
  await engine.core.dispose()
})

const story = (sampling: Partial<Sampling>) =>
  engine.run(ask('Tell me a story.', { maxTokens: 40, ...sampling }))

describe('a seed', () => {
  it('draws the same text again, alone and beside others', async () => {
    const drawn = { temperature: 1, seed: 7 }
    const alone = await story(drawn)
    const [beside, ...others] = await Promise.all([
      story(drawn),
      story({ ...drawn, seed: 8 }),
      story({ ...drawn, seed: -1 }),
      story({ ...drawn, seed: 2 ** 53 - 1 }),
    ])
    expect(beside?.text()).toBe(alone.text())
    expect(new Set([alone, ...others].map((heard) => heard.text())).size).toBe(4)
  })

  it('draws the same again where the last draw of all was the same', async () => {
    const token = () => story({ temperature: 2, seed: 7, maxTokens: 1 })
    const first = (await token()).text()
    for (let again = 0; again < 10; again++) expect((await token()).text()).toBe(first)
  })

  it('spreads over the generator for every choice and position', () => {
    const seeds = new Set<number>()
    for (const seed of [0, 1, 2 ** 32, -1]) {
      for (let choice = 0; choice < 4; choice++) {
        for (let position = 0; position < 1000; position++)
          seeds.add(seedOf(seed, choice, position))
      }
    }
    expect(seeds.size).toBeGreaterThan(15_990)
    expect(Math.max(...seeds)).toBeLessThan(2 ** 32 - 1)
  })

  it('says nothing at temperature 0', async () => {
    const [one, other] = await Promise.all([story({ seed: 1 }), story({ seed: 2 })])
    expect(one?.text()).toBe(other?.text())
  })
})

describe('a temperature', () => {
  it.each([1e-7, 1e-38, 1e-40, Number.MIN_VALUE])(
    'of %d is as good as none',
    async (temperature) => {
      expect((await story({ temperature, seed: 3 })).text()).toBe((await story({})).text())
    },
  )
})

describe('topP', () => {
  it('of nearly nothing leaves the best token alone', async () => {
    const best = await story({})
    const narrow = await story({ temperature: 2, topP: 1e-6, seed: 3 })
    expect(narrow.text()).toBe(best.text())
  })
})

describe('logit bias', () => {
  it('bans a token with -100 and forces one with 100', async () => {
    const [banned] = (await story({ maxTokens: 1 })).ids()
    if (banned === undefined) throw new Error('no token')
    const without = await story({ logitBias: [[banned, -100]] })
    expect(without.ids()).not.toContain(banned)
    const forced = await story({ logitBias: [[300, 100]], maxTokens: 4 })
    expect(forced.ids()).toEqual([300, 300, 300, 300])
  })

  it('of a token beyond the vocabulary is refused', async () => {
    const { failure } = await story({ logitBias: [[2048, 1]] })
    expect(failure).toMatchObject({ code: 'invalid_value', param: 'logit_bias' })
    expect(failure?.message).toContain('0 to 2047')
  })

  it('that bans everything is refused, and the engine goes on', async () => {
    const logitBias = Array.from({ length: 2048 }, (_, id): [number, number] => [id, -100])
    const { failure } = await story({ logitBias, temperature: 1 })
    expect(failure).toMatchObject({ code: 'invalid_value', param: 'logit_bias' })
    expect((await story({ maxTokens: 2 })).ids()).toHaveLength(2)
  })
})

describe('penalties', () => {
  // The model repeats a pattern it sees; forced to choose between few tokens it must repeat.
  const few = Array.from({ length: 2048 }, (_, id): [number, number] => [id, id < 303 ? -100 : 0])
  const counts = async (sampling: Partial<Sampling>) => {
    const heard = await engine.run(complete(['A A A A A A A A A'], { maxTokens: 60, ...sampling }))
    return new Set(heard.ids()).size
  }

  it('make repeated tokens less likely, at any temperature', async () => {
    for (const temperature of [0, 0.7]) {
      const free = await counts({ temperature })
      expect(await counts({ temperature, frequencyPenalty: 2 })).toBeGreaterThan(free)
      expect(
        await counts({ temperature, presencePenalty: 2, frequencyPenalty: 2 }),
      ).toBeGreaterThan(free)
    }
  })

  it('make them more likely when negative', async () => {
    const heard = await story({
      frequencyPenalty: -2,
      presencePenalty: -2,
      logitBias: few,
      maxTokens: 30,
    })
    const plain = await story({ logitBias: few, maxTokens: 30 })
    expect(new Set(heard.ids()).size).toBeLessThan(new Set(plain.ids()).size)
  })

  it('count the answer alone, not its prompt', async () => {
    const plain = await story({ maxTokens: 1 })
    const penalised = await engine.run(
      ask(`Tell me a story. ${plain.text().repeat(3)}`, { maxTokens: 1, presencePenalty: 2 }),
    )
    const same = await engine.run(
      ask(`Tell me a story. ${plain.text().repeat(3)}`, { maxTokens: 1 }),
    )
    expect(penalised.text()).toBe(same.text())
  })
})

describe('log-probabilities', () => {
  const prompt = 'The network is'

  /** What the library says of the first token, over the whole vocabulary. */
  async function reference(): Promise<Map<number, number>> {
    const llama = await getLlama({
      build: 'never',
      skipDownload: true,
      gpu: false,
      logLevel: LlamaLogLevel.error,
    })
    const model = await llama.loadModel({ modelPath: chatModel })
    const context = await model.createContext({ contextSize: 256, threads: 1 })
    const tokens = model.tokenize(prompt, true)
    const last = tokens.pop()
    if (last === undefined) throw new Error('no tokens')
    const options = { temperature: 1, topK: 0, topP: 1 } as const
    const result = await context
      .getSequence()
      .controlledEvaluate([...tokens, [last, { generateNext: { probabilities: true, options } }]])
    const probabilities = result.at(-1)?.next.probabilities ?? new Map<number, number>()
    await llama.dispose()
    return new Map([...probabilities].map(([id, p]) => [id, Math.log(p)]))
  }

  it('are of the model itself, whatever the sampling', async () => {
    const expected = await reference()
    const best = [...expected.values()].toSorted((a, b) => b - a)
    for (const sampling of [
      { temperature: 0 },
      { temperature: 1.5, seed: 5 },
      { temperature: 0.2, topP: 0.1, presencePenalty: 1, logitBias: [[400, 100]] },
    ] satisfies Partial<Sampling>[]) {
      const heard = await engine.run(complete([prompt], { maxTokens: 1, logprobs: 5, ...sampling }))
      const [first] = heard.tokens[0]?.logprobs ?? []
      const [id] = heard.ids()
      if (first === undefined || id === undefined) throw new Error('no log-probabilities')
      expect(first.logprob).toBeCloseTo(expected.get(id) ?? Number.NaN, 2)
      expect(first.top).toHaveLength(5)
      first.top.forEach(({ logprob }, at) => {
        expect(logprob).toBeCloseTo(best[at] ?? Number.NaN, 2)
      })
    }
  })

  it('come with each token and its bytes, and without alternatives when none were asked for', async () => {
    const heard = await engine.run(ask('What is a peer?', { logprobs: 0 }))
    for (const chunk of heard.tokens) expect(chunk.logprobs).toHaveLength(chunk.ids.length)
    const named = heard.tokens.flatMap((chunk) => chunk.logprobs ?? [])
    expect(Buffer.from(named.flatMap(({ bytes }) => bytes)).toString()).toBe(heard.text())
    expect(named.every(({ top, logprob }) => top.length === 0 && logprob <= 0)).toBe(true)
  })

  it('are left out otherwise', async () => {
    const heard = await story({ maxTokens: 3 })
    expect(heard.tokens.every(({ logprobs }) => logprobs === undefined)).toBe(true)
  })
})
