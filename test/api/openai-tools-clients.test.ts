import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { ChatOpenAI } from '@langchain/openai'
import { generateText, jsonSchema, Output, streamText, type ToolSet, tool } from 'ai'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Chunk } from '../../src/wire/chunk.ts'
import type { ChatWork } from '../../src/wire/job.ts'
import { files } from './images/files.ts'
import { startTestApi, type TestApi } from './openai-server.ts'

/** A model that looks up what it was asked for, and then says what came of it. */
async function start() {
  const api = await startTestApi()
  onTestFinished(() => api.stop())
  api.engine.script = async function* (job): AsyncGenerator<Chunk> {
    const { messages, functions, format } = job.work as ChatWork
    const last = messages.at(-1)
    const calls = functions !== undefined && last?.role === 'user'
    const said = format === undefined ? `It is ${last?.content}.` : '{"sky":"blue"}'
    const pieces = calls ? ['', '{"city":', '"Rome"}'] : [said]
    yield { type: 'accepted', inputTokens: 5 }
    const call = { index: 0, id: 'call_7', name: 'weather' }
    for (const [index, text] of pieces.entries()) {
      yield { type: 'tokens', choice: 0, index, ids: [index], text, ...(calls && { call }) }
    }
    const usage = { inputTokens: 5, cachedTokens: 0, outputTokens: pieces.length }
    yield { type: 'done', finish: [calls ? 'tool_calls' : 'stop'], usage }
  }
  const { baseURL, apiKey } = api
  const provider = createOpenAICompatible({
    ...{ name: 'peer', baseURL, apiKey, includeUsage: true },
    supportsStructuredOutputs: true,
  })
  return { api, model: provider.chatModel('test-chat') }
}

const workOf = ({ engine }: TestApi, at: number) => engine.jobs.at(at)?.work as ChatWork

const parameters = {
  type: 'object' as const,
  properties: { city: { type: 'string' as const } },
  required: ['city'],
}

describe('the AI SDK', () => {
  const weather = tool({
    description: 'The weather of a city.',
    inputSchema: jsonSchema<{ city: string }>(parameters),
  })

  it('has tools called, as a whole and as a stream', async () => {
    const { model } = await start()
    // Its own types do not fit into each other where undefined is not absent.
    const tools = { weather } as unknown as ToolSet
    const asked = { model, prompt: 'Rome?', tools, maxRetries: 0 }
    const expected = [{ toolCallId: 'call_7', toolName: 'weather', input: { city: 'Rome' } }]
    const whole = await generateText(asked)
    expect([whole.finishReason, whole.toolCalls]).toMatchObject(['tool-calls', expected])
    const stream = streamText(asked)
    expect([await stream.finishReason, await stream.toolCalls]).toMatchObject([
      ...['tool-calls', expected],
    ])
  })

  it('has objects written, and images seen', async () => {
    const { api, model } = await start()
    const schema = jsonSchema<{ sky: string }>({
      type: 'object',
      properties: { sky: { type: 'string' } },
    })
    const image = { type: 'file' as const, data: files['image/png'], mediaType: 'image/png' }
    const { output } = await generateText({
      ...{ model, maxRetries: 0, output: Output.object({ schema }) },
      messages: [{ role: 'user', content: [{ type: 'text', text: 'Sky?' }, image] }],
    })
    expect(output).toEqual({ sky: 'blue' })
    const { format, messages } = workOf(api, 0)
    expect(format).toMatchObject({ type: 'schema' })
    expect(messages[0]?.parts).toEqual([
      { text: 'Sky?' },
      { image: { type: 'image/png', data: files['image/png'].toString('base64') } },
    ])
  })
})

describe('LangChain', () => {
  it('has tools called, and sends back what came of it', async () => {
    const { api } = await start()
    const { baseURL, apiKey } = api
    const model = new ChatOpenAI({ model: 'test-chat', apiKey, configuration: { baseURL } })
    const bound = model.bindTools([{ type: 'function', function: { name: 'weather', parameters } }])
    const called = await bound.invoke('Rome?')
    expect(called.tool_calls).toMatchObject([
      { id: 'call_7', name: 'weather', args: { city: 'Rome' } },
    ])
    const answer = await bound.invoke([
      { role: 'user', content: 'Rome?' },
      called,
      { role: 'tool', tool_call_id: 'call_7', content: 'sunny' },
    ])
    expect(answer.text).toBe('It is sunny.')
    const { messages } = workOf(api, 1)
    expect(messages).toEqual([
      { role: 'user', content: 'Rome?' },
      {
        ...{ role: 'assistant', content: '' },
        calls: [{ id: 'call_7', name: 'weather', arguments: '{"city":"Rome"}' }],
      },
      { role: 'result', content: 'sunny', callId: 'call_7' },
    ])
  })
})
