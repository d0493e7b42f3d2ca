import { createHash } from 'node:crypto'
import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { verifyReceipt } from '../../src/sdk/index.ts'
import { dataUrl, files } from '../api/images/files.ts'
import { event, stream } from '../engines/upstream/fake-server.ts'
import { fakeVllm, VLLM_PROMPT_TOKENS, VLLM_WORDS } from '../engines/upstream/fake-vllm.ts'
import { ask, type PeerProcess, type Ready, runProgram, startPeer } from './peer-process.ts'

const KEY = 'sk-of-nobody-elses-business'
const calls = [
  ['get_weather', '{"ci', 'ty":"Pa', 'ris"}'],
  ['get_time', '{}'],
] as const
const server = fakeVllm({ key: KEY, parses: true, sees: true, calls })
let provider: PeerProcess
let gateway: PeerProcess

beforeAll(async () => {
  await server.start()
  provider = await startPeer({
    args: ['--network', 'e2e', '--upstream', `big=${server.url}/v1`, '--price', '10/20'],
    env: { PINAIVU_UPSTREAM_KEY_BIG: KEY },
  })
  const [door = ''] = provider.ready.addrs
  gateway = await startPeer({
    args: ['--network', 'e2e', '--bootstrap', door, '--no-demo', '--roles', 'coordinator'],
  })
})

afterAll(async () => {
  await Promise.all([provider?.stop(), gateway?.stop()])
  await server.stop()
})

type Model = { id: string; state?: string; nodes: number; content_id?: string }

const modelsOf = async ({ ready }: PeerProcess): Promise<Model[]> =>
  ((await (await ask(ready, '/v1/models')).json()) as { data: Model[] }).data

const chat = (ready: Ready, more: object = {}) =>
  ask(ready, '/v1/chat/completions', {
    model: 'big',
    messages: [{ role: 'user', content: 'What is a peer?' }],
    ...more,
  })

interface Event {
  choices: { delta: { content?: string }; finish_reason: string | null }[]
  usage?: { prompt_tokens: number; completion_tokens: number } | null
  receipt?: { cid: string; status: string; node_id: string }
}

async function streamed(answer: Response) {
  const events = (await answer.text())
    .split('\n\n')
    .filter((each) => each.startsWith('data: {'))
    .map((each) => JSON.parse(each.slice('data: '.length)) as Event)
  return {
    text: events.map(({ choices }) => choices[0]?.delta.content ?? '').join(''),
    usage: events.findLast(({ usage }) => usage != null)?.usage,
    receipt: events.findLast(({ receipt }) => receipt !== undefined)?.receipt,
    finish: events.findLast(({ choices }) => choices[0]?.finish_reason != null)?.choices[0]
      ?.finish_reason,
  }
}

describe('a peer with a server behind it', () => {
  it('serves that alone, under its name, and says what it is', async () => {
    await expect.poll(() => modelsOf(provider)).toMatchObject([{ id: 'big', state: 'ready' }])
    const [model] = await modelsOf(provider)
    expect(model?.content_id).toBe(`declared:big@${provider.ready.peerId}`)
    expect(provider.ready.models).toEqual(['big'])
  })

  it.each(['its own client', 'another peer'])(
    'answers %s, with a receipt that verifies',
    async (who) => {
      const asked = who === 'another peer' ? gateway : provider
      await expect.poll(() => modelsOf(asked), { timeout: 20_000 }).toMatchObject([{ id: 'big' }])
      const answer = await chat(asked.ready, {
        stream: true,
        stream_options: { include_usage: true },
      })
      const { text, usage, receipt, finish } = await streamed(answer)
      expect(text).toBe(VLLM_WORDS.join(''))
      expect(finish).toBe('stop')
      expect(usage).toMatchObject({
        prompt_tokens: VLLM_PROMPT_TOKENS,
        completion_tokens: VLLM_WORDS.length,
      })
      expect(receipt).toMatchObject({ status: 'final', node_id: provider.ready.peerId })
      expect(answer.headers.get('x-pinaivu-receipt-cid')).toMatch(/^ryv1:sha256:/)
      expect(answer.headers.get('x-pinaivu-tokens-input')).toBe(String(VLLM_PROMPT_TOKENS))
      const kept = await (await ask(asked.ready, `/v8/receipts/${receipt?.cid}`)).json()
      expect(kept).toMatchObject({
        verified: true,
        count: 'bounded',
        model: 'big',
        metering_units: VLLM_PROMPT_TOKENS + VLLM_WORDS.length,
      })
      const verified = await runProgram([
        ...['receipts', 'verify', receipt?.cid ?? '', '--json'],
        ...['--data-dir', asked.ready.dataDir],
      ])
      expect([verified.code, verified.stderr]).toEqual([0, ''])
    },
  )

  it('has its model call functions for another peer’s client, with a receipt for the calls', async () => {
    await expect.poll(() => modelsOf(gateway), { timeout: 20_000 }).toMatchObject([{ id: 'big' }])
    const client = new OpenAI({
      baseURL: `${gateway.ready.http}/v1`,
      apiKey: gateway.ready.apiKey,
      maxRetries: 0,
    })
    const offered = (name: string) => ({
      type: 'function' as const,
      function: { name, parameters: { type: 'object', properties: { z: {}, a: {} } } },
    })
    const request = {
      model: 'big',
      messages: [{ role: 'user' as const, content: 'Weather and time?' }],
      tools: [offered('get_weather'), offered('get_time')],
    }
    const stream = client.chat.completions.stream({
      ...request,
      stream_options: { include_usage: true },
    })
    const { choices, usage } = await stream.finalChatCompletion()
    const expected = calls.map(([name, ...pieces], index) => ({
      ...{ id: `chatcmpl-tool-${index}`, type: 'function' },
      function: expect.objectContaining({ name, arguments: pieces.join('') }),
    }))
    expect(choices[0]).toMatchObject({
      finish_reason: 'tool_calls',
      message: { role: 'assistant', content: null, tool_calls: expected },
    })
    expect(usage).toMatchObject({ prompt_tokens: VLLM_PROMPT_TOKENS, completion_tokens: 7 })
    // The order of the parameters is what the model goes by.
    const { tools } = server.last('/v1/chat/completions').body as { tools: object[] }
    expect(JSON.stringify(tools[0])).toContain('"properties":{"z":{},"a":{}}')

    const whole = await client.chat.completions.create(request)
    const { message, finish_reason: reason } = whole.choices[0] ?? {}
    expect([reason, message?.content]).toEqual(['tool_calls', null])
    expect(message?.tool_calls).toEqual(expected)
    const { receipt } = whole as unknown as { receipt: { cid: string } }
    const kept = (await (await ask(gateway.ready, `/v8/receipts/${receipt.cid}`)).json()) as {
      result_hash: string
      metering_units: number
    }
    const answered = calls.map(([name, ...pieces]) => ({ arguments: pieces.join(''), name }))
    const hashed = JSON.stringify([{ content: '', reasoning_content: '', tool_calls: answered }])
    expect(kept.result_hash).toBe(createHash('sha256').update(hashed).digest('hex'))
    expect(kept.metering_units).toBe(VLLM_PROMPT_TOKENS + 7)
    const said = message === undefined ? [] : [message]
    expect(verifyReceipt(kept, { answer: said }).holds).toBe(true)
    expect(verifyReceipt(kept, { answer: [{ content: 'sunny' }] }).holds).toBe(false)

    const back = await client.chat.completions.create({
      model: 'big',
      messages: [
        ...request.messages,
        message as OpenAI.ChatCompletionMessageParam,
        { role: 'tool', tool_call_id: 'chatcmpl-tool-0', content: '{"sun":true}' },
        { role: 'tool', tool_call_id: 'chatcmpl-tool-1', content: 'noon' },
      ],
    })
    expect(back.choices[0]?.message.content).toBe(VLLM_WORDS.join(''))
    expect(server.last('/v1/chat/completions').body.messages).toEqual([
      request.messages[0],
      { role: 'assistant', content: '', tool_calls: message?.tool_calls },
      { role: 'tool', content: '{"sun":true}', tool_call_id: 'chatcmpl-tool-0' },
      { role: 'tool', content: 'noon', tool_call_id: 'chatcmpl-tool-1' },
    ])
  })

  it('shows its model an image, and has it write JSON, for another peer’s client', async () => {
    await expect
      .poll(() => modelsOf(gateway), { timeout: 20_000 })
      .toMatchObject([
        { id: 'big', capabilities: ['chat', 'completion', 'logprobs', 'tools', 'json', 'vision'] },
      ])
    const url = dataUrl(files['image/png'])
    const seen = await chat(gateway.ready, {
      messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }],
    })
    expect(seen.status).toBe(200)
    expect(server.last('/v1/chat/completions').body.messages).toEqual([
      { role: 'user', content: [{ type: 'image_url', image_url: { url } }] },
    ])
    const { answer } = server
    server.answer = fakeVllm({ key: KEY, words: ['{"z":', ' 1}'] }).answer
    const schema = { type: 'object', properties: { z: { type: 'integer' }, a: {} } }
    const format = { type: 'json_schema', json_schema: { name: 'n', schema, strict: true } }
    const written = await (await chat(gateway.ready, { response_format: format })).json()
    expect(JSON.parse(written.choices[0].message.content)).toEqual({ z: 1 })
    expect(JSON.stringify(server.last('/v1/chat/completions').body.response_format)).toContain(
      JSON.stringify(schema),
    )
    server.answer = fakeVllm({ key: KEY, words: ['Sure: ', '{"z":'] }).answer
    const half = await (await chat(gateway.ready, { response_format: format, stream: true })).text()
    expect(half).toMatch(/"error":\{.*"code":"no_nodes_available"/)
    expect(half).not.toContain('[DONE]')
    server.answer = answer
  })

  it('stops the server when its client leaves', async () => {
    const before = server.gone
    const leaving = new AbortController()
    const chunks = Promise.withResolvers<void>()
    const slow = fakeVllm({ key: KEY, pace: (chunk) => (chunk < 2 ? undefined : chunks.promise) })
    const { answer } = server
    server.answer = slow.answer
    const response = await ask(
      gateway.ready,
      '/v1/chat/completions',
      { model: 'big', stream: true, messages: [{ role: 'user', content: 'Go on!' }] },
      { signal: leaving.signal },
    )
    await response.body?.getReader().read()
    leaving.abort()
    await expect.poll(() => server.gone).toBe(before + 1)
    chunks.resolve()
    server.answer = answer
  })

  it('ends an answer with a reason where its server breaks off in the middle', async () => {
    const { answer } = server
    const heard = Promise.withResolvers<void>()
    server.answer = (asked, response) => {
      const pace = async (chunk: number) => {
        if (chunk < 2) return
        await heard.promise
        response.destroy()
      }
      return fakeVllm({ key: KEY, pace }).answer(asked, response)
    }
    const reader = (await chat(gateway.ready, { stream: true })).body?.getReader()
    let text = ''
    for (;;) {
      const { value, done } = (await reader?.read()) ?? { done: true }
      if (done) break
      text += Buffer.from(value as Uint8Array).toString()
      if (text.includes('"content":"A')) heard.resolve()
    }
    server.answer = answer
    expect(text).toContain('"content":"A')
    expect(text).toMatch(/"code":"no_nodes_available"/)
    expect(text).not.toContain('[DONE]')
    expect(text).not.toContain(`:${server.port}`)
  })

  it.each(['its own client', 'another peer'])(
    'says that a call of %s broke off, as a whole and streamed, where its server dies',
    async (who) => {
      const { ready } = who === 'another peer' ? gateway : provider
      const code = who === 'another peer' ? 'no_nodes_available' : 'engine_failed'
      const tools = calls.map(([name]) => ({ type: 'function', function: { name } }))
      const { port, answer } = server
      for (const isStreamed of [false, true]) {
        const heard = Promise.withResolvers<void>()
        server.answer = async (asked, response) => {
          if (asked.path !== '/v1/chat/completions') return answer(asked, response)
          stream(response)
          const half = { name: 'get_weather', arguments: '{"ci' }
          const delta = { tool_calls: [{ index: 0, id: 'a', type: 'function', function: half }] }
          event(response, { choices: [{ index: 0, delta, finish_reason: null }] })
          if (isStreamed) await heard.promise
          response.write('\n', () => response.destroy())
        }
        const response = await chat(ready, { tools, stream: isStreamed })
        let text = ''
        for await (const part of response.body ?? []) {
          text += Buffer.from(part).toString()
          if (text.includes('{\\"ci')) heard.resolve()
        }
        server.answer = answer
        expect(text).toMatch(new RegExp(`"error":\\{.*"code":"${code}"`))
        expect(text).not.toMatch(/"finish_reason":"|\[DONE\]|"status":"final"/)
        expect(text).not.toContain(`:${port}`)
        expect(response.status).toBe(isStreamed ? 200 : code === 'engine_failed' ? 500 : 503)
      }
      const after = await (await chat(ready, { tools })).json()
      expect(after.choices[0].finish_reason).toBe('tool_calls')
    },
  )

  it('is out while its server is, and back with it', async () => {
    const { port } = server
    const stateOf = async () => (await modelsOf(provider))[0]?.state
    const nodesOf = async () => (await modelsOf(gateway)).find(({ id }) => id === 'big')?.nodes
    await server.stop()
    const refused = await chat(provider.ready)
    expect([refused.status, (await refused.json()).error.code]).toEqual([503, 'model_failed'])
    await expect.poll(stateOf).toBe('failed')
    await expect.poll(nodesOf, { timeout: 20_000 }).toBeUndefined()
    await server.start(port)
    await expect.poll(stateOf, { timeout: 20_000 }).toBe('ready')
    await expect.poll(nodesOf, { timeout: 20_000 }).toBe(1)
    expect((await chat(gateway.ready)).status).toBe(200)
  })

  it('keeps its key and its address to itself', async () => {
    for (const path of ['/v1/models', '/healthz', '/readyz', '/v8/network/peers', '/metrics']) {
      const text = await (await ask(provider.ready, path)).text()
      expect(text).not.toContain(KEY)
      expect(text).not.toContain(`:${server.port}`)
    }
    expect(provider.log()).not.toContain(KEY)
    expect(provider.log()).not.toContain(`:${server.port}`)
    expect(server.last('/v1/chat/completions').headers.authorization).toBe(`Bearer ${KEY}`)
  })
})
