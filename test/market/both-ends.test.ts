import { describe, expect, it } from 'vitest'
import type { Chunk, TokenLogprob } from '../../src/wire/chunk.ts'
import type { Job, Work } from '../../src/wire/job.ts'
import { ANSWER_TEXT, endless, ScriptedEngine, silence, vectorOf } from '../api/scripted-engine.ts'
import { settled } from '../base/fake-clock.ts'
import { bothEnds } from './both-ends-stage.ts'
import { chat, jobOf, signal } from './coordinator-stage.ts'

/** The wire has finite numbers only. */
function finite(scored: TokenLogprob): TokenLogprob {
  const clamp = <T extends { logprob: number }>(each: T) => ({
    ...each,
    logprob: Math.max(-9_999, each.logprob),
  })
  return { ...clamp(scored), top: scored.top.map(clamp) }
}

async function locally(engine: ScriptedEngine, job: Job): Promise<Chunk[]> {
  const chunks: Chunk[] = []
  for await (const chunk of engine.generate(job, { signal })) chunks.push(chunk)
  return chunks
}

describe('between a coordinator and a provider', () => {
  const works: [what: string, work: Work][] = [
    ['a chat', chat({ maxTokens: 100 })],
    ['several choices', chat({ choices: 3 })],
    ['log-probabilities', chat({ logprobs: 2 })],
    ['a limit', chat({ maxTokens: 2 })],
    [
      'completions',
      {
        kind: 'completion',
        prompts: ['a', 'b'],
        sampling: (chat() as Extract<Work, { kind: 'chat' }>).sampling,
      },
    ],
  ]
  it.each(works)('%s is the same', async (_w, work) => {
    const { collect, theirEngine, faults, clock } = await bothEnds()
    const wait = collect({ model: 'theirs', work })
    await clock.advance(100)
    const answer = await wait
    const expected = await locally(theirEngine, jobOf({ work }))
    const byChoice = (chunks: readonly Chunk[]) =>
      Object.groupBy(
        chunks.filter((chunk) => chunk.type === 'tokens'),
        ({ choice }) => choice,
      )
    const text = (chunks: readonly Chunk[]) =>
      Object.values(byChoice(chunks)).map((of) => ({
        text: of?.map((chunk) => chunk.text).join(''),
        ids: of?.flatMap(({ ids }) => ids),
        logprobs: of?.flatMap(({ logprobs }) => logprobs?.map(finite) ?? []),
      }))
    expect(text(answer.chunks)).toEqual(text(expected))
    const { receipt: _receipt, ...done } = answer.done
    expect(done).toEqual(expected.at(-1))
    expect(faults()).toEqual([])
  })

  it('embeddings are the same', async () => {
    const { collect, list, theirs, models, peerId } = await bothEnds()
    const model = { name: 'theirs-e', id: models.embed, kind: 'embedding', embeddingLength: 8 }
    list(theirs, { model })
    const work: Work = { kind: 'embedding', inputs: ['a', 'b', 'c'] }
    const { chunks, routed } = await collect({ model: 'theirs-e', work })
    expect(routed.node.id).toBe(peerId)
    const vectors: Float32Array[] = []
    for (const chunk of chunks) {
      if (chunk.type === 'vectors')
        for (const [at, v] of chunk.vectors.entries()) vectors[chunk.first + at] = v
    }
    expect(vectors).toEqual(['a', 'b', 'c'].map((text) => vectorOf(text, 8)))
  })

  it('an abort stops the engine over there', async () => {
    const { coordinator, theirEngine, clock, provider, faults } = await bothEnds()
    theirEngine.script = endless
    const leaving = new AbortController()
    let tokens = 0
    let last: Chunk | undefined
    const work = chat({ maxTokens: 500 })
    const reading = (async () => {
      for await (const chunk of coordinator.generate(jobOf({ model: 'theirs', work }), leaving)) {
        last = chunk
        if (chunk.type === 'tokens') tokens += chunk.ids.length
        if (tokens > 20) leaving.abort()
      }
    })()
    while (last?.type !== 'done') await clock.advance(10)
    await reading
    expect(last.usage.outputTokens).toBe(tokens)
    await settled()
    expect(theirEngine.running).toBe(0)
    expect(provider.status().open).toBe(0)
    expect(faults()).toEqual([])
  })

  it('a queue over there is waited in', async () => {
    const { collect, theirEngine, clock, faults } = await bothEnds({ slots: 1 })
    theirEngine.script = async function* (job) {
      yield { type: 'accepted', inputTokens: 5 }
      await clock.sleep(6_000, signal)
      yield* answer(job)
    }
    // One that is known may have more than one open.
    const warm = Array.from({ length: 2 }, () => collect({ model: 'theirs' }))
    await clock.advance(15_000)
    await Promise.all(warm)
    const answers = Array.from({ length: 2 }, () => collect({ model: 'theirs' }))
    await clock.advance(15_000)
    for (const { outcomes } of await Promise.all(answers)) expect(outcomes).toEqual(['ok'])
    expect(faults()).toEqual([])
  })

  it('an allowance grows until all go at once', async () => {
    const { collect, clock, theirEngine, faults } = await bothEnds({ slots: 64 })
    theirEngine.script = async function* (job) {
      yield { type: 'accepted', inputTokens: 5 }
      await clock.sleep(50, signal)
      yield* answer(job)
    }
    let failed = 0
    for (let round = 0; round < 3; round++) {
      const answers = Array.from({ length: 8 }, () =>
        collect({ model: 'theirs' }).catch(() => failed++),
      )
      await clock.advance(2_000)
      await Promise.all(answers)
    }
    expect(failed).toBe(0)
    expect(theirEngine.jobs).toHaveLength(24)
    const before = clock.elapsed()
    const last = Array.from({ length: 8 }, () => collect({ model: 'theirs' }))
    let done = 0
    for (const each of last) each.then(() => done++)
    await clock.advance(60)
    expect(done).toBe(8)
    expect(clock.elapsed() - before).toBe(60)
    expect(faults()).toEqual([])
  })

  it('a long silence of the engine is none of the provider', async () => {
    const { collect, clock, theirEngine } = await bothEnds()
    theirEngine.script = silence
    const wait = collect({ model: 'theirs' })
    const refused = expect(wait).rejects.toMatchObject({ code: 'first_byte_timeout' })
    await clock.advance(21_000)
    await refused
    await settled()
    expect(theirEngine.running).toBe(0)
  })

  it('the end of the provider is no end of the answer', async () => {
    const { collect, provider, clock, theirEngine } = await bothEnds()
    theirEngine.script = async function* (job) {
      yield { type: 'accepted', inputTokens: 5 }
      await clock.sleep(500, signal)
      yield* answer(job)
    }
    const wait = collect({ model: 'theirs' })
    await clock.advance(100)
    const stopping = provider.stop()
    await clock.advance(1_500)
    await stopping
    expect((await wait).text).toBe(ANSWER_TEXT)
    await expect(collect({ model: 'theirs' })).rejects.toMatchObject({ code: 'no_nodes_available' })
  })
})

async function* answer(job: Job): AsyncGenerator<Chunk> {
  const engine = new ScriptedEngine()
  for await (const chunk of engine.generate(job, { signal })) {
    if (chunk.type !== 'accepted') yield chunk
  }
}
