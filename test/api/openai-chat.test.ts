import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { ChatWork } from '../../src/wire/job.ts'
import { readEvents, startTestApi, type TestApi } from './openai-server.ts'
import { expectShape } from './openai-shapes.ts'
import { ANSWER_TEXT, talk } from './scripted-engine.ts'

let api: TestApi

beforeAll(async () => {
  api = await startTestApi()
})

beforeEach(() => {
  api.engine.script = talk
  api.engine.jobs.length = 0
})

afterAll(() => api.stop())

const messages = [{ role: 'user', content: 'Hi' }]
const chat = (body: object) =>
  api.post('/v1/chat/completions', { model: 'test-chat', messages, ...body })

/** Reads as OpenAI's answers do; what is not in their types, the schemas have checked. */
interface Answer {
  choices: {
    index: number
    message: { content: string }
    delta: { role?: string; content?: string }
    logprobs: { content: { token: string; bytes: number[]; top_logprobs: object[] }[] } | null
    finish_reason: string | null
  }[]
  usage: unknown
  [field: string]: unknown
}

const work = () => api.engine.jobs.at(-1)?.work as ChatWork

describe('an answer as a whole', () => {
  it("has OpenAI's shape, and the request's id beside it", async () => {
    const response = await chat({ model: 'gpt-4o-mini', service_tier: 'auto' })
    const body = (await response.json()) as Answer
    expectShape('CreateChatCompletionResponse', body)
    expect(body).toMatchObject({
      id: expect.stringMatching(/^chatcmpl-\w{26}$/),
      model: 'gpt-4o-mini',
      service_tier: 'default',
      system_fingerprint: expect.stringMatching(/^fp_[0-9a-f]{10}$/),
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: ANSWER_TEXT, refusal: null },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
      usage: {
        prompt_tokens: 5,
        completion_tokens: 8,
        total_tokens: 13,
        prompt_tokens_details: { cached_tokens: 2 },
      },
      request_id: response.headers.get('x-request-id'),
    })
    expect(response.headers.get('content-type')).toContain('application/json')
  })

  it('has one choice for each that was asked for, cut by limit and stop', async () => {
    const limited = (await (await chat({ n: 3, max_completion_tokens: 2 })).json()) as Answer
    expect(limited.choices.map(({ index }) => index)).toEqual([0, 1, 2])
    expect(limited.choices[2]).toMatchObject({
      message: { content: 'Hello there' },
      finish_reason: 'length',
    })
    const stopped = (await (await chat({ stop: ['STOP', '\n'] })).json()) as Answer
    expect(stopped.choices[0]?.message.content).toBe(ANSWER_TEXT.slice(0, -4))
    expect(stopped.choices[0]?.finish_reason).toBe('stop')
  })

  it('scores its tokens when asked', async () => {
    const body = (await (await chat({ logprobs: true, top_logprobs: 2 })).json()) as Answer
    expectShape('CreateChatCompletionResponse', body)
    const tokens = body.choices[0]?.logprobs?.content ?? []
    expect(Buffer.from(tokens.flatMap(({ bytes }) => bytes)).toString()).toBe(ANSWER_TEXT)
    expect(tokens[0]?.top_logprobs).toEqual([
      { token: 'Hello', bytes: [72, 101, 108, 108, 111], logprob: -0.25 },
      { token: 'x', bytes: [120], logprob: -9999 },
    ])
    const alone = (await (await chat({ logprobs: true })).json()) as Answer
    expect(alone.choices[0]?.logprobs?.content[0]?.top_logprobs).toEqual([])
  })
})

describe('a streamed answer', () => {
  it("is chunks of OpenAI's shape that add up to the whole", async () => {
    const response = await chat({ stream: true })
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
    expect(response.headers.get('cache-control')).toBe('no-cache, no-transform')
    expect(response.headers.get('x-accel-buffering')).toBe('no')
    const { events, done } = await readEvents(response)
    expect(done).toBe(true)
    for (const event of events) {
      expectShape('CreateChatCompletionStreamResponse', event)
      expect(event).toMatchObject({
        id: events[0]?.id,
        created: events[0]?.created,
        request_id: response.headers.get('x-request-id'),
      })
      expect(event).not.toHaveProperty('usage')
    }
    const choices = (events as Answer[]).map((event) => event.choices[0])
    expect(choices[0]?.delta).toEqual({ role: 'assistant', content: '', refusal: null })
    expect(choices.slice(1).every((choice) => choice?.delta.role === undefined)).toBe(true)
    expect(choices.map((choice) => choice?.delta.content ?? '').join('')).toBe(ANSWER_TEXT)
    expect(choices.at(-1)).toMatchObject({ delta: {}, finish_reason: 'stop' })
    expect(choices.slice(0, -1).every((choice) => choice?.finish_reason === null)).toBe(true)
  })

  it('tells the usage last, in a chunk without choices, and only when asked', async () => {
    const { events } = await readEvents(
      await chat({ stream: true, stream_options: { include_usage: true } }),
    )
    expect(events.slice(0, -1).every(({ usage }) => usage === null)).toBe(true)
    expect(events.at(-1)).toMatchObject({ choices: [], usage: { total_tokens: 13 } })
    expectShape('CreateChatCompletionStreamResponse', events.at(-1))
  })

  it('keeps its choices apart', async () => {
    const { events } = await readEvents(await chat({ stream: true, n: 2, stop: 'STOP' }))
    for (const index of [0, 1]) {
      const own = (events as Answer[])
        .flatMap(({ choices }) => choices)
        .filter((choice) => choice.index === index)
      expect(own[0]?.delta.role).toBe('assistant')
      expect(own.map(({ delta }) => delta.content ?? '').join('')).toBe(ANSWER_TEXT.slice(0, -4))
      expect(own.filter((choice) => choice.finish_reason !== null)).toHaveLength(1)
    }
  })

  it('scores the tokens of each chunk', async () => {
    const response = await chat({ stream: true, logprobs: true, top_logprobs: 1 })
    const { events } = await readEvents(response)
    for (const event of events) expectShape('CreateChatCompletionStreamResponse', event)
    const bytes = (events as Answer[])
      .flatMap(({ choices }) => choices[0]?.logprobs?.content ?? [])
      .flatMap((token) => token.bytes)
    expect(Buffer.from(bytes).toString()).toBe(ANSWER_TEXT)
  })

  it('gives every short chunk the same length when it is to be obfuscated', async () => {
    const options = { include_obfuscation: true }
    const { events } = await readEvents(await chat({ stream: true, stream_options: options }))
    const lengths = (events as Answer[]).map(({ choices, obfuscation }) => {
      const content = Buffer.byteLength(choices[0]?.delta.content ?? '')
      return content > 0 && content < 16 ? content + String(obfuscation).length : undefined
    })
    expect(new Set(lengths.filter((length) => length !== undefined))).toEqual(new Set([16]))
  })

  it('has a beginning and an end even without a word in between', async () => {
    api.engine.script = async function* () {
      const usage = { inputTokens: 1, cachedTokens: 0, outputTokens: 0 }
      yield { type: 'done', finish: ['stop'], usage }
    }
    const { events, done } = await readEvents(await chat({ stream: true }))
    expect((events as Answer[]).map(({ choices }) => choices[0]?.delta)).toEqual([
      { role: 'assistant', content: '', refusal: null },
      {},
    ])
    expect(done).toBe(true)
  })
})

describe('what goes down to the engine', () => {
  it('is our own words for what was asked', async () => {
    await chat({
      messages: [
        { role: 'developer', content: 'Be brief.' },
        {
          role: 'user',
          name: 'Ann',
          content: [
            { type: 'text', text: 'a' },
            { type: 'text', text: 'b' },
          ],
        },
        { role: 'assistant', content: '', refusal: null, tool_calls: [], annotations: [] },
      ],
      temperature: 0,
      top_p: 0.5,
      seed: -1,
      n: 2,
      stop: 'x',
      max_tokens: 7,
      presence_penalty: -2,
      frequency_penalty: 1.5,
      logit_bias: { 42: -100, 7: 0.5 },
      logprobs: true,
      top_logprobs: 20,
    })
    expect(api.engine.jobs[0]).toEqual({
      id: expect.stringMatching(/^job_\w{26}$/),
      model: 'test-chat',
      cacheScope: 'acct_1',
      origin: {
        requestId: expect.stringMatching(/^req_\w{26}$/),
        account: 'acct_1',
        keyId: 'key_1',
        endpoint: '/v1/chat/completions',
      },
      work: {
        kind: 'chat',
        messages: [
          { role: 'system', content: 'Be brief.' },
          { role: 'user', content: 'a\nb' },
          { role: 'assistant', content: '' },
        ],
        sampling: {
          temperature: 0,
          topP: 0.5,
          seed: 0xffffffff,
          choices: 2,
          stop: ['x'],
          maxTokens: 7,
          presencePenalty: -2,
          frequencyPenalty: 1.5,
          logitBias: [
            [7, 0.5],
            [42, -100],
          ],
          logprobs: 20,
        },
      },
    })
  })

  it('has defaults where nothing or null was said, and another seed each time', async () => {
    await chat({ temperature: null, top_p: null, seed: null, n: null, stop: null, stream: null })
    const { seed, ...sampling } = work().sampling
    expect(sampling).toEqual({
      temperature: 0.7,
      topP: 1,
      choices: 1,
      stop: [],
      presencePenalty: 0,
      frequencyPenalty: 0,
      logitBias: [],
    })
    await chat({})
    expect(work().sampling.seed).not.toBe(seed)
  })

  it('is not touched by fields that only inform', async () => {
    const response = await chat({
      user: 'u',
      metadata: { a: 'b' },
      store: true,
      service_tier: 'flex',
      safety_identifier: 's',
      prompt_cache_key: 'k',
      prompt_cache_retention: '24h',
      prompt_cache_options: { ttl: '30m' },
      moderation: { model: 'm' },
      verbosity: 'low',
      parallel_tool_calls: true,
      tool_choice: 'none',
      tools: [],
      response_format: { type: 'text' },
      modalities: ['text'],
      reasoning_effort: 'none',
      jurisdiction: null,
    })
    expect(response.status).toBe(200)
  })
})
