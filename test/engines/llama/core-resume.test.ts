import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Resume } from '../../../src/wire/generate.ts'
import type { Sampling, Work } from '../../../src/wire/job.ts'
import { rounds } from '../../campaign.ts'
import { demoF32 } from '../../gguf/lane.ts'
import { writeTiny } from '../../gguf/llama-model.ts'
import { ask, complete, Harness, type Heard } from './core-harness.ts'

/** The first so many ids of a choice, and the text of the frames that they fill. */
function begun(heard: Heard, choice: number, count: number): Resume {
  const frames = heard.tokens.filter((it) => it.choice === choice)
  const full = frames.filter(({ index, ids }) => index + ids.length <= count)
  return {
    choice,
    text: full.map(({ text }) => text).join(''),
    ids: heard.ids(choice).slice(0, count),
  }
}

/** Runs it from there on, and holds all that comes against the run that nothing disturbed. */
async function expectSame(engine: Harness, work: Work, whole: Heard, resume: Resume[]) {
  const rest = await engine.run(work, 'another', resume)
  const { finish, usage } = whole.done
  const writtenBefore = resume.reduce((sum, { ids }) => sum + ids.length, 0)
  expect(rest.done).toEqual({
    type: 'done',
    finish,
    usage: { ...usage, outputTokens: usage.outputTokens - writtenBefore },
  })
  for (const choice of finish.keys()) {
    const before = resume.find((it) => it.choice === choice) ?? { text: '', ids: [] }
    expect(before.text + rest.text(choice)).toBe(whole.text(choice))
    expect([...before.ids, ...rest.ids(choice)]).toEqual(whole.ids(choice))
    let next = before.ids.length
    for (const { index, ids, logprobs } of rest.tokens.filter((it) => it.choice === choice)) {
      expect(index).toBe(next)
      next += ids.length
      if (logprobs !== undefined) expect(logprobs).toHaveLength(ids.length)
    }
  }
  return rest
}

describe('on the lane where rounding is the same everywhere', () => {
  let engine: Harness

  beforeAll(async () => {
    engine = await Harness.load({ modelPath: demoF32(), reproducible: true })
  })
  afterAll(async () => {
    await engine.core.dispose()
  })

  it.each<[string, Partial<Sampling>]>([
    ['the best token each', {}],
    ['temperature', { temperature: 1.2, seed: 11 }],
    ['temperature and a nucleus', { temperature: 1, topP: 0.8, seed: 5 }],
    ['penalties', { frequencyPenalty: 1.5, presencePenalty: 1 }],
    ['penalties and temperature', { temperature: 0.9, seed: 3, frequencyPenalty: -1 }],
    ['log-probabilities', { logprobs: 2, maxTokens: 12 }],
  ])('an answer by %s goes on from each token as if nothing had been', async (_, sampling) => {
    const work = ask('Tell me a story.', { maxTokens: 30, ...sampling })
    const whole = await engine.run(work)
    const ids = whole.ids()
    expect(ids.length).toBeGreaterThan(10)
    const step = Object.keys(sampling).length === 0 ? 1 : rounds(7, 1)
    for (let count = 0; count <= ids.length; count += step) {
      await expectSame(engine, work, whole, [begun(whole, 0, count)])
    }
  })

  it('its log-probabilities are those of the whole', async () => {
    const work = ask('What is a peer?', { logprobs: 3 })
    const scores = (heard: Heard) => heard.tokens.flatMap(({ logprobs = [] }) => logprobs)
    const whole = await engine.run(work)
    const rest = await expectSame(engine, work, whole, [begun(whole, 0, 9)])
    expect(scores(rest)).toEqual(scores(whole).slice(9))
  })

  it('finds a stop string that began before, from each of its letters', async () => {
    const work = ask('What is a peer?', { stop: ['process in the net'] })
    const open = await engine.run(ask('What is a peer?'))
    const whole = await engine.run(work)
    expect(whole.text()).toBe('A peer is one running ')
    for (let count = 0; count < 12; count++) {
      // As it comes from a peer that tells of ids at once, and of text when it is sure.
      const { ids } = begun(open, 0, count)
      const length = Math.min(whole.text().length, begun(open, 0, count).text.length)
      const text = whole.text().slice(0, length)
      const rest = await engine.run(work, 'another', [{ choice: 0, text, ids }])
      expect(text + rest.text()).toBe(whole.text())
      expect(rest.done.finish).toEqual(['stop'])
    }
  })
})

// A model that says single bytes at random: characters are cut everywhere, and many are none.
describe('an answer of bytes', () => {
  const folder = mkdtempSync(join(tmpdir(), 'resume-'))
  let engine: Harness

  beforeAll(async () => {
    const modelPath = join(folder, 'tiny.gguf')
    writeTiny(modelPath)
    engine = await Harness.load({ modelPath, reproducible: true, contextLength: 128 })
  })
  afterAll(async () => {
    await engine.core.dispose()
    rmSync(folder, { recursive: true })
  })

  const bytes = [...Buffer.from('ab€é😀')]
  const onlyBytes = bytes.map((byte): [number, number] => [byte, 100])

  it('goes on at any token, whatever was cut there', async () => {
    const sampling = fc.record({
      temperature: fc.constantFrom(0, 0.7, 2),
      topP: fc.constantFrom(1, 0.9),
      seed: fc.nat(),
      choices: fc.integer({ min: 1, max: 3 }),
      maxTokens: fc.integer({ min: 1, max: 24 }),
      stop: fc.uniqueArray(fc.constantFrom('ab', 'a', '€', 'é😀', 'bb', '€a', 'aba'), {
        maxLength: 3,
      }),
      presencePenalty: fc.constantFrom(0, 1),
      frequencyPenalty: fc.constantFrom(0, -1, 0.5),
    })
    const prompts = fc.array(fc.constantFrom('a', 'the of', ''), { minLength: 1, maxLength: 2 })
    const run = async (asked: Partial<Sampling>, texts: string[], cuts: number[]) => {
      const work = complete(texts, { ...asked, logitBias: onlyBytes })
      const whole = await engine.run(work)
      const resume = whole.done.finish.flatMap((_, choice) => {
        const count = (cuts[choice] ?? 0) % (whole.ids(choice).length + 1)
        return count === 0 ? [] : [begun(whole, choice, count)]
      })
      await expectSame(engine, work, whole, resume)
    }
    const cuts = fc.array(fc.nat({ max: 1000 }), { minLength: 6, maxLength: 6 })
    await fc.assert(fc.asyncProperty(sampling, prompts, cuts, run))
  })

  it('goes on from less text than its ids say, cut anywhere', async () => {
    const work = complete(['the'], {
      ...{ temperature: 2, seed: 4, logitBias: onlyBytes, maxTokens: 40 },
    })
    const whole = await engine.run(work)
    for (let count = 1; count <= 40; count++) {
      const { text, ids } = begun(whole, 0, count)
      const less = [...text].slice(0, -2).join('')
      const rest = await engine.run(work, 'another', [{ choice: 0, text: less, ids }])
      expect(less + rest.text()).toBe(whole.text())
      expect(rest.ids()).toEqual(whole.ids().slice(count))
    }
  })

  it('says what was held in a frame without ids where no token can bring it', async () => {
    const work = complete(['the'], { seed: 4, logitBias: onlyBytes, maxTokens: 3 })
    const whole = await engine.run(work)
    const rest = await engine.run(work, 'another', [{ choice: 0, text: '', ids: whole.ids() }])
    expect(rest.tokens).toEqual([
      { type: 'tokens', choice: 0, index: 3, ids: [], text: whole.text() },
    ])
    expect(rest.done).toMatchObject({ finish: ['length'], usage: { outputTokens: 0 } })
  })

  it('fills the context to its last token', async () => {
    const work = complete(['the'], { logitBias: onlyBytes })
    const whole = await engine.run(work)
    const { inputTokens, outputTokens } = whole.done.usage
    expect(inputTokens + outputTokens).toBe(128)
    for (const left of [0, 1, 2]) {
      await expectSame(engine, work, whole, [begun(whole, 0, outputTokens - left)])
    }
  })
})

describe('what is there of an answer', () => {
  let engine: Harness

  beforeAll(async () => {
    engine = await Harness.load()
  })
  afterAll(async () => {
    await engine.core.dispose()
  })

  const work = ask('What is a peer?', { maxTokens: 8 })

  it('is read from the cache where it was written, and only the prompt counts as cached', async () => {
    const whole = await engine.run(work, 'mine')
    const rest = await engine.run(work, 'mine', [begun(whole, 0, 5)])
    const { inputTokens } = whole.done.usage
    expect(rest.done.usage).toEqual({ inputTokens, cachedTokens: inputTokens, outputTokens: 3 })
    expect(rest.text()).toBe(whole.text().slice(begun(whole, 0, 5).text.length))
  })

  it('is not computed again where the choice has ended', async () => {
    const whole = await engine.run(work)
    const END = 2
    const some = begun(whole, 0, 7)
    const ended: [Resume, string][] = [
      [begun(whole, 0, 8), 'length'],
      [{ ...some, ids: [...some.ids, END] }, 'stop'],
    ]
    for (const [resume, finish] of ended) {
      const rest = await engine.run(work, 'another', [resume])
      expect(rest.tokens).toEqual([])
      expect(rest.done).toMatchObject({ finish: [finish], usage: { outputTokens: 0 } })
    }
  })

  it('ends at a stop that was not looked for', async () => {
    const whole = await engine.run(work)
    const stopping = ask('What is a peer?', { maxTokens: 8, stop: ['peer'] })
    const rest = await engine.run(stopping, 'another', [begun(whole, 0, 5)])
    expect(rest.tokens).toEqual([])
    expect(rest.done.finish).toEqual(['stop'])
  })

  it.each<[string, (all: Resume) => Resume]>([
    ['ids of another vocabulary', (all) => ({ ...all, ids: [...all.ids.slice(0, 3), 2048] })],
    ['another text', (all) => ({ ...all, text: `a${all.text.slice(1)}` })],
    ['more text than its ids say', (all) => ({ ...all, ids: all.ids.slice(0, 4) })],
    ['text without ids', (all) => ({ ...all, ids: [] })],
    ['an end before its end', (all) => ({ ...all, ids: [2, ...all.ids.slice(1)] })],
    ['more tokens than were asked for', (all) => ({ ...all, text: '', ids: [...all.ids, 300] })],
    ['more than the context holds', (all) => ({ ...all, ids: Array(5000).fill(300), text: '' })],
    [
      'far less text than its ids say',
      () => ({ choice: 0, text: '', ids: Array(1000).fill(1500) }),
    ],
  ])('is refused with %s', async (_, change) => {
    const asked = ask('What is a peer?', { maxTokens: _.startsWith('far') ? 1010 : 8 })
    const whole = await engine.run(work)
    const rest = await engine.run(asked, 'another', [change(begun(whole, 0, 8))])
    expect(rest.failure).toMatchObject({ code: 'invalid_resume' })
    expect(rest.chunks).toEqual([])
  })
})
