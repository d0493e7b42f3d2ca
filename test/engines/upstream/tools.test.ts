import type { ServerResponse } from 'node:http'
import { describe, expect, it } from 'vitest'
import type { ChatWork } from '../../../src/wire/job.ts'
import { files } from '../../api/images/files.ts'
import { fakeLlamaServer } from './fake-llama-server.ts'
import { fakeLmStudio } from './fake-lm-studio.ts'
import { fakeOllama } from './fake-ollama.ts'
import { done, event, FakeServer, json, stream } from './fake-server.ts'
import { fakeSglang } from './fake-sglang.ts'
import { fakeVllm } from './fake-vllm.ts'
import { answer, fault, jobOf, readyEngine, sampling } from './stage.ts'

const functions = [{ name: 'look_up', parameters: '{"type":"object"}' }, { name: 'end' }]

const asking = (more: Partial<ChatWork> = {}): ChatWork => ({
  ...{ kind: 'chat', messages: [{ role: 'user', content: 'Hi' }], sampling, functions },
  ...more,
})

const plain = (): ChatWork => {
  const { functions: _none, ...chat } = asking()
  return chat
}

const asJson = (format: ChatWork['format'] & object = { type: 'json' }): ChatWork => {
  return { ...plain(), format }
}

/** A server of no known kind, whose chats are these events. */
async function saying(events: readonly object[]) {
  const server = new FakeServer(({ path }, response) => {
    if (path === '/v1/models') json(response, { data: [{ id: 'm' }] })
    else if (path === '/v1/chat/completions') {
      stream(response)
      for (const each of events) event(response, each)
      done(response)
    } else response.writeHead(404).end()
  })
  return await readyEngine(await server.start())
}

const choice = (delta: object, finish_reason: string | null = null) => ({
  choices: [{ index: 0, delta, finish_reason }],
})
const calling = (...tool_calls: object[]) => choice({ tool_calls })
const look = (said: string, index = 0) => ({
  ...{ index, id: `call_${index}`, type: 'function' },
  function: { name: 'look_up', arguments: said },
})
const ends = choice({}, 'tool_calls')
const failed = { code: 'engine_failed' }

describe('what a server says it can', () => {
  const capabilities = async (server: FakeServer, more = {}) =>
    (await readyEngine(await server.start(), more)).status()[0]?.capabilities

  it('is what its models can', async () => {
    const common = ['chat', 'completion', 'logprobs']
    const all = [...common, 'tools', 'json']
    expect(await capabilities(fakeVllm({ parses: true }))).toEqual(all)
    expect(await capabilities(fakeVllm())).toEqual([...common, 'json'])
    expect(await capabilities(fakeSglang({ parser: 'qwen25' }))).toEqual(all)
    expect(await capabilities(fakeSglang())).toEqual([...common, 'json'])
    expect(await capabilities(fakeLlamaServer({ says: ['a'] }))).toEqual([...common, 'json'])
    expect(await capabilities(fakeOllama(), { model: 'llama3.2:1b' })).toEqual(all)
    const lmStudio = await capabilities(fakeLmStudio(), { model: 'qwen3-4b' })
    expect(lmStudio).toEqual(['chat', 'completion', 'tools', 'json'])
    const card = { id: 'm', supported_parameters: ['temperature', 'response_format'] }
    const gateway = new FakeServer(({ path }, response) => {
      if (path === '/v1/models') json(response, { data: [card] })
      else response.writeHead(404).end()
    })
    expect(await capabilities(gateway)).toEqual([...common, 'json', 'vision'])
    expect(await capabilities(fakeVllm({ sees: true }))).toEqual([...common, 'json', 'vision'])
    expect(await capabilities(fakeLlamaServer({ says: ['a'], sees: true }))).toContain('vision')
  })

  it('is all that it is asked for', async () => {
    const server = await fakeVllm().start()
    const engine = await readyEngine(server)
    for (const work of [asking(), asking({ functions: [{ name: 'f' }] })]) {
      const error = await fault(engine, jobOf(work))
      expect(error).toMatchObject({ code: 'unsupported_parameter', param: 'tools' })
    }
    const result = plain()
    result.messages.push({ role: 'result', content: '', callId: 'a' })
    expect(await fault(engine, jobOf(result))).toMatchObject({ param: 'tools' })
    expect(server.asked.some(({ body }) => body.stream === true)).toBe(false)
  })
})

describe('a server is asked in its own words', () => {
  it.each([
    ['none', { mode: 'none' as const }, 'none'],
    ['any', { mode: 'required' as const }, 'required'],
    [
      'one',
      { mode: 'required' as const, name: 'end' },
      { type: 'function', function: { name: 'end' } },
    ],
  ])('to call %s', async (_which, how, expected) => {
    const server = await fakeVllm({ parses: true, calls: [['end', '{}']] }).start()
    const engine = await readyEngine(server)
    await answer(engine, jobOf(asking({ calling: how, oneCall: true })))
    expect(server.last('/v1/chat/completions').body).toMatchObject({
      tools: [
        { type: 'function', function: { name: 'look_up', parameters: { type: 'object' } } },
        { type: 'function', function: { name: 'end' } },
      ],
      tool_choice: expected,
      parallel_tool_calls: false,
    })
  })

  it('as LM Studio knows them', async () => {
    const server = await fakeLmStudio().start()
    const engine = await readyEngine(server, { model: 'qwen3-4b' })
    await fault(engine, jobOf(asking({ calling: { mode: 'required', name: 'end' } })))
    const { body } = server.last('/v1/chat/completions')
    expect(body.tool_choice).toBe('required')
    expect(body.tools).toEqual([{ type: 'function', function: { name: 'end' } }])
    await fault(engine, jobOf(asJson()))
    expect(server.last('/v1/chat/completions').body.response_format).toEqual({
      type: 'json_schema',
      json_schema: { name: 'answer', schema: { type: 'object' } },
    })
  })

  it('as far as Ollama takes them', async () => {
    const server = await fakeOllama().start()
    const engine = await readyEngine(server, { model: 'llama3.2:1b' })
    const { tokens, done } = await answer(engine, jobOf(asking()))
    expect(tokens[0]).toMatchObject({ text: '{"of":"peers"}', call: { index: 0, id: 'call_x1' } })
    expect(done).toMatchObject({ finish: ['tool_calls'], usage: { outputTokens: 4 } })
    const error = await fault(engine, jobOf(asking({ calling: { mode: 'required' } })))
    expect(error).toMatchObject({ code: 'unsupported_parameter', param: 'tool_choice' })
    expect((await answer(engine, jobOf(asking({ calling: { mode: 'none' } })))).text).not.toBe('')
    expect(server.last('/v1/chat/completions').body.tools).toBeUndefined()
  })

  it('for JSON', async () => {
    const server = await fakeVllm({ words: ['{"z":', '1}'] }).start()
    const engine = await readyEngine(server)
    const schema = '{"properties":{"z":{},"a":{}}}'
    const format = { type: 'schema', name: 'n', schema, strict: true } as const
    expect((await answer(engine, jobOf(asJson(format)))).text).toBe('{"z":1}')
    expect(JSON.stringify(server.last('/v1/chat/completions').body.response_format)).toBe(
      `{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":${schema}}}`,
    )
    await answer(engine, jobOf(asJson()))
    const plain = server.last('/v1/chat/completions').body.response_format
    expect(plain).toEqual({ type: 'json_object' })
  })
})

describe('what a server answers', () => {
  it('comes as calls, beside what is said', async () => {
    const engine = await saying([
      choice({ role: 'assistant', content: 'Wait' }),
      calling(look('')),
      calling({ index: 0, function: { arguments: '{"a":' } }),
      calling({ index: 0, function: { arguments: '1}' } }, look('{}', 1)),
      ends,
      { choices: [], usage: { prompt_tokens: 9, completion_tokens: 12 } },
    ])
    const { tokens, done } = await answer(engine, jobOf(asking()))
    const [said, ...called] = tokens
    expect(said).toMatchObject({ text: 'Wait' })
    const ofCall = (at: number) => called.filter(({ call }) => call?.index === at)
    expect(
      ofCall(0)
        .map(({ text }) => text)
        .join(''),
    ).toBe('{"a":1}')
    expect(ofCall(1).map(({ text }) => text)).toEqual(['{}'])
    expect(done).toMatchObject({ finish: ['tool_calls'], usage: { outputTokens: 12 } })
    expect(tokens.reduce((sum, { ids }) => sum + ids.length, 0)).toBe(12)
  })

  it('has whole characters in its arguments, where its server cuts them', async () => {
    const engine = await saying([
      calling(look('{"a":"\ud83d')),
      calling({ index: 0, function: { arguments: '\ude00"}' } }),
      ends,
    ])
    const { tokens } = await answer(engine, jobOf(asking()))
    expect(tokens.map(({ text }) => text).join('')).toBe('{"a":"😀"}')
  })

  it('is whatever its schema lets it be', async () => {
    const engine = await saying([choice({ content: '[{}]' }, 'stop')])
    const format = { type: 'schema', name: 'n', schema: '{"type":"array"}' } as const
    expect((await answer(engine, jobOf(asJson(format)))).text).toBe('[{}]')
  })

  it('may be cut by a stop, also where it was to be JSON', async () => {
    const engine = await saying([choice({ content: '{"a":' }, 'stop')])
    const work = { ...asJson(), sampling: { ...sampling, stop: ['1'] } }
    const { text, done } = await answer(engine, jobOf(work))
    expect([text, done.finish]).toEqual(['{"a":', ['stop']])
  })

  it('is cut off where it does not stop', async () => {
    const rest = Array.from({ length: 4_000 }, () =>
      calling({ index: 0, function: { arguments: 'x'.repeat(200) } }),
    )
    const engine = await saying([calling(look('{"a":"')), ...rest, ends])
    const work = asking({ sampling: { ...sampling, maxTokens: 20 } })
    const { tokens, done } = await answer(engine, jobOf(work))
    expect(done).toMatchObject({ finish: ['length'], usage: { outputTokens: 20 } })
    const units = tokens.reduce((sum, { text }) => sum + text.length, 0)
    expect(units).toBeLessThan(20 * 1024)
  })

  it.each<[what: string, events: object[], work?: ChatWork]>([
    ['a call that nobody offered', [calling({ ...look(''), function: { name: 'rm' } }), ends]],
    ['calls of who was offered none', [calling(look('{}')), ends], plain()],
    ['a number of 10^9', [calling(look('{}', 1e9)), ends]],
    ['a number of letters', [calling({ ...look('{}'), index: 'a' }), ends]],
    ['half JSON', [calling(look('{"a":')), ends]],
    ['calls that are no list', [choice({ tool_calls: {} }), ends]],
    ['calls of null', [calling(null as never), ends]],
    ['a function of text', [calling({ index: 0, function: 'look_up' }), ends]],
    ['arguments that are no text', [calling({ index: 0, function: { arguments: {} } }), ends]],
    ['an older call', [choice({ function_call: { name: 'look_up' } }), ends]],
    ['text where JSON was to be', [choice({ content: 'Sure: {}' }, 'stop')], asJson()],
    ['half JSON where all was to be', [choice({ content: '{"a":' }, 'stop')], asJson()],
    ['a list where an object was to be', [choice({ content: '[{}]' }, 'stop')], asJson()],
    ['nothing where JSON was to be', [choice({}, 'stop')], asJson()],
    [
      'text where a call was to be',
      [choice({ content: 'No.' }, 'stop')],
      asking({ calling: { mode: 'required' } }),
    ],
  ])('is refused: %s', async (_what, events, work = asking()) => {
    expect(await fault(await saying(events), jobOf(work))).toMatchObject(failed)
  })

  it('is given up where it has nothing in it, without an end', async () => {
    const nothing = calling({ index: 0, function: { arguments: '' } })
    const engine = await saying([calling(look('')), ...Array(11_000).fill(nothing), ends])
    expect(await fault(engine, jobOf(asking()))).toMatchObject(failed)
  })

  it('may be half of what it was to be where it was cut', async () => {
    const engine = await saying([choice({ content: '{"a":' }, 'length')])
    expect((await answer(engine, jobOf(asJson()))).done.finish).toEqual(['length'])
    const called = await saying([calling(look('{"a":')), choice({}, 'length')])
    expect((await answer(called, jobOf(asking()))).done.finish).toEqual(['length'])
  })

  it.each<[sentence: string, status: number, work: ChatWork, expected: object]>([
    ['"auto" tool choice requires --enable-auto-tool-choice', 400, asking(), { param: 'tools' }],
    ['m does not support tools', 400, asking(), { param: 'tools' }],
    ['tools param requires --jinja flag', 500, asking(), { param: 'tools' }],
    ["'response_format.type' must be 'text'", 400, asJson(), { param: 'response_format' }],
    ['Failed to parse the grammar of the schema', 422, asJson(), { param: 'response_format' }],
    [
      'the tool of the prompt is too long: maximum context',
      400,
      asking(),
      {
        code: 'context_length_exceeded',
      },
    ],
    ['Invalid schema for function look_up', 400, asking(), { param: 'tools' }],
    ['CUDA function failed', 500, asking(), failed],
    ['temperature must be low', 400, asking(), { code: 'unsupported_value' }],
    ['m does not support tools', 400, plain(), { code: 'unsupported_value' }],
  ])('as a complaint is what it means: %s', async (message, status, work, expected) => {
    const refuse = (response: ServerResponse) => json(response, { error: { message } }, status)
    const server = new FakeServer(({ path }, response) => {
      if (path === '/v1/models') json(response, { data: [{ id: 'm' }] })
      else if (path === '/v1/chat/completions') refuse(response)
      else response.writeHead(404).end()
    })
    const engine = await readyEngine(await server.start())
    const code = 'param' in expected ? { code: 'unsupported_parameter' } : {}
    const error = await fault(engine, jobOf(work))
    expect(error).toMatchObject({ ...code, ...expected })
    expect((error as Error).message).not.toContain(message)
    // It may do that, and not what was asked for here.
    expect((error as Error).message).not.toContain('This model does not')
  })
})

describe('a model that sees', () => {
  const gif = files['image/gif'].toString('base64')
  const showing = (more: object = {}): ChatWork => ({
    ...plain(),
    messages: [
      {
        role: 'user',
        content: '',
        parts: [{ text: 'What?' }, { image: { type: 'image/gif', data: gif, ...more } }],
      },
    ],
  })

  it('is shown images in the words of its server', async () => {
    const server = await fakeVllm({ sees: true }).start()
    const engine = await readyEngine(server)
    await answer(engine, jobOf(showing({ detail: 'low' })))
    const url = `data:image/gif;base64,${gif}`
    expect(server.last('/v1/chat/completions').body.messages).toEqual([
      {
        role: 'user',
        content: [
          { type: 'text', text: 'What?' },
          { type: 'image_url', image_url: { url, detail: 'low' } },
        ],
      },
    ])
  })

  it('is not one that does not', async () => {
    const engine = await readyEngine(await fakeVllm().start())
    expect(await fault(engine, jobOf(showing()))).toMatchObject({
      ...{ code: 'unsupported_parameter', param: 'messages' },
    })
  })

  it('is shown none that its server would need too much memory for', async () => {
    const server = await fakeVllm({ sees: true }).start()
    const engine = await readyEngine(server)
    const huge = Buffer.from(files['image/gif'])
    huge.fill(0xff, 6, 10)
    for (const data of ['R0lGODlh', huge.toString('base64')]) {
      expect(await fault(engine, jobOf(showing({ data })))).toMatchObject({
        ...{ code: 'invalid_value', param: 'messages' },
      })
    }
    expect(server.asked.some(({ body }) => body.stream === true)).toBe(false)
  })

  it('is not asked for more at once than this peer has room for', async () => {
    const server = await fakeVllm({ sees: true }).start()
    const engine = await readyEngine(server)
    const large = Buffer.concat([files['image/gif'], Buffer.alloc(9 * 1024 * 1024)])
    const data = large.toString('base64')
    const work = { ...showing({ data }), sampling: { ...sampling, choices: 8 } }
    expect(await fault(engine, jobOf(work))).toMatchObject({ code: 'invalid_value', param: 'n' })
    expect(server.asked.some(({ body }) => body.stream === true)).toBe(false)
  })
})
