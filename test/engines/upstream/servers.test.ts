import { describe, expect, it } from 'vitest'
import type { Chunk } from '../../../src/wire/chunk.ts'
import type { CompletionWork } from '../../../src/wire/job.ts'
import { fakeLlamaServer } from './fake-llama-server.ts'
import { fakeLmStudio } from './fake-lm-studio.ts'
import { fakeOllama, OLLAMA_WORDS } from './fake-ollama.ts'
import { fakeSglang, SGLANG_WORDS } from './fake-sglang.ts'
import { fakeVllm, VLLM_MODEL, VLLM_PROMPT_TOKENS, VLLM_WORDS } from './fake-vllm.ts'
import {
  answer,
  chat,
  engineOver,
  fault,
  jobOf,
  PEER_ID,
  readyEngine,
  sampling,
  until,
} from './stage.ts'

const completion = (prompts: string[], more: object = {}): CompletionWork => ({
  kind: 'completion',
  prompts,
  sampling: { ...sampling, ...more },
})

const embedding = (inputs: string[], dimensions?: number) =>
  jobOf({ kind: 'embedding', inputs, ...(dimensions !== undefined && { dimensions }) })

describe('vLLM', () => {
  const open = async (options = {}) => {
    const server = await fakeVllm(options).start()
    return { server, engine: await readyEngine(server) }
  }

  it('is known by what it lists', async () => {
    const { engine } = await open()
    expect(engine.status()).toMatchObject([
      {
        name: 'up',
        id: `declared:up@${PEER_ID}`,
        state: 'ready',
        slots: 64,
        capabilities: ['chat', 'completion', 'logprobs', 'json'],
        facts: { kind: 'chat', contextLength: 4096 },
      },
    ])
    // By the name that its server has for it, too.
    expect(engine.resolve('up')?.name).toBe('up')
    expect(engine.resolve('constructor')).toBeUndefined()
  })

  it('writes a chat, and counts the prompt before the first token', async () => {
    const { engine } = await open()
    const { text, tokens, done, accepted } = await answer(engine)
    expect(text).toBe(VLLM_WORDS.join(''))
    expect(tokens.map(({ ids }) => ids)).toEqual(VLLM_WORDS.map(() => [0]))
    expect(accepted).toBe(VLLM_PROMPT_TOKENS)
    expect(done).toEqual({
      type: 'done',
      finish: ['stop'],
      usage: { inputTokens: 31, cachedTokens: 0, outputTokens: VLLM_WORDS.length },
    })
  })

  it('is asked for what the job asks for', async () => {
    const { engine, server } = await open()
    const options = {
      temperature: 0.2,
      topP: 0,
      seed: 2 ** 32 - 1,
      maxTokens: 3,
      stop: ['\n', 'x'],
    }
    const more = {
      presencePenalty: 0.5,
      frequencyPenalty: -1,
      logitBias: [[7, -100]] as [number, number][],
    }
    const { done } = await answer(engine, jobOf(chat({ ...options, ...more })))
    expect(done.finish).toEqual(['length'])
    expect(server.last('/v1/chat/completions').body).toEqual({
      model: VLLM_MODEL,
      messages: [{ role: 'user', content: 'What is a peer?' }],
      temperature: 0.2,
      top_p: 1e-6,
      seed: 2 ** 31 - 1,
      max_tokens: 3,
      stop: ['\n', 'x'],
      presence_penalty: 0.5,
      frequency_penalty: -1,
      logit_bias: { 7: -100 },
      stream: true,
      stream_options: { include_usage: true, continuous_usage_stats: true },
      cache_salt: expect.stringMatching(/^[0-9a-f]{64}$/),
    })
  })

  it('keeps the caches of two accounts apart, and those of one together', async () => {
    const { engine, server } = await open()
    const saltOf = async (cacheScope: string) => {
      await answer(engine, jobOf(chat(), { cacheScope }))
      return server.last('/v1/chat/completions').body.cache_salt
    }
    const [one, again, other] = [await saltOf('a'), await saltOf('a'), await saltOf('b')]
    expect(again).toBe(one)
    expect(other).not.toBe(one)
  })

  it('counts the tokens of a chunk that has several', async () => {
    const { engine } = await open({ perChunk: 3 })
    const { tokens, done } = await answer(engine)
    expect(tokens.map(({ index, ids }) => [index, ids.length])).toEqual([
      [0, 3],
      [3, 3],
      [6, 1],
    ])
    expect(done.usage.outputTokens).toBe(7)
  })

  it('tells how likely each token was', async () => {
    const { engine } = await open()
    const { tokens } = await answer(engine, jobOf(chat({ logprobs: 2 })))
    expect(tokens[1]?.logprobs).toMatchObject([
      { token: ' peer', logprob: -0.5, top: [{ token: ' peer' }, { token: 'other' }] },
    ])
    const plain = await answer(engine, jobOf(completion(['So'], { logprobs: 1 })))
    expect(plain.tokens.map(({ logprobs }) => logprobs?.length)).toEqual([1, 1, 1, 1, 1, 1, 1])
  })

  it('writes several answers to several prompts, each on its own', async () => {
    const { engine, server } = await open()
    const job = jobOf(completion(['one', 'two'], { choices: 2, maxTokens: 2 }))
    const { tokens, done, accepted } = await answer(engine, job)
    const asked = server.asked.filter(({ path }) => path === '/v1/completions')
    expect(asked.map(({ body }) => [body.prompt, body.seed])).toEqual([
      ['one', 7],
      ['one', 8],
      ['two', 7],
      ['two', 8],
    ])
    for (const choice of [0, 1, 2, 3]) {
      const text = tokens.filter((each) => each.choice === choice).map((each) => each.text)
      expect(text.join('')).toBe('A peer')
    }
    // Each prompt is paid for once; before the end nobody knows them all.
    expect(accepted).toBe(0)
    expect(done).toMatchObject({
      finish: ['length', 'length', 'length', 'length'],
      usage: { inputTokens: 2 * 31, outputTokens: 8 },
    })
  })

  it('is used over connections that are kept', async () => {
    const { engine, server } = await open()
    const before = server.connections
    for (let n = 0; n < 10; n++) await answer(engine)
    expect(server.connections - before).toBeLessThanOrEqual(1)
  })

  it('is told by the end of its connection that nobody wants the rest', async () => {
    const leaving = new AbortController()
    const { engine, server } = await open({
      pace: (chunk: number) => (chunk < 2 ? undefined : new Promise<void>(() => {})),
    })
    const chunks: Chunk[] = []
    for await (const chunk of engine.generate(jobOf(), leaving)) {
      chunks.push(chunk)
      if (chunk.type === 'tokens' && chunk.index === 1) leaving.abort()
    }
    const usage = { inputTokens: 31, cachedTokens: 0, outputTokens: 2 }
    expect(chunks.at(-1)).toEqual({ type: 'done', finish: ['cancelled'], usage })
    await expect.poll(() => server.gone).toBe(1)
  })

  it('is not asked at all by a job that was given up before', async () => {
    const { engine, server } = await open()
    const { done } = await answer(engine, jobOf(), AbortSignal.abort())
    expect(done.finish).toEqual(['cancelled'])
    expect(server.asked.some(({ body }) => body.stream === true)).toBe(false)
  })

  it('goes on with nobody else’s answer, and guesses for nobody', async () => {
    const { engine } = await open()
    const resume = [{ choice: 0, text: 'A', ids: [1] }]
    expect(await fault(engine, jobOf(chat(), { resume }))).toMatchObject({ code: 'unsupported' })
    expect(await fault(engine, jobOf(chat(), { guesses: true }))).toMatchObject({
      code: 'unsupported',
    })
  })

  it('is let in by a key', async () => {
    const server = await fakeVllm({ key: 'sk-1' }).start()
    const engine = await readyEngine(server, { key: 'sk-1' })
    expect((await answer(engine)).text).toBe(VLLM_WORDS.join(''))
  })
})

describe('SGLang', () => {
  it('writes a chat', async () => {
    const engine = await readyEngine(await fakeSglang().start())
    expect(engine.status()).toMatchObject([{ facts: { kind: 'chat', contextLength: 32768 } }])
    const { text, done, accepted } = await answer(engine)
    expect([text, accepted]).toEqual([SGLANG_WORDS.join(''), 12])
    expect(done.usage).toEqual({ inputTokens: 12, cachedTokens: 0, outputTokens: 3 })
  })

  it('makes vectors', async () => {
    const engine = await readyEngine(await fakeSglang({ isGeneration: false }).start())
    expect(engine.status()).toMatchObject([{ facts: { kind: 'embedding', embeddingLength: 3 } }])
    const { chunks, done } = await answer(engine, embedding(['a', 'b']))
    const [, vectors] = chunks
    expect(vectors).toMatchObject({
      first: 0,
      vectors: [Float32Array.of(0, 1, 0), Float32Array.of(0, 1, 0)],
    })
    expect(done).toMatchObject({ finish: [], usage: { inputTokens: 4, outputTokens: 0 } })
  })

  it('ends an answer with an error of its own, which stays there', async () => {
    const engine = await readyEngine(await fakeSglang({ breaks: true }).start())
    const error = await fault(engine)
    expect(error).toMatchObject({ code: 'engine_failed' })
    expect(String(error)).not.toMatch(/CUDA|10\.0/)
  })
})

describe('Ollama', () => {
  it('has all of its models served, each by a name of its own', async () => {
    const engine = await engineOver(await fakeOllama().start())
    const told: string[] = []
    engine.onChange(({ name, state }) => told.push(`${name} ${state}`))
    await until(engine, (all) => all.every(({ state }) => state === 'ready'))
    expect(told).toEqual(['up/llama3.2:1b ready', 'up/all-minilm:latest ready'])
    expect(engine.status()).toMatchObject([
      {
        name: 'up/llama3.2:1b',
        slots: 4,
        facts: {
          architecture: 'llama',
          quant: 'Q8_0',
          contextLength: 8192,
          parameters: 1235814432,
        },
      },
      {
        name: 'up/all-minilm:latest',
        facts: { kind: 'embedding', embeddingLength: 4, contextLength: 512 },
      },
    ])
    expect(engine.resolve('llama3.2:1b')?.name).toBe('up/llama3.2:1b')
  })

  it('has one of them served alone, by the name of the server', async () => {
    const engine = await readyEngine(await fakeOllama().start(), { model: 'llama3.2:1b' })
    expect(engine.status().map(({ name }) => name)).toEqual(['up'])
  })

  it('counts when it has answered', async () => {
    const engine = await readyEngine(await fakeOllama().start(), { model: 'llama3.2:1b' })
    const { text, done, accepted, tokens } = await answer(engine)
    expect([text, accepted]).toEqual([OLLAMA_WORDS.join(''), 0])
    // Four by its own count, of which one had no text.
    expect(tokens.at(-1)).toMatchObject({ index: 3, ids: [0], text: '' })
    expect(done.usage).toEqual({ inputTokens: 26, cachedTokens: 0, outputTokens: 4 })
  })

  it('is asked for nothing that it would pass over', async () => {
    const engine = await readyEngine(await fakeOllama().start(), { model: 'llama3.2:1b' })
    const job = jobOf(chat({ logitBias: [[1, 1]] }))
    expect(await fault(engine, job)).toMatchObject({
      code: 'unsupported_parameter',
      param: 'logit_bias',
    })
    // It takes this one and gives nothing: seen with the first word.
    expect(await fault(engine, jobOf(chat({ logprobs: 1 })))).toMatchObject({ param: 'logprobs' })
  })

  it('makes vectors of length 1, as short as they are wanted, some inputs at a time', async () => {
    const server = await fakeOllama().start()
    const engine = await readyEngine(server, { model: 'all-minilm:latest' })
    const inputs = Array.from({ length: 40 }, (_, at) => 'x'.repeat(at))
    const { chunks } = await answer(engine, embedding(inputs, 2))
    const vectors = chunks.flatMap((chunk) => (chunk.type === 'vectors' ? chunk.vectors : []))
    expect(vectors).toHaveLength(40)
    for (const [at, vector] of vectors.entries()) {
      const length = Math.hypot(at, 3)
      expect([...vector]).toEqual([Math.fround(at / length), Math.fround(3 / length)])
    }
    expect(server.asked.filter(({ path }) => path === '/v1/embeddings')).toHaveLength(1 + 3)
    expect(await fault(engine, embedding(['a'], 5))).toMatchObject({ param: 'dimensions' })
  })
})

describe('LM Studio', () => {
  it('is known by its own API', async () => {
    const engine = await readyEngine(await fakeLmStudio().start())
    expect(engine.status()).toMatchObject([
      {
        name: 'up/qwen3-4b',
        capabilities: ['chat', 'completion', 'tools', 'json'],
        facts: { architecture: 'qwen3', quant: '4bit', contextLength: 6144 },
      },
      {
        name: 'up/text-embedding-nomic-embed-text-v1.5',
        facts: { kind: 'embedding', embeddingLength: 2 },
      },
    ])
  })

  it('thinks to itself: that is counted, and not said', async () => {
    const engine = await readyEngine(await fakeLmStudio().start(), { model: 'qwen3-4b' })
    const { text, tokens, done } = await answer(engine)
    expect(text).toBe('Yes.')
    expect(tokens.slice(0, 3).map((each) => each.text)).toEqual(['', '', ''])
    expect(done.usage).toMatchObject({ inputTokens: 9, outputTokens: 6 })
  })

  it('is not asked for log-probabilities', async () => {
    const server = await fakeLmStudio().start()
    const engine = await readyEngine(server, { model: 'qwen3-4b' })
    expect(await fault(engine, jobOf(chat({ logprobs: 0 })))).toMatchObject({ param: 'logprobs' })
    expect(server.asked.some(({ path }) => path === '/v1/chat/completions')).toBe(false)
  })
})

describe('llama-server', () => {
  it('is known by what it lists, and has as many slots as it says', async () => {
    const engine = await readyEngine(await fakeLlamaServer().start())
    expect(engine.status()).toMatchObject([
      {
        name: 'up',
        slots: 3,
        facts: {
          kind: 'chat',
          contextLength: 2048,
          vocabularySize: 1000,
          parameters: 3_000_000_000,
        },
      },
    ])
    const busy = await readyEngine(await fakeLlamaServer().start(), { slots: 1 })
    expect(busy.status()[0]?.slots).toBe(1)
  })

  it('counts with every token', async () => {
    const engine = await readyEngine(await fakeLlamaServer().start())
    const { text, tokens, done, accepted } = await answer(engine, jobOf(completion(['So'])))
    expect([text, accepted]).toEqual(['aé', 10])
    expect(tokens.map(({ ids }) => ids.length)).toEqual([1, 2])
    expect(done).toMatchObject({
      finish: ['length'],
      usage: { inputTokens: 10, cachedTokens: 8, outputTokens: 3 },
    })
  })

  it('says that a prompt is too long', async () => {
    const engine = await readyEngine(await fakeLlamaServer().start())
    const error = await fault(engine)
    expect(error).toMatchObject({ code: 'context_length_exceeded' })
    expect(String(error)).not.toContain('9000')
  })

  it('makes vectors where it was started to', async () => {
    const engine = await readyEngine(await fakeLlamaServer({ embeds: true }).start())
    expect(engine.status()).toMatchObject([{ facts: { kind: 'embedding', embeddingLength: 2 } }])
  })
})
