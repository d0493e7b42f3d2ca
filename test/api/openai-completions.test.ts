import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { MarketModel } from '../../src/market/market.ts'
import type { CompletionWork, EmbeddingWork } from '../../src/wire/job.ts'
import { readEvents, startTestApi, type TestApi } from './openai-server.ts'
import { expectShape } from './openai-shapes.ts'
import { ANSWER_TEXT, vectorOf } from './scripted-engine.ts'

let api: TestApi

beforeAll(async () => {
  api = await startTestApi()
})

afterAll(() => api.stop())

interface Completion {
  choices: {
    text: string
    index: number
    finish_reason: string | null
    logprobs: Logprobs | null
  }[]
  usage?: unknown
}
interface Logprobs {
  tokens: string[]
  token_logprobs: number[]
  top_logprobs: object[]
  text_offset: number[]
}

const complete = (body: object) => api.post('/v1/completions', { model: 'test-chat', ...body })
const completed = async (body: object) => {
  const answer = await (await complete(body)).json()
  expectShape('CreateCompletionResponse', answer)
  return answer as Completion
}
const work = () => api.engine.jobs.at(-1)?.work

describe('completions', () => {
  it("have OpenAI's shape and its short default length", async () => {
    const answer = await completed({ prompt: 'a' })
    expect(answer).toMatchObject({
      object: 'text_completion',
      id: expect.stringMatching(/^cmpl-/),
      choices: [{ text: ANSWER_TEXT, index: 0, finish_reason: 'stop', logprobs: null }],
      usage: { total_tokens: 13 },
      request_id: expect.stringMatching(/^req_/),
    })
    expect((work() as CompletionWork).sampling.maxTokens).toBe(16)
  })

  it('go on from several prompts, each n times, and repeat them when asked', async () => {
    const answer = await completed({ prompt: ['a', 'b'], n: 2, max_tokens: 1, echo: true })
    expect(answer.choices.map(({ index, text }) => [index, text])).toEqual([
      [0, 'aHello'],
      [1, 'aHello'],
      [2, 'bHello'],
      [3, 'bHello'],
    ])
  })

  it('read token ids as cl100k', async () => {
    await completed({ prompt: [9906, 1917] })
    expect((work() as CompletionWork).prompts).toEqual(['Hello world'])
    await completed({ prompt: [[9906], [57668, 53901], [100257]] })
    expect((work() as CompletionWork).prompts).toEqual(['Hello', '你好', '<|endoftext|>'])
  })

  it('score tokens in four lists, offsets counted in characters', async () => {
    const { choices } = await completed({ prompt: 'a', logprobs: 2 })
    const logprobs = choices[0]?.logprobs
    expect(logprobs?.tokens.slice(3, 6)).toEqual([' f', 'bytes:\\xc3', 'bytes:\\xa9'])
    expect(logprobs?.token_logprobs).toEqual(Array(8).fill(-0.25))
    expect(logprobs?.top_logprobs[0]).toEqual({ Hello: -0.25, x: -9999 })
    expect(logprobs?.text_offset).toEqual([0, 5, 11, 12, 14, 15, 15, 34])
    expect(ANSWER_TEXT.slice(34)).toBe('STOP')
  })

  it('stream the same', async () => {
    const whole = await completed({ prompt: ['a', 'b'], echo: true })
    const { events, done } = await readEvents(
      await complete({
        prompt: ['a', 'b'],
        echo: true,
        stream: true,
        stream_options: { include_usage: true },
      }),
    )
    for (const event of events.slice(0, -1)) expect(event.usage).toBeNull()
    expect(events.at(-1)).toMatchObject({ choices: [], usage: { total_tokens: 21 } })
    const choices = (events as unknown as Completion[]).flatMap((event) => event.choices)
    for (const index of [0, 1]) {
      const own = choices.filter((choice) => choice.index === index)
      expect(own.map(({ text }) => text).join('')).toBe(whole.choices[index]?.text)
      expect(own.at(-1)?.finish_reason).toBe('stop')
    }
    expect(done).toBe(true)
  })

  it('stream the offsets of the whole', async () => {
    const whole = await completed({ prompt: 'a', logprobs: 0 })
    const { events } = await readEvents(await complete({ prompt: 'a', logprobs: 0, stream: true }))
    const offsets = (events as unknown as Completion[]).flatMap(
      ({ choices }) => choices[0]?.logprobs?.text_offset ?? [],
    )
    expect(offsets).toEqual(whole.choices[0]?.logprobs?.text_offset)
  })
})

describe('embeddings', () => {
  const embed = async (body: object) => {
    const response = await api.post('/v1/embeddings', { model: 'test-embed', ...body })
    return (await response.json()) as { data: { index: number; embedding: number[] | string }[] }
  }

  it("have OpenAI's shape, in the order of the inputs", async () => {
    const answer = await embed({ input: ['a', 'b', 'c'] })
    expectShape('CreateEmbeddingResponse', answer)
    expect(answer).toMatchObject({
      object: 'list',
      model: 'test-embed',
      usage: { prompt_tokens: 3, total_tokens: 3 },
      request_id: expect.stringMatching(/^req_/),
    })
    expect(answer.data.map(({ index, embedding }) => [index, embedding])).toEqual(
      ['a', 'b', 'c'].map((text, index) => [index, [...vectorOf(text, 8)]]),
    )
  })

  it('come as base64 exactly when asked for', async () => {
    const { data } = await embed({ input: 'a', encoding_format: 'base64' })
    const bytes = Buffer.from(String(data[0]?.embedding), 'base64')
    const numbers = Array.from({ length: 8 }, (_, at) => bytes.readFloatLE(at * 4))
    expect(numbers).toEqual([...vectorOf('a', 8)])
    for (const format of ['float', null, undefined]) {
      const floats = await embed({ input: 'a', encoding_format: format })
      expect(floats.data[0]?.embedding).toEqual(numbers)
    }
  })

  it('pass the wish for fewer dimensions down', async () => {
    const { data } = await embed({ input: 'a', dimensions: 3 })
    expect(data[0]?.embedding).toHaveLength(3)
    expect((work() as EmbeddingWork).dimensions).toBe(3)
  })

  it('fail as a whole when one vector is missing', async () => {
    const script = api.engine.script
    api.engine.script = async function* () {
      yield { type: 'vectors', first: 1, vectors: [vectorOf('b', 8)] }
      const usage = { inputTokens: 2, cachedTokens: 0, outputTokens: 0 }
      yield { type: 'done', finish: [], usage }
    }
    const response = await api.post('/v1/embeddings', { model: 'test-embed', input: ['a', 'b'] })
    api.engine.script = script
    expect(response.status).toBe(500)
    expect(await response.json()).toMatchObject({ error: { code: 'engine_failed' } })
  })
})

describe('models', () => {
  it("are listed in OpenAI's shape, with their state", async () => {
    const list = (await (await api.get('/v1/models')).json()) as { data: { id: string }[] }
    expectShape('ListModelsResponse', list)
    expect(list.data.map(({ id }) => id)).toContain('org/llama3.2:3b')
    expect(list.data.find(({ id }) => id === 'late-model')).toMatchObject({ state: 'loading' })
  })

  it('of other peers are listed beside those of this one', async () => {
    const remote: MarketModel = {
      name: 'far-model',
      id: 'cid:bafkrei',
      kind: 'embedding',
      contextLength: 8192,
      embeddingLength: 384,
      created: 1_700_000_001,
      local: undefined,
      nodes: 3,
      price: { input: 40, output: 120 },
    }
    api.market.remote.push(remote)
    const list = (await (await api.get('/v1/models')).json()) as { data: { id: string }[] }
    expectShape('ListModelsResponse', list)
    const local = { network: false, nodes: 1, owned_by: 'pinaivu-peer', state: 'ready' }
    expect(list.data[0]).toMatchObject(local)
    const far = {
      id: 'far-model',
      object: 'model',
      created: 1_700_000_001,
      owned_by: 'pinaivu-network',
      network: true,
      nodes: 3,
      demo: false,
      content_id: 'cid:bafkrei',
      kind: 'embedding',
      context_length: 8192,
      embedding_length: 384,
      price: { input: 40, output: 120 },
    }
    expect(list.data.at(-1)).toEqual(far)
    expect(await (await api.get('/v1/models/far-model')).json()).toMatchObject(far)
    api.market.remote.length = 0
  })

  it.each([
    '/v1/models/org%2Fllama3.2:3b',
    '/v1/models/org/llama3.2:3b',
    '/v1/models/org/llama3.2%3A3b',
    '/models/org%2Fllama3.2%3A3b',
  ])('are found at %s', async (path) => {
    const body = await (await api.get(path)).json()
    expectShape('Model', body)
    expect(body).toMatchObject({ id: 'org/llama3.2:3b', request_id: expect.any(String) })
  })

  it('are found by an alias, and not found by anything else', async () => {
    expect(await (await api.get('/v1/models/gpt-4o-mini')).json()).toMatchObject({
      id: 'gpt-4o-mini',
    })
    const response = await api.get('/v1/models/no%2Fmodel')
    expect(response.status).toBe(404)
    expect(await response.json()).toMatchObject({
      error: { code: 'model_not_found', message: expect.stringContaining("'no/model'") },
    })
    expect(api.market.lookedUp).toContain('no/model')
  })
})
