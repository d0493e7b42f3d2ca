import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { streamText } from 'ai'
import OpenAI from 'openai'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { BusyError, PeerError } from '../../src/base/errors.ts'
import { startTestApi, type TestApi } from './openai-server.ts'
import { talk } from './scripted-engine.ts'

// What real clients do that no schema tells. The other traps are in the suite of clients.

let api: TestApi
let client: OpenAI

beforeAll(async () => {
  api = await startTestApi()
  client = new OpenAI({ baseURL: api.baseURL, apiKey: api.apiKey })
})

beforeEach(() => {
  api.engine.script = talk
  api.engine.jobs.length = 0
})

afterAll(() => api.stop())

const request = { model: 'test-chat', messages: [{ role: 'user' as const, content: 'Hi' }] }

describe('retries by clients', () => {
  it('come after a failure that may pass', async () => {
    api.engine.script = (job, signal) => {
      if (api.engine.jobs.length === 1) throw new BusyError('Full.', 1)
      return talk(job, signal)
    }
    const answer = await client.chat.completions.create(request)
    expect(answer.choices).toHaveLength(1)
    expect(api.engine.jobs).toHaveLength(2)
  })

  it('do not come after one that will not', async () => {
    api.engine.script = () => {
      throw new PeerError('context_length_exceeded', 'Too long.', { param: 'messages' })
    }
    await expect(client.chat.completions.create(request)).rejects.toMatchObject({ status: 400 })
    expect(api.engine.jobs).toHaveLength(1)
  })

  it('are never told to wait for minutes', async () => {
    api.engine.script = () => {
      throw new BusyError('Full.', 600_000)
    }
    const response = await api.post('/v1/chat/completions', request)
    expect(Number(response.headers.get('retry-after'))).toBeLessThanOrEqual(60)
    expect(response.headers.get('x-should-retry')).toBe('true')
  })
})

describe('names of models', () => {
  it('arrive with their slash encoded', async () => {
    expect((await client.models.retrieve('org/llama3.2:3b')).id).toBe('org/llama3.2:3b')
  })

  it("may be OpenAI's own, for clients that know no others", async () => {
    const answer = await client.chat.completions.create({ ...request, model: 'gpt-4o-mini' })
    expect(answer.model).toBe('gpt-4o-mini')
    expect(api.engine.jobs[0]?.model).toBe('test-chat')
  })
})

it('a base address without /v1 works too', async () => {
  const plain = new OpenAI({ baseURL: api.origin, apiKey: api.apiKey })
  expect((await plain.chat.completions.create(request)).choices).toHaveLength(1)
  expect((await plain.models.list()).data.length).toBeGreaterThan(0)
})

it('a page in a browser may send the headers that the client adds', async () => {
  const response = await fetch(`${api.baseURL}/chat/completions`, {
    method: 'OPTIONS',
    headers: {
      origin: 'http://localhost:5173',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,content-type,openai-project,x-stainless-os',
    },
  })
  expect(response.headers.get('access-control-allow-origin')).toBe('http://localhost:5173')
  expect(response.headers.get('access-control-allow-headers')).toContain('x-stainless-os')
})

it("an error in the middle is an error part of the AI SDK's stream", async () => {
  api.engine.script = async function* () {
    yield { type: 'tokens', choice: 0, index: 0, ids: [1], text: 'a' }
    throw new BusyError('The engine died.')
  }
  const { baseURL, apiKey } = api
  const provider = createOpenAICompatible({ name: 'peer', baseURL, apiKey })
  const model = provider.chatModel('test-chat')
  const types: string[] = []
  const errors: unknown[] = []
  const result = streamText({ model, prompt: 'Hi', maxRetries: 0, onError: () => {} })
  for await (const part of result.fullStream) {
    types.push(part.type)
    if (part.type === 'error') errors.push(part.error)
  }
  expect(types).toContain('text-delta')
  expect(errors).toHaveLength(1)
  expect(JSON.stringify(errors) + String(errors[0])).toContain('The engine died.')
})

it('what the network adds to an answer is readable and in nobody’s way', async () => {
  const { data, response } = await client.chat.completions.create(request).withResponse()
  expect(data).toHaveProperty('request_id', response.headers.get('x-request-id'))
  const stream = await client.chat.completions.create({ ...request, stream: true })
  for await (const chunk of stream) expect(chunk).toHaveProperty('request_id')
})

it('usage in the stream is nobody’s problem who did not ask for it', async () => {
  const stream = await client.chat.completions.create({ ...request, stream: true })
  for await (const chunk of stream) expect(chunk.choices).toHaveLength(1)
})
