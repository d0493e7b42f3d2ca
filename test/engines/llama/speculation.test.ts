import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Drafter } from '../../../src/engines/llama/core/speculation/drafter.ts'
import type { Sampling } from '../../../src/wire/job.ts'
import { rounds } from '../../campaign.ts'
import { anyDrafters, anySetUp, draftersOf, setUpOf, textsOf } from './any-drafters.ts'
import { greedy } from './core-harness.ts'
import { END, VOCABULARY } from './fake-llama.ts'
import { elsewhere, guessing, knowing } from './guessers.ts'
import { type Answer, type Asked, begunOf, expectCounts, FakeEngine } from './speculating.ts'

const campaign = { numRuns: rounds(100, 1_000) }

const token = fc.nat({ max: END - 1 })

const sampling: fc.Arbitrary<Sampling> = fc.record(
  {
    temperature: fc.constantFrom(0, 0.7, 1.5),
    topP: fc.constant(1),
    seed: fc.nat(),
    choices: fc.integer({ min: 1, max: 3 }),
    maxTokens: fc.oneof(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 1, max: 60 })),
    stop: fc.uniqueArray(fc.constantFrom('ab', 'b the', 'aa', ' is', '\u20ac', 'abab', 'b'), {
      maxLength: 2,
    }),
    presencePenalty: fc.constantFrom(0, 0, 1),
    frequencyPenalty: fc.constantFrom(0, 0, -1),
    logitBias: fc.constant<Sampling['logitBias']>([]),
    logprobs: fc.constantFrom(0, 1),
  },
  {
    requiredKeys: [
      ...(['temperature', 'topP', 'seed', 'choices', 'maxTokens', 'stop'] as const),
      ...(['presencePenalty', 'frequencyPenalty', 'logitBias'] as const),
    ],
  },
)

const asked = fc.array(
  fc.record({
    prompt: fc.array(token, { minLength: 1, maxLength: 40 }),
    sampling,
    watched: fc.boolean(),
  }),
  { minLength: 1, maxLength: 3 },
)

function expectSame(drafted: Answer, plain: Answer): void {
  expect(drafted.choices).toEqual(plain.choices)
  const { finish, usage } = drafted.done
  expect(finish).toEqual(plain.done.finish)
  expect(usage.outputTokens).toBe(plain.done.usage.outputTokens)
  expectCounts(drafted)
}

describe('an answer with guesses', () => {
  it('is the same as without, whoever guesses, and its watchers see it come true', async () => {
    await fc.assert(
      fc.asyncProperty(
        asked,
        anyDrafters,
        anySetUp,
        fc.nat({ max: 60 }),
        async (jobs, who, how, calls) => {
          const plain = await new FakeEngine().run(jobs)
          const texts = textsOf(jobs, plain)
          const drafters = draftersOf(who, () => texts, calls)
          const engine = new FakeEngine({ ...setUpOf(how), drafters })
          const drafted = await engine.run(jobs)
          for (const [at, answer] of drafted.entries()) {
            expectSame(answer, plain[at] as Answer)
            if (jobs[at]?.watched) continue
            expect(answer.chunks.some(({ type }) => type === 'provisional')).toBe(false)
            expect(answer.chunks.some(({ type }) => type === 'rollback')).toBe(false)
          }
        },
      ),
      campaign,
    )
  })

  it('goes on where another one ended, as without', async () => {
    await fc.assert(
      fc.asyncProperty(asked, anySetUp, fc.nat({ max: 50 }), async (jobs, how, cut) => {
        const plain = await new FakeEngine().run(jobs)
        const texts = textsOf(jobs, plain)
        const drafters = draftersOf(['most', 'model'], () => texts, 0)
        const rests = jobs.map((job, at) => ({ ...job, begun: begunOf(plain[at] as Answer, cut) }))
        const without = await new FakeEngine().run(rests)
        const drafted = await new FakeEngine({ ...setUpOf(how), drafters }).run(rests)
        for (const [at, answer] of drafted.entries()) expectSame(answer, without[at] as Answer)
      }),
      campaign,
    )
  })

  it('that is cancelled at any decode is a beginning of the same, and leaves nothing behind', async () => {
    await fc.assert(
      fc.asyncProperty(asked, anySetUp, fc.nat({ max: 40 }), async (jobs, how, ticks) => {
        const plain = await new FakeEngine().run(jobs)
        const texts = textsOf(jobs, plain)
        const drafters = draftersOf(['most', 'prompt'], () => texts, 0)
        // What is held as it may begin a stop string is a part of an answer that ends there.
        const free = jobs.map((job) => ({ ...job, sampling: { ...job.sampling, stop: [] } }))
        const open = await new FakeEngine().run(free)
        const engine = new FakeEngine({ ...setUpOf(how), drafters })
        const ids = jobs.map((job) => engine.start(job))
        let left = ticks
        engine.llama.during = () => {
          if (left-- === 0) engine.loop.cancel(ids[0] ?? 0)
        }
        await engine.ended()
        for (const [at, id] of ids.entries()) {
          const answer = engine.answer(id, jobs[at]?.sampling.choices ?? 1)
          expectCounts(answer)
          if (at > 0) expectSame(answer, plain[at] as Answer)
          for (const [choice, { ids: written }] of answer.choices.entries()) {
            expect(open[at]?.choices[choice]?.ids.slice(0, written.length)).toEqual(written)
          }
        }
        // The same sequences, with what was kept of them.
        const again = await engine.run(jobs)
        for (const [at, answer] of again.entries()) expectSame(answer, plain[at] as Answer)
      }),
      campaign,
    )
  })
})

describe('who guesses elsewhere', () => {
  const one = fc.record({
    seed: fc.nat(),
    slow: fc.integer({ min: 1, max: 20 }),
    right: fc.constantFrom(1, 0.7, 0),
  })

  it('changes nothing, however late what it says arrives', async () => {
    await fc.assert(
      fc.asyncProperty(asked, one, anySetUp, async (jobs, { slow, right }, how) => {
        const plain = await new FakeEngine().run(jobs)
        const options = { right, vocabulary: VOCABULARY, ahead: 12 }
        const far = jobs.map(({ prompt }, at) =>
          elsewhere('far', prompt, () => textsOf(jobs, plain.slice(at, at + 1)), options),
        )
        const engine = new FakeEngine({ ...setUpOf(how), drafters: [] })
        let ticks = 0
        engine.llama.during = () => {
          if (ticks++ % slow === 0) for (const { arrive } of far) arrive()
        }
        const guessed = jobs.map((job, at) => ({
          ...job,
          drafters: far.slice(at, at + 1).map((it) => it.posted),
        }))
        const drafted = await engine.run(guessed)
        for (const [at, answer] of drafted.entries()) {
          expectSame(answer, plain[at] as Answer)
          const { arrive, known } = far[at] as (typeof far)[number]
          arrive()
          // Of the whole answer, up to the last token; what a stop cuts off may be behind that.
          for (const [choice, heard] of known) {
            const { ids = [] } = answer.choices[choice] ?? {}
            expect(heard.slice(0, ids.length)).toEqual(ids)
          }
        }
      }),
      campaign,
    )
  })

  it.each([2, 6])('hides a way of %d decodes by guessing ahead', async (slow) => {
    const prompt = [1, 2, 3]
    const job: Asked = { prompt, sampling: { ...greedy, maxTokens: 200 }, watched: true }
    const plain = await new FakeEngine({ endless: true }).run([job])
    const options = { right: 1, vocabulary: VOCABULARY, ahead: 64 }
    const { posted, arrive } = elsewhere('far', prompt, () => textsOf([job], plain), options)
    const engine = new FakeEngine({ endless: true, drafters: [], window: 4 })
    let ticks = 0
    engine.llama.during = () => {
      if (ticks++ % slow === 0) arrive()
    }
    const [answer] = await engine.run([{ ...job, drafters: [posted] }])
    if (answer && plain[0]) expectSame(answer, plain[0])
    expect(engine.llama.batches.length).toBeLessThan(200 / 3)
  })
})

describe('who watches', () => {
  const prompt = [1, 2, 3, 0, 1, 2, 3]
  const job: Asked = { prompt, sampling: { ...greedy, maxTokens: 30 }, watched: true }

  it('sees guesses before they are computed, and each of them settled', async () => {
    const [plain] = await new FakeEngine({ endless: true }).run([job])
    const text = [...prompt, ...(plain?.choices[0]?.ids ?? [])]
    const drafters = [knowing('perfect', () => [text], { vocabulary: VOCABULARY })]
    const [answer] = await new FakeEngine({ endless: true, drafters, window: 4 }).run([job])
    const kindsSeen = answer?.chunks.map(({ type }) => type)
    expect(kindsSeen?.indexOf('provisional')).toBeLessThan(3)
    expect(answer?.chunks.some(({ type }) => type === 'rollback')).toBe(false)
    expect(answer?.done.drafting).toEqual([
      { drafter: 'perfect', drafted: 23, accepted: 23, rolledBack: 0 },
    ])
  })

  it('is told of nothing that a stop string cuts off', async () => {
    const [open] = await new FakeEngine({ endless: true }).run([job])
    const text = [...prompt, ...(open?.choices[0]?.ids ?? [])]
    const drafters = [knowing('perfect', () => [text], { vocabulary: VOCABULARY })]
    const stop = [open?.choices[0]?.text.slice(5).match(/[ a-z]{4}/)?.[0] ?? '']
    const stopped = { ...job, sampling: { ...job.sampling, stop } }
    const setUp = { endless: true, drafters, window: 8 }
    const [answer] = await new FakeEngine(setUp).run([stopped])
    const shown = answer?.chunks
      .flatMap((it) => (it.type === 'provisional' ? [it.text] : []))
      .join('')
    expect(answer?.done.finish).toEqual(['stop'])
    expect(shown).not.toContain(stop[0])
    const [counts] = answer?.done.drafting ?? []
    expect(counts?.accepted).toBeLessThanOrEqual(answer?.choices[0]?.ids.length ?? 0)
  })
})

describe('a hostile drafter', () => {
  const job: Asked = { prompt: [1, 2, 3], sampling: { ...greedy, maxTokens: 50 }, watched: true }

  it.each<[string, readonly number[]]>([
    ['tokens that are none', [-1, 0.5, Number.NaN]],
    ['tokens of a larger vocabulary', [VOCABULARY, 2 ** 31]],
    ['ends', [END, END]],
    ['far too many', Array.from({ length: 100_000 }, () => 1)],
  ])('that says %s changes nothing', async (_, ids) => {
    const [plain] = await new FakeEngine({ endless: true }).run([job])
    const engine = new FakeEngine({ endless: true, drafters: [guessing('bad', () => ids)] })
    const [answer] = await engine.run([job])
    if (plain && answer) expectSame(answer, plain)
    expect(Math.max(...engine.llama.batches)).toBeLessThanOrEqual(17)
  })

  it('that fails is asked no more, and its run goes on', async () => {
    let asked = 0
    const failing: Drafter = {
      name: 'failing',
      begin() {
        asked++
        throw new Error('gone')
      },
    }
    const [plain] = await new FakeEngine({ endless: true }).run([job])
    const [answer] = await new FakeEngine({ endless: true, drafters: [failing] }).run([job])
    if (plain && answer) expectSame(answer, plain)
    expect(asked).toBe(1)
  })
})
