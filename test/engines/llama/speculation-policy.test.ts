import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BatchCost } from '../../../src/engines/llama/core/speculation/batch-cost.ts'
import type { Drafter } from '../../../src/engines/llama/core/speculation/drafter.ts'
import { promptLookup } from '../../../src/engines/llama/core/speculation/prompt-lookup.ts'
import { Acceptance } from '../../../src/engines/llama/core/speculation/standing.ts'
import { bestWindow, expected, passes } from '../../../src/engines/llama/core/speculation/window.ts'
import { greedy } from './core-harness.ts'
import { VOCABULARY } from './fake-llama.ts'
import { garbage, knowing } from './guessers.ts'
import { type Asked, FakeEngine, fakeDraftModel, type SetUp } from './speculating.ts'

// Time here is the fake's: what a decode takes is a function of its size, and nothing else takes any.

const sizes = [1, 2, 3, 4, 6, 8, 12, 17]
/** A machine where larger batches pay: 8 tokens take twice as long as one. */
const flat = (tokens: number) => 7 + tokens
/** One where they do not. */
const steep = (tokens: number) => 8 * tokens

/** A processor, measured: one token is computed in another way, and up to six of them cost as much as two. */
const stepped = (tokens: number) =>
  tokens === 1 ? 8 : tokens <= 6 ? 19 + 0.3 * tokens : 21 + 2 * (tokens - 6)

const long: Asked['sampling'] = { ...greedy, temperature: 1, maxTokens: 900 }

async function answerOf(setUp: SetUp, watched = false, seeds = [1, 2, 3]) {
  const engine = new FakeEngine({ contextLength: 1000, endless: true, ...setUp })
  let tokens = 0
  const texts: number[][] = []
  for (const seed of seeds) {
    const prompt = [1, 2, seed]
    const [answer] = await engine.run([{ prompt, sampling: { ...long, seed }, watched }])
    texts.push([...prompt, ...(answer?.choices[0]?.ids ?? [])])
    tokens += answer?.done.usage.outputTokens ?? 0
  }
  return { ms: engine.llama.time, tokens, texts, batches: engine.llama.batches }
}

const prospect = (acceptance: number) => ({ least: 0, most: 16, acceptance, msPerGuess: 0 })

/** Relative to a run without guesses. */
async function speedUp(drafters: readonly Drafter[], setUp: SetUp, watched = false) {
  const plain = await answerOf({ msOf: setUp.msOf ?? flat })
  const drafted = await answerOf({ known: sizes, msOf: flat, ...setUp, drafters }, watched)
  expect(drafted.texts).toEqual(plain.texts)
  return plain.ms / drafted.ms
}

async function knows(right: number): Promise<Drafter> {
  const { texts } = await answerOf({})
  return knowing(`right ${right}`, () => texts, { right, vocabulary: VOCABULARY })
}

describe('the window', () => {
  it.each([1, 0.9, 0.7, 0.5])(
    'gives nearly what the machine allows, at acceptance %d',
    async (right) => {
      const cost = new BatchCost()
      cost.learn(sizes.map((tokens) => ({ tokens, ms: flat(tokens) })))
      const { bound } = bestWindow(cost, [prospect(right)])
      expect(await speedUp([await knows(right)], {})).toBeGreaterThan(0.9 * bound)
    },
  )

  it.each([0.95, 0.9, 0.85])(
    'gives it where only a long one pays, too, at acceptance %d',
    async (right) => {
      const cost = new BatchCost()
      const all = Array.from({ length: 17 }, (_, at) => at + 1)
      cost.learn(all.map((tokens) => ({ tokens, ms: stepped(tokens) })))
      const { bound } = bestWindow(cost, [prospect(right)])
      expect(bound).toBeGreaterThan(1.2)
      const given = await speedUp([await knows(right)], { msOf: stepped, known: all })
      expect(given).toBeGreaterThan(0.9 * bound)
    },
  )

  it('is closed where no window pays, however right the guesses are', async () => {
    const { batches } = await answerOf({ drafters: [await knows(1)], known: sizes, msOf: steep })
    expect(Math.max(...batches.slice(1))).toBeLessThanOrEqual(3)
    expect(await speedUp([await knows(1)], { msOf: steep })).toBe(1)
  })

  it('stays closed to who reads alone while nothing is known of the machine', async () => {
    expect(await speedUp([await knows(1)], { known: [] })).toBe(1)
  })

  it('is at least 2 for who watches, whatever that costs', async () => {
    const drafters = [await knows(1)]
    const { batches } = await answerOf({ drafters, known: sizes, msOf: steep }, true)
    expect(new Set(batches)).toContain(3)
    expect(await speedUp(drafters, { msOf: steep }, true)).toBeGreaterThan(0.9)
  })

  it.each([false, true])(
    'of a garbage drafter costs at most 3 %% (watched: %s)',
    async (watched) => {
      for (const msOf of [flat, steep, stepped]) {
        const ratio = await speedUp([garbage], { msOf }, watched)
        expect(ratio).toBeGreaterThan(0.97)
      }
    },
  )

  it('is as wide for several answers at once as pays for all of them', async () => {
    const drafters = [await knows(0.9)]
    const asked = [1, 2, 3].map((seed) => ({ prompt: [1, 2, seed], sampling: { ...long, seed } }))
    const options = { contextLength: 1000, endless: true, msOf: flat }
    const plain = new FakeEngine(options)
    const drafted = new FakeEngine({ ...options, drafters, known: sizes })
    await plain.run(asked)
    await drafted.run(asked)
    expect(plain.llama.time / drafted.llama.time).toBeGreaterThan(1.4)
  })

  it('ends where a decode would keep a cancelled answer waiting', async () => {
    const msOf = (tokens: number) => 100 + 20 * tokens
    const { batches } = await answerOf(
      { drafters: [await knows(1)], known: sizes, msOf },
      false,
      [1],
    )
    expect(Math.max(...batches.slice(1))).toBe(4)
  })

  it('falls back to the next drafter where the first is of no use', async () => {
    const good = await knows(0.9)
    const alone = await speedUp([good], {})
    expect(await speedUp([garbage, good], {})).toBeGreaterThan(0.95 * alone)
  })

  it('never promises less than none', () => {
    const curve = fc.array(fc.double({ min: 0.1, max: 100, noNaN: true }), { minLength: 17 })
    fc.assert(
      fc.property(curve, fc.double({ min: 0, max: 1, noNaN: true }), (times, acceptance) => {
        const cost = new BatchCost()
        cost.learn(times.map((ms, at) => ({ tokens: at + 1, ms })))
        const { tokens, bound } = bestWindow(cost, [prospect(acceptance)])
        expect(bound).toBeGreaterThanOrEqual(1)
        expect(expected(acceptance, tokens)).toBeLessThanOrEqual(tokens)
      }),
    )
  })
})

describe('what a guess of a small model takes', () => {
  const prompt = Array.from({ length: 300 }, (_, at) => (at * 7) % 10)
  /** How many guesses come true, answer by answer, and what part of the time it takes to make them. */
  async function accepted(
    takes: (tokens: number, decodes: number) => number,
    { answers = 1, maxTokens = 600, isMeasured = true } = {},
  ) {
    let spent = 0
    const msOf: typeof takes = (...decode) => {
      const ms = takes(...decode)
      spent += ms
      return ms
    }
    const draft = fakeDraftModel({ contextLength: 1000, endless: true, msOf })
    if (isMeasured) await draft.measure()
    const engine = new FakeEngine({
      ...{ contextLength: 1000, endless: true, msOf: flat, known: sizes },
      drafters: [draft],
    })
    const counts: number[] = []
    for (let seed = 0; seed < answers; seed++) {
      const sampling = { ...long, seed, maxTokens }
      const [answer] = await engine.run([
        { prompt: [seed % 10, 5 + (seed >> 3), ...prompt], sampling },
      ])
      counts.push(answer?.done.drafting?.[0]?.accepted ?? 0)
    }
    return {
      counts,
      ms: draft.msPerToken,
      spent,
      share: spent / engine.llama.time,
      total: engine.llama.time + spent,
    }
  }

  it('is not what it takes to read the prompt', async () => {
    const { counts, ms } = await accepted((tokens) => 0.2 * tokens, { isMeasured: false })
    expect(counts[0]).toBeGreaterThan(400)
    expect(ms).toBeCloseTo(0.2, 1)
  })

  it('is not what it took the first time', async () => {
    // Of a part of the prompt, and, once it is read, of a single token.
    const takes = (_: number, decodes: number) => ([1, 6].includes(decodes) ? 500 : 0.5)
    const { counts } = await accepted(takes, { isMeasured: false })
    expect(counts[0]).toBeGreaterThan(400)
  })

  it('is measured again when it has not been for long', async () => {
    const { counts } = await accepted((_, decodes) => (decodes < 12 ? 20 : 0.5), { answers: 24 })
    expect(counts[0]).toBeLessThan(50)
    expect(counts.at(-1)).toBeGreaterThan(400)
  })

  it('costs little where it is too much, although it is measured again and again', async () => {
    const { share } = await accepted(() => 20, { answers: 16 })
    expect(share).toBeLessThan(0.03)
  })

  it('is known before any prompt is read, which would be in vain', async () => {
    const { spent, ms } = await accepted((tokens) => 8 * tokens, { answers: 20, maxTokens: 12 })
    expect(ms).toBeGreaterThan(6)
    expect(spent).toBe(5 * 8)
  })

  it.each([12, 60, 200])(
    'slows no answers of %d tokens to long prompts down',
    async (maxTokens) => {
      // Reading 300 tokens takes as long as 30 tokens of the answer do.
      const drafted = await accepted((tokens) => 0.8 * tokens, { answers: 40, maxTokens })
      const plain = await accepted(() => 1_000, { answers: 40, maxTokens })
      expect(drafted.total).toBeLessThan(1.03 * (plain.total - plain.spent))
    },
  )

  it('is made in long answers to long prompts', async () => {
    const { counts } = await accepted((tokens) => 0.2 * tokens, { answers: 8 })
    expect(counts.at(-1)).toBeGreaterThan(400)
  })

  it('leaves the word to others where it is too much', async () => {
    const good = await knows(0.7)
    const dear = { ...(await knows(1)), name: 'dear', msPerToken: 50, prepare: async () => {} }
    const alone = await speedUp([good], {})
    expect(await speedUp([good, dear], {})).toBeGreaterThan(0.95 * alone)
  })
})

describe('the batch cost', () => {
  it('lies between what was measured, and promises nothing beyond', () => {
    const cost = new BatchCost()
    expect(cost.ms(4)).toBe(0)
    cost.learn([
      { tokens: 1, ms: 10 },
      { tokens: 4, ms: 16 },
    ])
    expect([1, 2, 3, 4].map((tokens) => cost.ms(tokens))).toEqual([10, 12, 14, 16])
    expect(cost.ms(6)).toBe(36)
  })

  it('follows the machine, also for sizes that are not decoded', () => {
    const cost = new BatchCost()
    cost.learn([1, 4].map((tokens) => ({ tokens, ms: 10 + tokens })))
    for (let decode = 0; decode < 300; decode++) cost.took([1], 22)
    expect(cost.ms(1)).toBeCloseTo(22, 0)
    expect(cost.ms(4) / cost.ms(1)).toBeGreaterThan(0.75)
    expect(cost.ms(4) / cost.ms(1)).toBeLessThan(1.4)
    for (let decode = 0; decode < 300; decode++)
      cost.took(decode % 2 ? [1] : [4], decode % 2 ? 22 : 66)
    expect(cost.ms(4) / cost.ms(1)).toBeCloseTo(3, 0)
  })
})

describe('answers of several lengths', () => {
  it('are computed in passes, as many tokens of each together as the shortest has left', () => {
    expect(passes([1, 1, 1])).toEqual([3])
    expect(passes([5, 1, 5])).toEqual([3, 8])
    expect(passes([4, 2, 7, 2])).toEqual([8, 4, 3])
  })

  it('guess together where that pays for all, though it would pay for none alone', () => {
    const cost = new BatchCost()
    cost.learn(sizes.map((tokens) => ({ tokens, ms: flat(tokens) })))
    const none = { ...prospect(0), most: 0 }
    expect(bestWindow(cost, [prospect(0.7), none, none, none]).tokens).toBe(0)
    const all = [prospect(0.7), prospect(0.7), prospect(0.7), prospect(0.7)]
    expect(bestWindow(cost, all).bound).toBeGreaterThan(1.1)
  })
})

describe('acceptance', () => {
  it('is hoped to be more than was seen, the less of it was', () => {
    const acceptance = new Acceptance()
    expect(acceptance.hope).toBeGreaterThan(0.9)
    for (let at = 0; at < 3; at++) acceptance.add(0, 4)
    expect(acceptance.hope).toBeLessThan(0.75)
    for (let at = 0; at < 100; at++) acceptance.add(0, 4)
    expect(acceptance.hope).toBeLessThan(0.1)
    acceptance.passed(10_000)
    expect(acceptance.hope).toBeGreaterThan(0.9)
  })

  it('nears the part that is right, and forgets', () => {
    const acceptance = new Acceptance()
    for (let at = 0; at < 100; at++) acceptance.add(4, 4)
    expect(acceptance.share).toBeGreaterThan(0.99)
    for (let at = 0; at < 100; at++) acceptance.add(0, 4)
    expect(acceptance.share).toBeLessThan(0.05)
  })
})

describe('prompt look-up', () => {
  const lookup = (tokens: Uint32Array, length: number) =>
    promptLookup.begin({
      ...{ tokens, length, promptLength: length, choice: 0, draw: 0, room: 100 },
      ...{ sampling: greedy, sequence: 0, scope: '' },
    })
  const guess = (tokens: number[], count: number) =>
    lookup(Uint32Array.from(tokens), tokens.length).propose(count)

  it('goes on as the last time, by the longest ending that is known', () => {
    expect(guess([1, 2, 3, 4, 5, 9, 9, 1, 2, 3], 3)).toEqual([4, 5, 9])
    expect(guess([1, 2, 3, 4, 7, 2, 3, 5, 1, 2, 3], 1)).toEqual([4])
    expect(guess([1, 2, 3, 4, 1, 2, 3, 5, 1, 2, 3], 1)).toEqual([5])
  })

  it('has no guess where nothing comes again', () => {
    expect(guess([1, 2, 3, 4, 5, 6], 4)).toEqual([])
    expect(guess([1], 4)).toEqual([])
    expect(guess([1, 2, 3, 2], 4)).toEqual([])
  })

  it('repeats what is repeated up to the end', () => {
    expect(guess([5, 1, 2, 3, 1, 2, 3, 1, 2], 7)).toEqual([3, 1, 2, 3, 1, 2, 3])
  })

  it('guesses in what comes later as in what was there, and reads no token behind', () => {
    const word = fc.integer({ min: 0, max: 5 })
    const texts = fc.array(word, { minLength: 1, maxLength: 200 })
    fc.assert(
      fc.property(texts, fc.nat({ max: 199 }), (text, cut) => {
        const begun = Math.min(cut, text.length - 1) + 1
        const tokens = new Uint32Array(text.length + 10).fill(99)
        tokens.set(text.slice(0, begun))
        const drafts = lookup(tokens, begun)
        for (let length = begun; length < text.length; length++) {
          const anew = lookup(tokens.slice(), length)
          expect(drafts.propose(4)).toEqual(anew.propose(4))
          tokens[length] = text[length] ?? 0
          drafts.committed(1, 0)
        }
        expect(drafts.propose(4)).not.toContain(99)
      }),
    )
  })
})
