import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { ChatOpenAI, OpenAIEmbeddings } from '@langchain/openai'
import { embed, embedMany, generateText, streamText } from 'ai'
import OpenAI from 'openai'
import PreviousOpenAI from 'openai-v6'
import { describe, expect, it } from 'vitest'

export interface ClientPeer {
  /** With `/v1`. */
  baseURL: string
  apiKey: string
  chatModel: string
  embedModel: string
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}

const messages = [{ role: 'user' as const, content: 'Say hello.' }]

/** What users' programs do, with the libraries they do it with, unmodified. */
export function openaiClientSuite(getPeer: () => ClientPeer): void {
  openaiTests('openai', getPeer, (options) => new OpenAI(options))
  openaiTests(
    'openai, the major version before',
    getPeer,
    // Its types are its own; what is called here is the same in both.
    (options) => new PreviousOpenAI(options) as unknown as OpenAI,
  )
  describe('ai with @ai-sdk/openai-compatible', () => aiTests(getPeer))
  describe('@langchain/openai', () => langchainTests(getPeer))
}

type Connect = (options: { baseURL: string; apiKey: string; maxRetries?: number }) => OpenAI

function openaiTests(name: string, getPeer: () => ClientPeer, connect: Connect): void {
  describe(name, () => {
    openaiChatTests(getPeer, connect)
    openaiEmbeddingTests(getPeer, connect)
    openaiErrorTests(getPeer, connect)
  })
}

function openaiChatTests(getPeer: () => ClientPeer, connect: Connect): void {
  it('chats', async () => {
    const peer = getPeer()
    const client = connect(peer)
    const answer = await client.chat.completions.create({
      model: peer.chatModel,
      messages,
      max_tokens: 8,
    })
    expect(answer.choices[0]?.message.role).toBe('assistant')
    expect(answer.choices[0]?.message.content).not.toBe('')
    expect(['stop', 'length']).toContain(answer.choices[0]?.finish_reason)
    expect(answer.usage?.completion_tokens).toBeGreaterThan(0)
    expect(answer._request_id).toMatch(/^req_[0-9a-hjkmnp-tv-z]{26}$/)
    expect(answer).toHaveProperty('request_id', answer._request_id)
  })

  it('takes an earlier answer back as it came', async () => {
    const peer = getPeer()
    const client = connect(peer)
    const first = await client.chat.completions.create({
      model: peer.chatModel,
      messages,
      max_tokens: 4,
    })
    const said = first.choices[0]?.message
    if (said === undefined) throw new Error('no answer')
    const second = await client.chat.completions.create({
      model: peer.chatModel,
      messages: [...messages, said, { role: 'user', content: [{ type: 'text', text: 'Again.' }] }],
      max_tokens: 4,
    })
    expect(second.choices).toHaveLength(1)
  })

  it('streams to its end, the usage last', async () => {
    const peer = getPeer()
    const stream = await connect(peer).chat.completions.create({
      model: peer.chatModel,
      messages,
      max_tokens: 8,
      stream: true,
      stream_options: { include_usage: true },
    })
    const chunks = await all(stream)
    expect(chunks[0]?.choices[0]?.delta.role).toBe('assistant')
    expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')).not.toBe('')
    expect(chunks.at(-2)?.choices[0]?.finish_reason).toBeTypeOf('string')
    expect(chunks.at(-1)?.choices).toEqual([])
    expect(chunks.at(-1)?.usage?.completion_tokens).toBeGreaterThan(0)
  })

  it('repeats itself with one seed, streamed or not', async () => {
    const peer = getPeer()
    const client = connect(peer)
    const request = { model: peer.chatModel, messages, max_tokens: 8, seed: 42, temperature: 0 }
    const whole = await client.chat.completions.create(request)
    const runner = client.chat.completions.stream(request)
    expect(await runner.finalContent()).toBe(whole.choices[0]?.message.content)
  })

  it('completes plain text', async () => {
    const peer = getPeer()
    const answer = await connect(peer).completions.create({
      model: peer.chatModel,
      prompt: ['Once upon', 'a time'],
      max_tokens: 4,
    })
    expect(answer.choices.map(({ index }) => index)).toEqual([0, 1])
  })

  it('goes on after a stream that was left in the middle', async () => {
    const peer = getPeer()
    const client = connect(peer)
    const stop = new AbortController()
    const stream = await client.chat.completions.create(
      { model: peer.chatModel, messages, stream: true },
      { signal: stop.signal },
    )
    let chunks = 0
    for await (const _chunk of stream) if (++chunks === 2) stop.abort()
    expect(chunks).toBeGreaterThanOrEqual(2)
    const again = { model: peer.chatModel, messages, max_tokens: 2 }
    expect((await client.chat.completions.create(again)).choices).toHaveLength(1)
  })
}

function openaiEmbeddingTests(getPeer: () => ClientPeer, connect: Connect): void {
  it('embeds, with the base64 it asks for by itself and with floats', async () => {
    const { embedModel: model, ...peer } = getPeer()
    const client = connect(peer)
    const input = ['first text', 'second text']
    const byDefault = await client.embeddings.create({ model, input })
    const asFloats = await client.embeddings.create({ model, input, encoding_format: 'float' })
    const vectors = byDefault.data.map(({ embedding }) => [...embedding])
    expect(vectors[0]?.length).toBeGreaterThan(0)
    expect(Math.hypot(...(vectors[0] ?? []))).toBeCloseTo(1, 3)
    expect(vectors[0]).not.toEqual(vectors[1])
    for (const [at, { embedding }] of asFloats.data.entries()) {
      expect(embedding.length).toBe(vectors[at]?.length)
      for (const [n, value] of embedding.entries()) expect(value).toBeCloseTo(vectors[at]?.[n] ?? 9)
    }
  })

  it('embeds token ids as the text they stand for', async () => {
    const { embedModel: model, ...peer } = getPeer()
    const client = connect(peer)
    const ids = await client.embeddings.create({ model, input: [[9906, 1917]] })
    const text = await client.embeddings.create({ model, input: 'Hello world' })
    const [fromIds = [], fromText = []] = [ids.data[0]?.embedding, text.data[0]?.embedding]
    expect(fromIds.length).toBeGreaterThan(0)
    for (const [n, value] of fromIds.entries()) expect(value).toBeCloseTo(fromText[n] ?? 9)
  })

  it('lists and retrieves models', async () => {
    const peer = getPeer()
    const client = connect(peer)
    const ids = (await all(client.models.list())).map(({ id }) => id)
    expect(ids).toEqual(expect.arrayContaining([peer.chatModel, peer.embedModel]))
    expect((await client.models.retrieve(peer.chatModel)).id).toBe(peer.chatModel)
  })
}

function openaiErrorTests(getPeer: () => ClientPeer, connect: Connect): void {
  it('meets errors of the classes it knows', async () => {
    const peer = getPeer()
    const client = connect(peer)
    const ask = (body: object, from = client) =>
      from.chat.completions.create({ model: peer.chatModel, messages, ...body })
    await expect(ask({}, connect({ ...peer, apiKey: 'sk-wrong' }))).rejects.toMatchObject({
      status: 401,
      code: 'invalid_api_key',
      type: 'authentication_error',
    })
    await expect(ask({ model: 'no-such-model' })).rejects.toMatchObject({
      status: 404,
      code: 'model_not_found',
      param: 'model',
    })
    await expect(ask({ temperature: 3 })).rejects.toMatchObject({
      status: 400,
      type: 'invalid_request_error',
      param: 'temperature',
    })
    const tools = [{ type: 'function' as const, function: { name: 'f' } }]
    await expect(ask({ stream: true, tools, logprobs: true })).rejects.toMatchObject({
      status: 400,
      code: 'unsupported_parameter',
      param: 'logprobs',
    })
  })
}

function aiTests(getPeer: () => ClientPeer): void {
  const provider = (apiKey = getPeer().apiKey) =>
    createOpenAICompatible({
      name: 'peer',
      baseURL: getPeer().baseURL,
      apiKey,
      includeUsage: true,
    })

  it('generates text', async () => {
    const model = provider().chatModel(getPeer().chatModel)
    const answer = await generateText({ model, prompt: 'Say hello.', maxOutputTokens: 8 })
    expect(answer.text).not.toBe('')
    expect(answer.usage.outputTokens).toBeGreaterThan(0)
  })

  it('streams text without one part that it cannot read', async () => {
    const model = provider().chatModel(getPeer().chatModel)
    const result = streamText({ model, prompt: 'Say hello.', maxOutputTokens: 8 })
    const parts = await all(result.fullStream)
    expect(parts.filter(({ type }) => type === 'error')).toEqual([])
    expect(await result.text).not.toBe('')
    expect((await result.usage).outputTokens).toBeGreaterThan(0)
  })

  it('embeds one and many', async () => {
    const model = provider().embeddingModel(getPeer().embedModel)
    const { embedding } = await embed({ model, value: 'a text' })
    expect(embedding.length).toBeGreaterThan(0)
    const { embeddings } = await embedMany({ model, values: ['a text', 'another'] })
    expect(embeddings).toHaveLength(2)
    for (const [n, value] of embedding.entries()) expect(value).toBeCloseTo(embeddings[0]?.[n] ?? 9)
  })

  it('shows the message of an error', async () => {
    const ask = (model: string, key?: string) =>
      generateText({ model: provider(key).chatModel(model), prompt: 'Hi', maxRetries: 0 })
    await expect(ask('no-such-model')).rejects.toMatchObject({
      statusCode: 404,
      message: expect.stringContaining('no-such-model'),
    })
    await expect(ask(getPeer().chatModel, 'sk-wrong')).rejects.toMatchObject({ statusCode: 401 })
  })

  it('stops a stream', async () => {
    const stop = new AbortController()
    const model = provider().chatModel(getPeer().chatModel)
    const result = streamText({ model, prompt: 'Say hello.', abortSignal: stop.signal })
    const types: string[] = []
    for await (const { type } of result.fullStream) {
      types.push(type)
      if (type === 'text-delta') stop.abort()
    }
    expect(types).toContain('text-delta')
    expect(types.at(-1)).toBe('abort')
  })
}

function langchainTests(getPeer: () => ClientPeer): void {
  const chat = (more: object = {}) => {
    const { apiKey, baseURL, chatModel: model } = getPeer()
    return new ChatOpenAI({
      apiKey,
      model,
      maxTokens: 8,
      maxRetries: 0,
      configuration: { baseURL },
      ...more,
    })
  }

  it('invokes', async () => {
    const answer = await chat().invoke('Say hello.')
    expect(answer.content).not.toBe('')
    expect(answer).toHaveProperty('usage_metadata.output_tokens', expect.any(Number))
  })

  it('streams, the usage with it', async () => {
    const chunks = await all(await chat().stream('Say hello.'))
    expect(chunks.map(({ content }) => content).join('')).not.toBe('')
    const usage = expect.objectContaining({ output_tokens: expect.any(Number) })
    expect(chunks).toContainEqual(expect.objectContaining({ usage_metadata: usage }))
  })

  it('embeds documents into vectors that are not empty', async () => {
    const { apiKey, baseURL, embedModel: model } = getPeer()
    const embeddings = new OpenAIEmbeddings({ apiKey, model, configuration: { baseURL } })
    const [first = [], second = []] = await embeddings.embedDocuments(['a text', 'another'])
    expect(first.length).toBeGreaterThan(0)
    expect(second).toHaveLength(first.length)
    const query = await embeddings.embedQuery('a text')
    for (const [n, value] of query.entries()) expect(value).toBeCloseTo(first[n] ?? 9)
  })

  it('meets errors', async () => {
    await expect(chat({ apiKey: 'sk-wrong' }).invoke('Hi')).rejects.toMatchObject({ status: 401 })
    await expect(chat({ model: 'no-such-model' }).invoke('Hi')).rejects.toMatchObject({
      status: 404,
    })
  })

  it('stops a stream', async () => {
    const stop = new AbortController()
    const stream = await chat({ maxTokens: undefined }).stream('Hi', { signal: stop.signal })
    const read = async () => {
      for await (const chunk of stream) if (chunk.content !== '') stop.abort()
    }
    await expect(read()).rejects.toThrow(/abort/i)
  })
}
