import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Drafter } from '../../../src/engines/llama/core/speculation/drafter.ts'
import { promptLookup } from '../../../src/engines/llama/core/speculation/prompt-lookup.ts'
import type { LoadOptions } from '../../../src/engines/llama/ipc.ts'
import type { Sampling } from '../../../src/wire/job.ts'
import { rounds } from '../../campaign.ts'
import { demoF32 } from '../../gguf/lane.ts'
import { ask, chatModel, complete, Harness, type Heard } from './core-harness.ts'
import { garbage, guessing, repeating } from './guessers.ts'

const models = join(dirname(fileURLToPath(import.meta.url)), '../../../models')
const draftPath = join(models, 'pinaivu-demo-draft-q8_0.gguf')
const VOCABULARY = 2048

const engines: Harness[] = []
afterAll(async () => {
  for (const engine of engines) await engine.core.dispose()
})

async function loaded(options: Partial<LoadOptions>, drafters?: readonly Drafter[]) {
  const engine = await Harness.load({ modelPath: demoF32(), ...options }, drafters)
  engines.push(engine)
  return engine
}

/** One that does as another: tests change which. */
class Standin implements Drafter {
  readonly name = 'standin'
  as: Drafter = garbage
  begin: Drafter['begin'] = (place) => this.as.begin(place)
}

const story = (sampling: Partial<Sampling>) =>
  ask('Tell me a story.', { maxTokens: 30, ...sampling })

function expectSame(drafted: Heard, plain: Heard): void {
  expect(drafted.ids()).toEqual(plain.ids())
  expect(drafted.text()).toBe(plain.text())
  expect(drafted.done.finish).toEqual(plain.done.finish)
  expect(drafted.done.usage.outputTokens).toBe(plain.done.usage.outputTokens)
  const scores = (heard: Heard) =>
    heard.tokens.flatMap(({ logprobs = [] }) => logprobs.map(({ logprob }) => logprob))
  const expected = scores(plain)
  scores(drafted).forEach((score, at) => {
    expect(score).toBeCloseTo(expected[at] ?? Number.NaN, 2)
  })
}

/** Those that never draw from the far tail of all tokens. */
const nuclei: [string, Partial<Sampling>][] = [
  ['the best token each', {}],
  ['a nucleus', { temperature: 1, topP: 0.8, seed: 5 }],
  ['penalties', { frequencyPenalty: 1.5, presencePenalty: 1 }],
  ['penalties and a nucleus', { temperature: 0.9, topP: 0.9, seed: 3, frequencyPenalty: -1 }],
  ['a bias', { temperature: 0.5, topP: 0.9, seed: 3, logitBias: [[300, 3]] }],
  ['log-probabilities', { logprobs: 2, maxTokens: 20 }],
]

describe('on the lane where rounding is the same everywhere', () => {
  let plain: Harness
  let engine: Harness

  beforeAll(async () => {
    plain = await loaded({ reproducible: true, window: 0 })
    engine = await loaded({ reproducible: true, draftPath })
  })

  it.each([
    ...nuclei,
    ['temperature', { temperature: 1.2, seed: 11 }],
    ['a stop', { stop: ['. '] }],
  ] satisfies typeof nuclei)('an answer by %s is the same, watched or not', async (_, sampling) => {
    const expected = await plain.run(story(sampling))
    expect(expected.done.drafting).toBeUndefined()
    const watched = await engine.watch(story(sampling))
    expectSame(watched, expected)
    expect(watched.done.drafting).toBeDefined()
    expectSame(await engine.run(story(sampling)), expected)
  })
})

describe('verified in one batch', () => {
  const standin = new Standin()
  let plain: Harness
  let engine: Harness
  let modelled: Harness

  beforeAll(async () => {
    plain = await loaded({ window: 0 })
    engine = await loaded({ window: 4 }, [standin])
    modelled = await loaded({ window: 4, draftPath }, [])
  })

  const right = (ids: readonly number[], share: number) =>
    repeating('', ids, { right: share, vocabulary: VOCABULARY })

  it.each(nuclei)('an answer by %s is the same, whoever guesses', async (_, sampling) => {
    const expected = await plain.run(story(sampling))
    const ids = expected.ids()
    for (const drafter of [right(ids, 1), right(ids, 0.7), garbage]) {
      standin.as = drafter
      expectSame(await engine.watch(story(sampling)), expected)
    }
    expectSame(await modelled.watch(story(sampling)), expected)
  })

  // In the far tail the draw falls between tokens of next to no weight, and the last digit, which is
  // another one in a batch of one, says which of them. So only batches are compared.
  it('an answer by temperature alone is the same, however right the guesses are', async () => {
    for (let seed = 0; seed < rounds(2, 200); seed++) {
      const work = story({ temperature: 1.2, seed })
      standin.as = guessing('', (_, count) => Array(count).fill(seed))
      const expected = await engine.run(work)
      for (const share of [1, 0.7]) {
        standin.as = right(expected.ids(), share)
        expectSame(await engine.run(work), expected)
      }
    }
  })

  it('takes as many decodes as there are windows', async () => {
    const expected = await plain.run(story({}))
    standin.as = right(expected.ids(), 1)
    const heard = await engine.run(story({}))
    expectSame(heard, expected)
    const [counts] = heard.done.drafting ?? []
    expect(counts?.rolledBack).toBe(0)
    expect(counts?.accepted).toBeGreaterThanOrEqual((expected.ids().length * 3) / 4)
  })

  it('several answers guess beside some that do not', async () => {
    const questions = ['Tell me a story.', 'What is a peer?', 'What is a receipt?', 'Hello!']
    const asked = questions.map((question, at) =>
      ask(question, {
        ...{ maxTokens: 50, temperature: 0.8, topP: 0.9, seed: at },
        choices: 1 + (at % 2),
      }),
    )
    const expected: Heard[] = []
    for (const work of asked) expected.push(await plain.run(work, 'one'))
    standin.as = right(expected[0]?.ids() ?? [], 1)
    for (const drafting of [engine, modelled]) {
      const drafted = await Promise.all(asked.map((work, at) => drafting.run(work, `s${at}`)))
      for (const [at, heard] of drafted.entries()) {
        for (const choice of heard.done.finish.keys()) {
          expect(heard.ids(choice)).toEqual(expected[at]?.ids(choice))
        }
      }
    }
  })

  it('repeats what it was told to by looking it up', async () => {
    standin.as = promptLookup
    const heard = await engine.watch(ask('Repeat after me: the small boat came home late today'))
    const [counts] = heard.done.drafting ?? []
    expect(counts?.accepted).toBeGreaterThan(2)
  })

  it('a draft model that writes nothing is refused when it is loaded', async () => {
    const other = new Harness()
    engines.push(other)
    await other.load({ draftPath: join(models, 'pinaivu-demo-embed-q8_0.gguf') })
    expect(other.last('load-failed')?.message).toContain("can't draft")
  })
})

// With temperature 1, answers with guesses come from the same distribution as those without. Two
// samples with other seeds are held against each other by chi-square over their first tokens. If
// they are of one distribution, they are taken for two once in 10,000 times; that they would be told
// from a sample at another temperature is a test too.
describe('the distribution at temperature 1', () => {
  const COUNT = rounds(400, 8000)
  /** What so many answers are told from. */
  const OTHER = rounds(1.5, 1.1)
  let plain: Harness
  let drafting: Harness
  let without: Map<string, number>

  beforeAll(async () => {
    const fast = { modelPath: chatModel, contextLength: 256 }
    plain = await Harness.load({ ...fast, window: 0 })
    drafting = await Harness.load({ ...fast, window: 3, draftPath })
    without = await sample(plain, 1)
  })
  afterAll(async () => {
    await plain.core.dispose()
    await drafting.core.dispose()
  })

  /** How often answers began with these three tokens. */
  async function sample(engine: Harness, firstSeed: number, temperature = 1) {
    const seen = new Map<string, number>()
    for (let at = 0; at < COUNT; at += 4) {
      const answers = await Promise.all(
        [0, 1, 2, 3].map((more) => {
          const seed = firstSeed + at + more
          return engine.run(complete(['The'], { temperature, seed, maxTokens: 3 }))
        }),
      )
      for (const heard of answers) {
        const beginning = heard.ids().join()
        seen.set(beginning, (seen.get(beginning) ?? 0) + 1)
      }
    }
    return seen
  }

  it('is that of answers without guesses', async () => {
    expect(areDifferent(without, await sample(drafting, 1_000_000))).toBe(false)
  })

  it('would be told from another', async () => {
    expect(areDifferent(without, await sample(plain, 2_000_000, OTHER))).toBe(true)
  })
})

/** Of two samples of one size: their chi-square, as a normal deviate by Wilson and Hilferty, is rare. */
function areDifferent(one: Map<string, number>, other: Map<string, number>): boolean {
  const cells: [number, number][] = [[0, 0]]
  for (const key of new Set([...one.keys(), ...other.keys()])) {
    const [a, b] = [one.get(key) ?? 0, other.get(key) ?? 0]
    const rare = cells[0]
    if (a + b >= 10) cells.push([a, b])
    else if (rare !== undefined) cells[0] = [rare[0] + a, rare[1] + b]
  }
  const counted = cells.filter(([a, b]) => a + b > 0)
  const freedom = counted.length - 1
  const sum = counted.reduce((total, [a, b]) => total + (a - b) ** 2 / (a + b), 0)
  const spread = 2 / (9 * freedom)
  return (Math.cbrt(sum / freedom) - (1 - spread)) / Math.sqrt(spread) > 3.72
}
