import { describe, expect, it } from 'vitest'
import { PeerError } from '../../src/base/errors.ts'
import type { Chunk } from '../../src/wire/chunk.ts'
import type { Job, Message } from '../../src/wire/job.ts'
import { eventsOf, startProductServer } from './product-server.ts'
import { ANSWER_TEXT, endless, silence, talk } from './scripted-engine.ts'

type Server = Awaited<ReturnType<typeof startProductServer>>
type Json = Record<string, unknown>

const CHAT = '/chat/completions'
const hello = { model: 'test-chat', message: 'Hello\nyou' }

async function turn(server: Server, body: object = {}, key = 'ann') {
  const response = await server.call('POST', CHAT, { ...hello, ...body }, key)
  return { status: response.status, body: (await response.json()) as Json, response }
}

async function session(server: Server, id: unknown, key = 'ann') {
  const response = await server.call('GET', `/chat/sessions/${id}`, undefined, key)
  return { status: response.status, body: (await response.json()) as Json }
}

const messagesOf = (server: Server, at = -1): Message[] => {
  const { work } = server.engine.jobs.at(at) as Job
  return work.kind === 'chat' ? work.messages : []
}

describe('a turn', () => {
  it('begins a session and goes on in it', async () => {
    const server = await startProductServer()
    const first = await turn(server, { client_request_id: 'r1', instructions: 'Be kind.' })
    expect(first.status).toBe(200)
    expect(first.body).toEqual({
      id: expect.stringMatching(/^chatcmpl_[0-9a-z]{26}$/),
      object: 'chat.completion',
      session_id: expect.stringMatching(/^sess_[0-9a-z]{26}$/),
      model: 'test-chat',
      created_at: expect.stringMatching(/Z$/),
      message: {
        id: expect.stringMatching(/^msg_[0-9a-z]{26}$/),
        role: 'assistant',
        content: ANSWER_TEXT,
      },
      usage: { input_tokens: 5, output_tokens: 8, total_tokens: 13 },
      credits: { reserved: 30, final: 10 },
      client_request_id: 'r1',
      request_id: expect.stringMatching(/^req_/),
      headers: expect.objectContaining({ 'X-Ryvion-Model': 'test-chat' }),
    })
    expect(first.response.headers.get('x-pinaivu-tokens-output')).toBe('8')
    const { session_id: id } = first.body
    const second = await turn(server, { session_id: id, message: 'And you?' })
    expect(second.body.session_id).toBe(id)
    expect(messagesOf(server)).toEqual([
      { role: 'system', content: 'Be kind.' },
      { role: 'user', content: 'Hello\nyou' },
      { role: 'assistant', content: ANSWER_TEXT },
      { role: 'user', content: 'And you?' },
    ])
    const { body } = await session(server, id)
    expect(body).toMatchObject({
      ...{ id, object: 'chat.session', title: 'Hello', model: 'test-chat', message_count: 4 },
      messages: [
        { index: 0, role: 'user', content: 'Hello\nyou', usage: null, client_request_id: 'r1' },
        { index: 1, role: 'assistant', status: 'completed', usage: { output_tokens: 8 } },
        { index: 2, role: 'user', content: 'And you?', attachments: [] },
        { index: 3, id: (second.body.message as Json).id },
      ],
      messages_has_more: false,
    })
    expect(server.engine.jobs.at(-1)?.origin).toMatchObject({
      account: 'ann',
      endpoint: '/api/v1/chat/completions',
    })
  })

  it('is told of by an event as durable as itself', async () => {
    const server = await startProductServer()
    const { body } = await turn(server)
    const { headers: _headers, ...object } = body
    expect(server.events).toEqual([{ account: 'ann', type: 'chat.completed', data: { object } }])
  })

  it('in the shape of OpenAI is answered like at /v1, and nothing is kept', async () => {
    const server = await startProductServer()
    const messages = [{ role: 'user', content: 'Hi' }]
    const body = { model: 'test-chat', messages }
    const whole = (await (await server.call('POST', CHAT, body)).json()) as Json
    expect(whole).toMatchObject({ object: 'chat.completion', choices: [{ finish_reason: 'stop' }] })
    for (const [path, more] of [
      [`${CHAT}/stream`, {}],
      [CHAT, { stream: true }],
    ] as const) {
      const response = await server.call('POST', path, { ...body, ...more })
      const events = eventsOf(await response.text())
      expect(events[0]?.data).toMatchObject({ object: 'chat.completion.chunk' })
      expect(events.at(-1)?.data).toBe('[DONE]')
    }
    const list = (await (await server.call('GET', '/chat/sessions')).json()) as Json
    expect(list.data).toEqual([])
    expect(server.events).toEqual([])
  })

  it('that is wrong is refused in the words of its own shape', async () => {
    const server = await startProductServer()
    const tries: [body: unknown, status: number, code: string, says: RegExp][] = [
      [{ model: 'test-chat' }, 400, 'missing_required_parameter', /message/],
      [{ ...hello, message: 5 }, 400, 'invalid_type', /message/],
      [{ ...hello, message: '' }, 400, 'invalid_value', /message/],
      [{ ...hello, messages: [] }, 400, 'unknown_parameter', /messages/],
      [{ ...hello, image_url: 'http://x' }, 400, 'unknown_parameter', /image_url/],
      [{ ...hello, web_search: true }, 400, 'unsupported_parameter', /web_search/],
      [{ ...hello, client_request_id: 'x'.repeat(129) }, 400, 'invalid_value', /128/],
      [
        { ...hello, attachments: [{ file_id: 'file_x' }] },
        400,
        'chat_attachment_not_supported',
        /./,
      ],
      [{ ...hello, model: 'nope' }, 404, 'model_not_found', /nope/],
      [{ ...hello, model: 'test-embed' }, 400, 'chat_model_not_supported', /embed/],
      [{ model: 'test-chat', messages: 'x' }, 400, 'invalid_type', /messages/],
      [{ model: 'test-chat', messages: [{ role: 'x' }] }, 400, 'invalid_value', /role/],
      [[], 400, 'invalid_type', /object/],
      [null, 422, 'invalid_json', /JSON/],
    ]
    for (const [body, status, code, says] of tries) {
      for (const path of [CHAT, `${CHAT}/stream`]) {
        const response = await server.call('POST', path, body)
        const { error } = (await response.json()) as { error: Json }
        expect([response.status, error.code]).toEqual([status, code])
        expect(error.message).toMatch(says)
        expect(error.requestId).toMatch(/^req_/)
      }
    }
    expect(server.engine.jobs).toEqual([])
  })

  it('with empty attachments and nulls is one without', async () => {
    const server = await startProductServer()
    const nulls = { attachments: [], session_id: null, instructions: null, stream: null }
    expect((await turn(server, nulls)).status).toBe(200)
  })
})

describe('a conflict', () => {
  it('does not tell whose session it is, or whether there is one', async () => {
    const server = await startProductServer()
    const { session_id: id } = (await turn(server)).body
    const answers = await Promise.all(
      [
        turn(server, { session_id: id }, 'bob'),
        turn(server, { session_id: id, model: 'org/llama3.2:3b' }),
        turn(server, { session_id: `sess_${'0'.repeat(26)}` }, 'bob'),
        turn(server, { session_id: '\ud800' }),
      ].map(async (each) => {
        const { status, body, response } = await each
        const { requestId: _own, ...error } = body.error as Json
        return { status, error, retry: response.headers.get('x-should-retry') }
      }),
    )
    for (const answer of answers) expect(answer).toEqual(answers[0])
    expect(answers[0]).toMatchObject({
      ...{ status: 409, error: { code: 'chat_session_conflict' }, retry: 'false' },
    })
    const foreign = await session(server, id, 'bob')
    const never = await session(server, `sess_${'0'.repeat(26)}`, 'bob')
    expect([foreign.status, never.status]).toEqual([404, 404])
    const said = ({ body }: typeof foreign) => ({ ...(body.error as Json), requestId: '' })
    expect(said(foreign)).toEqual(said(never))
  })

  it('is there for a turn while another is on, until that is over', async () => {
    const server = await startProductServer()
    const { session_id: id } = (await turn(server)).body
    server.engine.script = silence
    const leave = new AbortController()
    const body = { ...hello, session_id: id }
    const first = server.call('POST', CHAT, body, 'ann', leave.signal).catch(() => {})
    await expect.poll(() => server.engine.running).toBe(1)
    const second = await turn(server, { session_id: id })
    expect([second.status, (second.body.error as Json).code]).toEqual([409, 'chat_session_busy'])
    expect(second.response.headers.get('x-should-retry')).toBe('true')
    expect(second.response.headers.get('retry-after')).toBe('1')
    leave.abort()
    await first
    server.engine.script = talk
    await expect.poll(async () => (await turn(server, { session_id: id })).status).toBe(200)
  })
})

describe('a stream', () => {
  it.each([
    [CHAT, { stream: true }],
    [`${CHAT}/stream`, {}],
    [`${CHAT}/stream`, { stream: false }],
  ])('of %s with %j tells the turn as it comes, and ends when it is kept', async (path, more) => {
    const server = await startProductServer()
    const response = await server.call('POST', path, { ...hello, ...more })
    expect(response.headers.get('content-type')).toContain('text/event-stream')
    expect(response.headers.get('x-pinaivu-model')).toBe('test-chat')
    const events = eventsOf(await response.text())
    const [started, ...others] = events
    const completed = others.at(-2) as { event: string; data: Json }
    expect(started).toMatchObject({
      event: 'chat.started',
      data: { model: 'test-chat', session_id: completed.data.session_id, id: completed.data.id },
    })
    const deltas = others.filter(({ event }) => event === 'message.delta')
    expect(deltas.map(({ data }) => (data as Json).delta).join('')).toBe(ANSWER_TEXT)
    expect(events.slice(-3).map(({ event }) => event)).toEqual([
      'message.completed',
      'chat.completed',
      undefined,
    ])
    expect(events.at(-3)?.data).toEqual({ message: completed.data.message })
    expect(events.at(-1)?.data).toBe('[DONE]')
    expect(completed.data).toMatchObject({
      ...{ object: 'chat.completion', credits: { reserved: 30, final: 10 } },
      usage: { input_tokens: 5, output_tokens: 8, total_tokens: 13 },
    })
    const { body } = await session(server, completed.data.session_id)
    expect(body.message_count).toBe(2)
  })

  it('that the client leaves keeps what was said, and is said to be cancelled', async () => {
    const server = await startProductServer()
    const { session_id: id } = (await turn(server)).body
    server.engine.script = endless
    const leave = new AbortController()
    const body = { ...hello, session_id: id }
    const response = await server.call('POST', `${CHAT}/stream`, body, 'ann', leave.signal)
    const reader = response.body?.getReader()
    let seen = ''
    while (!seen.includes('word3 ')) {
      seen += Buffer.from((await reader?.read())?.value ?? []).toString()
    }
    leave.abort()
    await expect.poll(async () => (await session(server, id)).body.message_count).toBe(4)
    const [, , , last] = (await session(server, id)).body.messages as Json[]
    expect(last).toMatchObject({ status: 'cancelled', usage: { input_tokens: 1 } })
    expect(last?.content).toMatch(/^word0 word1 word2 word3 /)
    expect(server.events).toHaveLength(1)
    server.engine.script = talk
    await expect.poll(async () => (await turn(server, { session_id: id })).status).toBe(200)
    expect(messagesOf(server)[3]?.content).toMatch(/^word0 /)
  })

  it('that is left before its first word, and a whole answer that is left, keep nothing', async () => {
    const server = await startProductServer()
    const { session_id: id } = (await turn(server)).body
    for (const script of [silence, endless]) {
      server.engine.script = script
      const leave = new AbortController()
      const path = script === silence ? `${CHAT}/stream` : CHAT
      const call = server.call('POST', path, { ...hello, session_id: id }, 'ann', leave.signal)
      await expect.poll(() => server.engine.running).toBe(1)
      leave.abort()
      await call.catch(() => {})
      await expect.poll(() => server.engine.running).toBe(0)
    }
    server.engine.script = talk
    await expect.poll(async () => (await turn(server, { session_id: id })).status).toBe(200)
    expect((await session(server, id)).body.message_count).toBe(4)
  })

  it('that fails in the middle says so, and leaves the session as it was', async () => {
    const server = await startProductServer()
    const { session_id: id } = (await turn(server)).body
    server.engine.script = async function* (job, signal): AsyncGenerator<Chunk> {
      for await (const chunk of talk(job, signal)) {
        if (chunk.type === 'tokens' && chunk.index === 3) {
          throw new PeerError('engine_failed', 'It broke.')
        }
        yield chunk
      }
    }
    const response = await server.call('POST', `${CHAT}/stream`, { ...hello, session_id: id })
    const events = eventsOf(await response.text())
    expect(events.at(-1)).toEqual({
      event: 'error',
      data: {
        error: {
          ...{ code: 'engine_failed', message: 'It broke.' },
          requestId: expect.stringMatching(/^req_/),
        },
      },
    })
    expect((await session(server, id)).body.message_count).toBe(2)
    server.engine.script = () => {
      throw new PeerError('engine_failed', 'It broke.')
    }
    const early = await server.call('POST', `${CHAT}/stream`, { ...hello, session_id: id })
    expect(early.status).toBe(500)
    expect((await turn(server, { session_id: id })).status).toBe(500)
  })

  it('that can not be kept is not said to be complete', async () => {
    const server = await startProductServer()
    server.backend.failNext = { error: new Error('disk'), rowsWritten: false }
    const response = await server.call('POST', `${CHAT}/stream`, hello)
    const events = eventsOf(await response.text())
    expect(events.some(({ event }) => event === 'chat.completed')).toBe(false)
    expect(events.at(-1)).toMatchObject({
      ...{ event: 'error', data: { error: { code: 'storage_failed' } } },
    })
    expect((await turn(server)).status).toBe(503)
  })
})

describe('a long conversation', () => {
  it('is cut to what the model has room for, whole turns, the newest', async () => {
    const server = await startProductServer()
    const { session_id: id } = (await turn(server, { instructions: 'Be kind.' })).body
    for (let n = 0; n < 60; n++) await turn(server, { session_id: id, message: `Question ${n}` })
    const messages = messagesOf(server)
    expect(messages.length).toBeLessThan(100)
    expect(messages.length).toBeGreaterThan(6)
    expect(messages[0]).toEqual({ role: 'system', content: 'Be kind.' })
    expect(messages.slice(1).map(({ role }) => role)).toEqual(
      messages.slice(1).map((_, at) => (at % 2 === 0 ? 'user' : 'assistant')),
    )
    expect(messages.at(-1)?.content).toBe('Question 59')
    expect(messages.at(-3)?.content).toBe('Question 58')
  })

  it('that the model finds too long is halved until it fits', async () => {
    const server = await startProductServer()
    const { session_id: id } = (await turn(server)).body
    for (let n = 0; n < 4; n++) await turn(server, { session_id: id })
    server.engine.jobs.length = 0
    const limit = { messages: 4 }
    server.engine.script = async function* (job, signal) {
      if (job.work.kind === 'chat' && job.work.messages.length > limit.messages) {
        throw new PeerError('context_length_exceeded', 'Too long.', { param: 'messages' })
      }
      yield* talk(job, signal)
    }
    expect((await turn(server, { session_id: id, message: 'Now' })).status).toBe(200)
    expect(
      server.engine.jobs.map(({ work }) => work.kind === 'chat' && work.messages.length),
    ).toEqual([11, 5, 3])
    limit.messages = 0
    const never = await turn(server, { session_id: id })
    expect([never.status, (never.body.error as Json).code]).toEqual([
      400,
      'context_length_exceeded',
    ])
    expect((await session(server, id)).body.message_count).toBe(12)
  })
})
