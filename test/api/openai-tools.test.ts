import { afterEach, describe, expect, it } from 'vitest'
import type { Chunk, Finish } from '../../src/wire/chunk.ts'
import { readEvents, startTestApi, type TestApi } from './openai-server.ts'
import { expectShape } from './openai-shapes.ts'

const running: TestApi[] = []

afterEach(async () => {
  await Promise.all(running.splice(0).map((api) => api.stop()))
})

type Piece = [choice: number, text: string, call?: number]

/** A peer whose model says and calls this. */
async function start(pieces: readonly Piece[], finish: Finish[] = ['tool_calls']) {
  const api = await startTestApi({})
  running.push(api)
  api.engine.script = async function* (): AsyncGenerator<Chunk> {
    yield { type: 'accepted', inputTokens: 5 }
    const counts = finish.map(() => 0)
    for (const [choice, text, at] of pieces) {
      const index = counts[choice] ?? 0
      counts[choice] = index + 1
      const call = { index: at ?? 0, id: `call_${at}`, name: `f${at}` }
      const where = at === undefined ? {} : { call }
      yield { type: 'tokens', choice, index, ids: [index], text, ...where }
    }
    const usage = { inputTokens: 5, cachedTokens: 0, outputTokens: pieces.length }
    yield { type: 'done', finish, usage }
  }
  return api
}

const path = '/v1/chat/completions'
const tools = [0, 1].map((at) => ({ type: 'function', function: { name: `f${at}` } }))
const request = { model: 'test-chat', messages: [{ role: 'user', content: 'Hi' }], tools }
const calls: Piece[] = [
  [0, '', 0],
  [0, '{"a":', 0],
  [0, '1}', 0],
  [0, '{}', 1],
]

interface Event {
  choices: { index: number; delta: object; finish_reason: string | null }[]
}

const deltasOf = (events: readonly unknown[]) =>
  (events as Event[]).flatMap(({ choices }) => choices.map(({ delta }) => delta))

describe('an answer with tool calls', () => {
  it('as a whole is as OpenAI has it', async () => {
    const api = await start(calls)
    const answer = await (await api.post(path, request)).json()
    expectShape('CreateChatCompletionResponse', answer)
    expect(answer.choices).toEqual([
      {
        index: 0,
        message: {
          ...{ role: 'assistant', content: null, refusal: null },
          tool_calls: [
            { id: 'call_0', type: 'function', function: { name: 'f0', arguments: '{"a":1}' } },
            { id: 'call_1', type: 'function', function: { name: 'f1', arguments: '{}' } },
          ],
        },
        logprobs: null,
        finish_reason: 'tool_calls',
      },
    ])
  })

  it('as a stream says each call once, and then its arguments', async () => {
    const api = await start(calls)
    const { events } = await readEvents(await api.post(path, { ...request, stream: true }))
    for (const event of events) expectShape('CreateChatCompletionStreamResponse', event)
    const first = (index: number) => ({
      ...{ index, id: `call_${index}`, type: 'function' },
      function: { name: `f${index}`, arguments: '' },
    })
    const more = (index: number, said: string) => ({
      tool_calls: [{ index, function: { arguments: said } }],
    })
    expect(deltasOf(events)).toEqual([
      { role: 'assistant', content: null, tool_calls: [first(0)] },
      more(0, '{"a":'),
      more(0, '1}'),
      { tool_calls: [first(1)] },
      more(1, '{}'),
      {},
    ])
    expect((events as unknown as Event[]).at(-1)?.choices[0]?.finish_reason).toBe('tool_calls')
  })

  it('has what was said before them, and each choice its own', async () => {
    const pieces: Piece[] = [
      [1, 'Wait.'],
      [1, '{}', 0],
      [0, 'No.'],
      [1, '{}', 1],
    ]
    const api = await start(pieces, ['stop', 'tool_calls'])
    const { choices } = await (await api.post(path, { ...request, n: 2 })).json()
    expect(choices).toMatchObject([
      { message: { content: 'No.' }, finish_reason: 'stop' },
      {
        message: { content: 'Wait.', tool_calls: [{ id: 'call_0' }, { id: 'call_1' }] },
        finish_reason: 'tool_calls',
      },
    ])
    expect(choices[0].message).not.toHaveProperty('tool_calls')
    const stream = await api.post(path, { ...request, n: 2, stream: true })
    const { events } = await readEvents(stream)
    expect(deltasOf(events).slice(0, 3)).toMatchObject([
      { role: 'assistant', content: '' },
      { content: 'Wait.' },
      { tool_calls: [{ index: 0, id: 'call_0' }] },
    ])
  })

  it('is padded where that is asked for', async () => {
    const api = await start(calls)
    const padded = { stream: true, stream_options: { include_obfuscation: true } }
    const { events } = await readEvents(await api.post(path, { ...request, ...padded }))
    expect(events.filter((event) => 'obfuscation' in (event as object))).toHaveLength(3)
  })
})

describe('what is asked', () => {
  const askedWith = async (more: object) => {
    const api = await start([[0, 'a']], ['stop'])
    const answer = await api.post(path, { ...request, ...more })
    expect(answer.status).toBe(200)
    return api.engine.jobs[0]?.work
  }

  it('comes to the model in our own words', async () => {
    const parameters = { type: 'object', properties: { z: {}, a: {} } }
    const call = { id: 'call_9', type: 'function', function: { name: 'f', arguments: '{' } }
    const work = await askedWith({
      messages: [
        { role: 'assistant', tool_calls: [call] },
        { role: 'tool', tool_call_id: 'call_9', content: [{ type: 'text', text: 'a' }] },
        { role: 'assistant', content: 'b', tool_calls: [] },
      ],
      tools: [{ type: 'function', function: { name: 'f', parameters, strict: true } }],
      tool_choice: { type: 'function', function: { name: 'f' } },
      parallel_tool_calls: false,
      response_format: { type: 'json_schema', json_schema: { name: 'n', schema: parameters } },
    })
    const schema = '{"type":"object","properties":{"z":{},"a":{}}}'
    expect(work).toMatchObject({
      messages: [
        { role: 'assistant', content: '', calls: [{ id: 'call_9', name: 'f', arguments: '{' }] },
        { role: 'result', content: 'a', callId: 'call_9' },
        { role: 'assistant', content: 'b' },
      ],
      functions: [{ name: 'f', parameters: schema, strict: true }],
      calling: { mode: 'required', name: 'f' },
      oneCall: true,
      format: { type: 'schema', name: 'n', schema },
    })
  })

  it('is nothing where it changes nothing', async () => {
    const plain = ['kind', 'messages', 'sampling']
    for (const more of [
      { tools: [], tool_choice: 'auto', parallel_tool_calls: false },
      { tools: null, tool_choice: 'none', response_format: { type: 'text' } },
    ]) {
      expect(Object.keys((await askedWith(more)) ?? {})).toEqual(plain)
    }
    expect(await askedWith({ tool_choice: 'auto', parallel_tool_calls: true })).not.toHaveProperty(
      'calling',
    )
    expect(await askedWith({ response_format: { type: 'json_object' } })).toMatchObject({
      format: { type: 'json' },
    })
  })
})
