import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { chatRequest } from '../../src/api/openai/chat-schema.ts'
import { completionRequest } from '../../src/api/openai/completion-schema.ts'
import { isWatched, type ModeFields } from '../../src/api/openai/stream-mode.ts'
import type { ChatWork } from '../../src/wire/job.ts'
import { startTestApi, type TestApi } from './openai-server.ts'
import { expectShape, openAiSchemas } from './openai-shapes.ts'
import { NODE_ID } from './scripted-market.ts'

let api: TestApi

beforeAll(async () => {
  api = await startTestApi()
})

beforeEach(() => {
  api.engine.jobs.length = 0
})

afterAll(() => api.stop())

const user = { role: 'user', content: 'Hi' }
const good = {
  '/v1/chat/completions': { model: 'test-chat', messages: [user] },
  '/v1/completions': { model: 'test-chat', prompt: 'Hi' },
  '/v1/embeddings': { model: 'test-embed', input: 'Hi' },
}

type Case = [name: string, body: object, code: string, param: string | null]

const unsupported = (param: string): [string, string] => ['unsupported_parameter', param]

function refuses(path: keyof typeof good, cases: Case[]): void {
  it.each(cases)('%s', async (_name, change, code, param) => {
    const response = await api.post(path, { ...good[path], ...change })
    const body = (await response.json()) as { error: { message: string }; request_id: string }
    expectShape('ErrorResponse', body)
    expect(response.status).toBe(code === 'model_not_found' ? 404 : 400)
    expect(body).toMatchObject({ error: { type: 'invalid_request_error', code, param } })
    expect(body.error.message.length).toBeLessThan(300)
    expect(body.request_id).toBe(response.headers.get('x-request-id'))
    expect(response.headers.get('x-should-retry')).toBe('false')
    expect(response.headers.get('content-type')).toContain('application/json')
    expect(api.engine.jobs).toEqual([])
  })
}

const part = (content: object) => ({ messages: [user, { role: 'user', content: [content] }] })
const message = (more: object) => ({ messages: [user, { ...user, ...more }] })

describe('chat refuses, and names the place', () => {
  refuses('/v1/chat/completions', [
    ['no model', { model: undefined }, 'missing_required_parameter', 'model'],
    ['a model that is no string', { model: 7 }, 'invalid_type', 'model'],
    ['a model nobody knows', { model: 'no-model' }, 'model_not_found', 'model'],
    ['a model of another kind', { model: 'test-embed' }, 'model_not_supported', 'model'],
    ['no messages', { messages: undefined }, 'missing_required_parameter', 'messages'],
    ['an empty list of messages', { messages: [] }, 'invalid_value', 'messages'],
    ['messages that are a string', { messages: 'Hi' }, 'invalid_type', 'messages'],
    ['a message that is null', { messages: [null] }, 'invalid_type', 'messages[0]'],
    ['a role it does not know', message({ role: 'x' }), 'invalid_value', 'messages[1].role'],
    ['a role of before', message({ role: 'function' }), 'unsupported_value', 'messages[1].role'],
    ['no content', message({ content: null }), 'invalid_type', 'messages[1].content'],
    ['no parts', message({ content: [] }), 'invalid_value', 'messages[1].content'],
    [
      'sound',
      part({ type: 'input_audio', input_audio: { data: '', format: 'wav' } }),
      'unsupported_value',
      'messages[1].content[0].type',
    ],
    ['an unknown part', part({ type: 'x' }), 'invalid_value', 'messages[1].content[0].type'],
    [
      'a part without text',
      part({ type: 'text' }),
      'missing_required_parameter',
      'messages[1].content[0].text',
    ],
    ['an unknown field', { foo: 1 }, 'unknown_parameter', 'foo'],
    ['an unknown field inside', message({ foo: 1 }), 'unknown_parameter', 'messages[1].foo'],
    ['a temperature above 2', { temperature: 2.1 }, 'invalid_value', 'temperature'],
    ['a temperature in words', { temperature: 'hot' }, 'invalid_type', 'temperature'],
    ['a top_p below 0', { top_p: -0.1 }, 'invalid_value', 'top_p'],
    ['a seed with a fraction', { seed: 0.5 }, 'invalid_type', 'seed'],
    ['no answers', { n: 0 }, 'invalid_value', 'n'],
    ['too many answers', { n: 129 }, 'invalid_value', 'n'],
    ['no tokens', { max_tokens: 0 }, 'invalid_value', 'max_tokens'],
    ['two limits', { max_tokens: 1, max_completion_tokens: 2 }, 'invalid_value', 'max_tokens'],
    ['an empty stop', { stop: ['a', ''] }, 'invalid_value', 'stop[1]'],
    ['a long stop', { stop: 'é'.repeat(200) }, 'invalid_value', 'stop'],
    ['ten thousand stops', { stop: Array(10_000).fill('x') }, 'invalid_value', 'stop'],
    ['a stop that is a number', { stop: 5 }, 'invalid_type', 'stop'],
    ['a bias beyond 100', { logit_bias: { 7: 101 } }, 'invalid_value', 'logit_bias.7'],
    ['a bias on a word', { logit_bias: { hello: 1 } }, 'invalid_value', 'logit_bias.hello'],
    ['alternatives without scores', { top_logprobs: 2 }, 'invalid_value', 'top_logprobs'],
    [
      'too many alternatives',
      { logprobs: true, top_logprobs: 21 },
      'invalid_value',
      'top_logprobs',
    ],
    ['stream options alone', { stream_options: {} }, 'invalid_value', 'stream_options'],
    [
      'unknown stream options',
      { stream: true, stream_options: { x: 1 } },
      'unknown_parameter',
      'stream_options.x',
    ],
    ['a stream of 1', { stream: 1 }, 'invalid_type', 'stream'],
    ['functions', { functions: [{ name: 'f' }] }, 'unsupported_parameter', 'functions'],
    ['reasoning', { reasoning_effort: 'low' }, 'unsupported_parameter', 'reasoning_effort'],
    ['speech', { modalities: ['text', 'audio'] }, 'unsupported_parameter', 'modalities'],
    ['a prediction', { prediction: { type: 'content' } }, 'unsupported_parameter', 'prediction'],
    ['web search', { web_search_options: {} }, 'unsupported_parameter', 'web_search_options'],
    ['no country', { jurisdiction: 'Mars' }, 'invalid_jurisdiction', 'jurisdiction'],
    ['a country that is none', { jurisdiction: 'ZZ' }, 'invalid_jurisdiction', 'jurisdiction'],
    ['countries', { jurisdiction: ['DE'] }, 'invalid_type', 'jurisdiction'],
    ['drafts without a stream', { stream_mode: 'v8' }, 'invalid_value', 'stream_mode'],
    ['another mode', { stream: true, stream_mode: 'v9' }, 'invalid_value', 'stream_mode'],
    ['a price below nothing', { max_price: -1 }, 'invalid_value', 'max_price'],
    ['a broken price', { max_price: 1.5 }, 'invalid_type', 'max_price'],
    ['half a price', { max_price: { input: 1 } }, 'missing_required_parameter', 'max_price.output'],
    [
      'a price beyond all',
      { max_price: { input: 1, output: 2 ** 60 } },
      'invalid_value',
      'max_price.output',
    ],
    ['verification', { verification: 'cross-node' }, 'unsupported_parameter', 'verification'],
    ['a spice', { receipt_privacy: 'peppered' }, 'invalid_value', 'receipt_privacy'],
    ['nobody', { node: { only: [] } }, 'invalid_value', 'node.only'],
    ['a node that is none', { node: { only: [NODE_ID, 'x'] } }, 'invalid_value', 'node.only[1]'],
    [
      'no node to avoid',
      { node: { not: [NODE_ID.toLowerCase()] } },
      'invalid_value',
      'node.not[0]',
    ],
    ['too many nodes', { node: { not: Array(65).fill(NODE_ID) } }, 'invalid_value', 'node.not'],
    ['a drafter that is none', { drafters: [NODE_ID, 'x'] }, 'invalid_value', 'drafters[1]'],
    ['too many drafters', { drafters: Array(9).fill(NODE_ID) }, 'invalid_value', 'drafters'],
    ['a drafter without a list', { drafters: NODE_ID }, 'invalid_type', 'drafters'],
    ['another wish', { node: { like: [] } }, 'unknown_parameter', 'node.like'],
    ['a knowledge base', { knowledge_base: 'kb_1' }, 'unsupported_parameter', 'knowledge_base'],
  ])

  it('a body that is no object', async () => {
    const response = await api.post('/v1/chat/completions', [1])
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ error: { code: 'invalid_type', param: null } })
  })
})

describe('completions refuse, and name the place', () => {
  refuses('/v1/completions', [
    ['no prompt', { prompt: undefined }, 'missing_required_parameter', 'prompt'],
    ['mixed prompts', { prompt: ['a', 1] }, 'invalid_type', 'prompt[1]'],
    ['no prompts', { prompt: [] }, 'invalid_value', 'prompt'],
    ['too many prompts', { prompt: Array(129).fill('a') }, 'invalid_value', 'prompt'],
    ['too many answers', { prompt: ['a', 'b'], n: 65 }, 'invalid_value', 'n'],
    ['a token that is none', { prompt: [9906, 100256] }, 'invalid_value', 'prompt[1]'],
    ['a far token', { prompt: [[1], [2, 2 ** 50]] }, 'invalid_value', 'prompt[1][1]'],
    ['a negative token', { prompt: [-1] }, 'invalid_value', 'prompt[0]'],
    ['a gap', { suffix: 'end' }, 'unsupported_parameter', 'suffix'],
    ['the best of many', { best_of: 3 }, 'unsupported_parameter', 'best_of'],
    ['echoed scores', { echo: true, logprobs: 1 }, 'unsupported_parameter', 'logprobs'],
    ['six alternatives', { logprobs: 6 }, 'invalid_value', 'logprobs'],
    ['messages', { messages: [user] }, 'unknown_parameter', 'messages'],
  ])
})

const tool = { type: 'function', function: { name: 'f' } }
const calls = (...all: object[]) => message({ role: 'assistant', tool_calls: all })
const call = { id: 'call_1', type: 'function', function: { name: 'f', arguments: '{}' } }
const schema = (more: object, type = 'json_schema') => ({
  response_format: { type, json_schema: { name: 'n', schema: {}, ...more } },
})
const named = (name: string) => ({ type: 'function', function: { name } })

describe('chat refuses tools and formats, and names the place', () => {
  const of = (more: object) => ({ tools: [{ type: 'function', function: { name: 'f', ...more } }] })
  const large = (name: string) => ({
    type: 'function',
    function: { name, parameters: { description: 'd'.repeat(600_000) } },
  })
  const [lacks, invalid, wrongType] = [
    'missing_required_parameter',
    'invalid_value',
    'invalid_type',
  ]
  const formatAt = 'response_format.json_schema'
  refuses('/v1/chat/completions', [
    ['a tool of none', { tools: [{ type: 'function' }] }, lacks, 'tools[0].function'],
    ['of another kind', { tools: [{ type: 'custom' }] }, 'unsupported_value', 'tools[0].type'],
    ['a name with a point', of({ name: 'a.b' }), invalid, 'tools[0].function.name'],
    ['a long name', of({ name: 'f'.repeat(65) }), invalid, 'tools[0].function.name'],
    ['a name twice', { tools: [tool, tool] }, invalid, 'tools[1].function.name'],
    ['parameters as text', of({ parameters: '{}' }), wrongType, 'tools[0].function.parameters'],
    ['deep ones', of({ parameters: deep(80) }), invalid, 'tools[0].function.parameters'],
    ['half ones', of({ parameters: { a: '\ud800' } }), invalid, 'tools[0].function.parameters'],
    ['much of them', { tools: [large('f'), large('g')] }, invalid, 'tools[1].function.parameters'],
    ['129 tools', { tools: Array(129).fill(tool) }, invalid, 'tools'],
    ['an unknown field', of({ returns: {} }), 'unknown_parameter', 'tools[0].function.returns'],
    ['a choice of nothing', { tool_choice: 'required' }, invalid, 'tool_choice'],
    ['a choice of none by name', { tool_choice: named('f') }, invalid, 'tool_choice'],
    [
      'of another',
      { tools: [tool], tool_choice: named('g') },
      invalid,
      'tool_choice.function.name',
    ],
    ['a choice in words', { tools: [tool], tool_choice: 'maybe' }, invalid, 'tool_choice'],
    ['scores of calls', { tools: [tool], logprobs: true }, 'unsupported_parameter', 'logprobs'],
    [
      'a call without an id',
      calls({ ...call, id: undefined }),
      lacks,
      'messages[1].tool_calls[0].id',
    ],
    ['a call of a user', message({ tool_calls: [call] }), invalid, 'messages[1].tool_calls'],
    ['an answer to nothing', message({ role: 'tool' }), lacks, 'messages[1].tool_call_id'],
    [
      'an answer to another call',
      message({ role: 'tool', tool_call_id: 'call_2' }),
      invalid,
      'messages[1].tool_call_id',
    ],
    ['one of a user', message({ tool_call_id: 'a' }), invalid, 'messages[1].tool_call_id'],
    ['nothing said', { messages: [{ role: 'assistant' }] }, lacks, 'messages[0].content'],
    ['no format', { response_format: { type: 'xml' } }, invalid, 'response_format.type'],
    ['half a format', { response_format: { type: 'json_schema' } }, lacks, formatAt],
    ['a format without a schema', schema({ schema: null }), lacks, `${formatAt}.schema`],
    ['a format without a name', schema({ name: undefined }), lacks, `${formatAt}.name`],
    ['a format of two kinds', schema({}, 'json_object'), invalid, formatAt],
    ['a schema as text', schema({ schema: '{}' }), wrongType, `${formatAt}.schema`],
  ])
})

function deep(levels: number): object {
  return levels === 0 ? {} : { a: deep(levels - 1) }
}

const v8 = { stream: true, stream_mode: 'v8' }

describe('chat refuses to show drafts, and names what is in the way', () => {
  const json = { type: 'json_schema', json_schema: { name: 'a', schema: {} } }
  const obfuscated = { stream_options: { include_obfuscation: true } }
  refuses('/v1/chat/completions', [
    ['of two answers', { ...v8, n: 2 }, 'unsupported_parameter', 'n'],
    ['of tools', { ...v8, tools: [tool] }, 'unsupported_parameter', 'tools'],
    ['of functions', { ...v8, functions: [{ name: 'f' }] }, 'unsupported_parameter', 'functions'],
    ['of JSON', { ...v8, response_format: json }, 'unsupported_parameter', 'response_format'],
    ['with others', { ...v8, logprobs: true, top_logprobs: 1 }, ...unsupported('top_logprobs')],
    ['padded', { ...v8, ...obfuscated }, ...unsupported('stream_options.include_obfuscation')],
  ])
})

describe('completions refuse to show drafts, and name what is in the way', () => {
  refuses('/v1/completions', [
    ['of two answers', { ...v8, n: 2 }, 'unsupported_parameter', 'n'],
    ['of two prompts', { ...v8, prompt: ['a', 'b'] }, 'unsupported_parameter', 'prompt'],
    ['of two prompts as ids', { ...v8, prompt: [[1], [2]] }, 'unsupported_parameter', 'prompt'],
    ['behind the prompt', { ...v8, echo: true }, 'unsupported_parameter', 'echo'],
    ['with others', { ...v8, logprobs: 1 }, 'unsupported_parameter', 'logprobs'],
    ['without a stream', { stream_mode: 'v8' }, 'invalid_value', 'stream_mode'],
  ])
})

describe('what later versions take', () => {
  const work = {
    kind: 'chat',
    messages: [],
    sampling: {
      ...{ temperature: 1, topP: 1, seed: 1, choices: 1, stop: [], logitBias: [] },
      ...{ presencePenalty: 0, frequencyPenalty: 0 },
    },
  } satisfies ChatWork

  it.each([
    ['tools', { tools: [{}] }],
    ['functions', { functions: [{}] }],
    ['response_format', { response_format: { type: 'json_schema' } }],
  ])('is refused with drafts all the same: %s', (param, more) => {
    const fields: ModeFields = { stream: true, stream_mode: 'v8', ...more }
    expect(() => isWatched(fields, work)).toThrow(expect.objectContaining({ param }))
    expect(isWatched({ ...more, stream: true }, work)).toBe(false)
  })
})

describe('embeddings refuse, and name the place', () => {
  refuses('/v1/embeddings', [
    ['no input', { input: undefined }, 'missing_required_parameter', 'input'],
    ['nothing to embed', { input: [] }, 'invalid_value', 'input'],
    ['an empty text', { input: '' }, 'invalid_value', 'input'],
    ['an empty text among others', { input: ['a', ''] }, 'invalid_value', 'input[1]'],
    ['no tokens', { input: [[]] }, 'invalid_value', 'input[0]'],
    ['too many texts', { input: Array(2049).fill('a') }, 'invalid_value', 'input'],
    ['too many tokens', { input: Array(2).fill(Array(200_000).fill(1)) }, 'invalid_value', 'input'],
    ['an unknown format', { encoding_format: 'hex' }, 'invalid_value', 'encoding_format'],
    ['drafters', { drafters: [NODE_ID] }, 'unknown_parameter', 'drafters'],
    ['no dimensions', { dimensions: 0 }, 'invalid_value', 'dimensions'],
    ['more dimensions than there are', { dimensions: 9 }, 'invalid_value', 'dimensions'],
    ['a model of another kind', { model: 'test-chat' }, 'model_not_supported', 'model'],
  ])
})

describe("OpenAI's fields", () => {
  it.each([
    ['CreateChatCompletionRequest', chatRequest],
    ['CreateCompletionRequest', completionRequest],
  ])('of %s are all known', (name, ours) => {
    const fields = (schema: string): string[] => {
      const { properties = {}, allOf = [] } = openAiSchemas.$defs[schema] ?? {}
      const inherited = allOf.flatMap((base) => {
        const { $ref, properties: own = {} } = base as { $ref?: string; properties?: object }
        return $ref === undefined ? Object.keys(own) : fields($ref.replace('#/$defs/', ''))
      })
      return [...Object.keys(properties), ...inherited]
    }
    const theirs = fields(name)
    expect(theirs.length).toBeGreaterThan(15)
    expect(theirs.filter((field) => !(field in ours.properties))).toEqual([])
  })
})
