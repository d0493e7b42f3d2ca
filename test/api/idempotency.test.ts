import { once } from 'node:events'
import { request } from 'node:http'
import { describe, expect, it } from 'vitest'
import { errorOf, rawSocket } from './harness.ts'
import { idempotentServer } from './idempotent-server.ts'
import { endless, talk } from './scripted-engine.ts'

const key = (name: string) => ({ 'idempotency-key': name })
const chat = { model: 'test-chat', messages: [{ role: 'user' as const, content: 'Hi' }] }
const things = '/api/v1/things'

describe('an Idempotency-Key', () => {
  it('has status, body and headers told again, without the work', async () => {
    const { post, engine } = await idempotentServer()
    const first = await post('/v1/chat/completions', chat, key('a'))
    const second = await post('/v1/chat/completions', chat, key('"a"'))
    expect([second.status, await second.text()]).toEqual([first.status, await first.text()])
    expect(first.headers.get('idempotency-replayed')).toBe(null)
    expect(second.headers.get('idempotency-replayed')).toBe('true')
    for (const name of ['x-request-id', 'content-type', 'x-pinaivu-node-id', 'x-pinaivu-route']) {
      expect([name, second.headers.get(name)]).toEqual([name, first.headers.get(name)])
      expect(second.headers.get(name)).not.toBe(null)
    }
    expect(engine.jobs).toHaveLength(1)
  })

  it('is the same for a body in another order, and under each path of an endpoint', async () => {
    const { post, engine } = await idempotentServer()
    await post('/v1/chat/completions', chat, key('a'))
    const { model, messages } = chat
    const again = await post('/chat/completions', { messages, model }, key('a'))
    expect(again.headers.get('idempotency-replayed')).toBe('true')
    expect(engine.jobs).toHaveLength(1)
  })

  it('belongs to an account, whichever of its keys asks, and to one endpoint', async () => {
    const { post, made } = await idempotentServer()
    const as = (apiKey: string) => ({ ...key('a'), authorization: `Bearer ${apiKey}` })
    const id = async (headers: object, path = things) =>
      ((await (await post(path, {}, headers)).json()) as { id: number }).id
    expect(await id(as('sk-ada'))).toBe(1)
    expect(await id(as('sk-ada-other'))).toBe(1)
    expect(await id(as('sk-bob'))).toBe(2)
    expect(await id(as('sk-ada'), '/api/v1/secrets')).toBe(3)
    expect(made).toHaveLength(3)
  })

  it('is not asked of those who send none, and ignored where nothing is made', async () => {
    const { post, made, backend } = await idempotentServer()
    backend.writes.length = 0
    for (let n = 0; n < 2; n++) await post(things, {})
    for (let n = 0; n < 2; n++) await post('/api/v1/plain', {}, key('a'))
    expect(made).toHaveLength(4)
    expect(backend.writes).toEqual([])
  })

  it.each(['', '""', 'a b', 'é', 'x'.repeat(256), 'a\tb'])('%j is a 400', async (name) => {
    const { post, made } = await idempotentServer()
    const latin = Buffer.from(name).toString('latin1')
    const answer = await post(things, {}, key(latin))
    expect(answer.status).toBe(400)
    expect(await answer.json()).toMatchObject({ error: { code: 'invalid_idempotency_key' } })
    expect(made).toEqual([])
  })

  it('of 255 characters, in quotes with escapes, is one', async () => {
    const { post, made } = await idempotentServer()
    const name = `${'x'.repeat(253)}"\\`
    expect((await post(things, {}, key(name))).status).toBe(201)
    const quoted = `"${'x'.repeat(253)}\\"\\\\"`
    expect((await post(things, {}, key(quoted))).headers.get('idempotency-replayed')).toBe('true')
    expect(made).toHaveLength(1)
  })

  it('outlives a restart', async () => {
    const first = await idempotentServer()
    const told = await (await first.post(things, { a: 1 }, key('a'))).text()
    const { backend } = first
    const second = await idempotentServer({ backend })
    const again = await second.post(things, { a: 1 }, key('a'))
    expect([again.status, await again.text()]).toEqual([201, told])
    expect(again.headers.get('location')).toBe('/things/1')
    expect(second.made).toEqual([])
  })
})

describe('a body that is no JSON', () => {
  it('is served once when it has been read', async () => {
    const { url, made } = await idempotentServer()
    const send = (body: string, name = 'a') => {
      const headers = { ...key(name), 'x-api-key': 'sk-ada', 'content-type': 'text/plain' }
      return fetch(`${url}/api/v1/forms`, { method: 'POST', headers, body })
    }
    expect(await (await send('one')).json()).toEqual({ n: 1 })
    expect(await (await send('one')).json()).toEqual({ n: 1 })
    expect((await send('two')).status).toBe(409)
    expect(await (await send('two', 'b')).json()).toEqual({ n: 2 })
    expect(made).toEqual(['one', 'two'])
  })
})

describe('another body', () => {
  it.each([
    [things, 'idempotency_conflict'],
    ['/v1/chat/completions', 'idempotency_conflict'],
  ])('%s: a 409 that no client repeats', async (path, code) => {
    const { post } = await idempotentServer()
    await post(path, { ...chat, seed: 1 }, key('a'))
    const answer = await post(path, { ...chat, seed: 2 }, key('a'))
    expect(answer.status).toBe(409)
    expect(answer.headers.get('x-should-retry')).toBe('false')
    expect(await errorOf(answer)).toMatchObject({ error: { code } })
  })

  it('is not sent again by OpenAI’s client', async () => {
    const { client } = await idempotentServer()
    const options = { headers: key('a') }
    await client(2).chat.completions.create(chat, options)
    let asked = 0
    const counting = client(2).withOptions({
      fetch: (...args) => {
        asked += 1
        return fetch(...args)
      },
    })
    const other = counting.chat.completions.create({ ...chat, seed: 5 }, options)
    await expect(other).rejects.toMatchObject({ status: 409, code: 'idempotency_conflict' })
    expect(asked).toBe(1)
  })
})

describe('a request that is still running', () => {
  it('is a 409 to come back for; OpenAI’s client gets the answer of the first', async () => {
    const { post, client, engine } = await idempotentServer()
    const go = Promise.withResolvers<void>()
    engine.script = async function* (job, signal) {
      await go.promise
      yield* talk(job, signal)
    }
    const first = client().chat.completions.create(chat, { headers: key('a') })
    await expect.poll(() => engine.jobs.length).toBe(1)
    const busy = await post('/v1/chat/completions', chat, key('a'))
    expect(busy.status).toBe(409)
    expect(busy.headers.get('x-should-retry')).toBe('true')
    expect(busy.headers.get('retry-after')).toBe('1')
    expect((await errorOf(busy)).error.code).toBe('idempotency_in_progress')
    const second = client(2).chat.completions.create(chat, { headers: key('a') })
    // It was refused by the time that the first is answered, and waits a second.
    await post('/v1/chat/completions', chat, key('a'))
    go.resolve()
    expect(await second).toEqual(await first)
    expect(engine.jobs).toHaveLength(1)
  })

  it.each([
    ['whole', chat],
    ['streamed', { ...chat, stream: true }],
  ])('goes on when its client leaves: the %s answer waits for the next try', async (_how, body) => {
    const { post, engine } = await idempotentServer()
    const go = Promise.withResolvers<void>()
    engine.script = async function* (job, signal) {
      await go.promise
      yield* talk(job, signal)
    }
    const leave = new AbortController()
    const first = post('/v1/chat/completions', body, key('a'), leave.signal)
    await expect.poll(() => engine.running).toBe(1)
    leave.abort()
    await expect(first).rejects.toThrow()
    go.resolve()
    const again = async () => {
      const answer = await post('/v1/chat/completions', body, key('a'))
      return [answer.headers.get('idempotency-replayed'), (await answer.text()).includes('Hello')]
    }
    await expect.poll(again).toEqual(['true', true])
    expect([engine.jobs.length, engine.aborted]).toEqual([1, 0])
  })

  it('counts as one of its API key’s requests at a time until it has ended', async () => {
    const { post, engine } = await idempotentServer({ limits: { concurrency: 1 } })
    const go = Promise.withResolvers<void>()
    engine.script = async function* (job, signal) {
      await go.promise
      yield* talk(job, signal)
    }
    const leave = new AbortController()
    const first = post('/v1/chat/completions', chat, key('a'), leave.signal)
    await expect.poll(() => engine.running).toBe(1)
    leave.abort()
    await expect(first).rejects.toThrow()
    expect((await post(things, {})).status).toBe(429)
    go.resolve()
    await expect.poll(async () => (await post(things, {})).status).toBe(201)
    await expect.poll(async () => (await post(things, {})).status).toBe(201)
  })

  it('without a key ends with its client', async () => {
    const { post, engine } = await idempotentServer()
    engine.script = endless
    const leave = new AbortController()
    const answer = post('/v1/chat/completions', chat, {}, leave.signal)
    await expect.poll(() => engine.running).toBe(1)
    leave.abort()
    await expect(answer).rejects.toThrow()
    await expect.poll(() => engine.aborted).toBe(1)
  })
})

describe('an answer that is no answer', () => {
  it.each(['overloaded', 'internal_error', 'rate_limit_exceeded', 'insufficient_credits'])(
    '%s is not kept: the next try is served',
    async (code) => {
      const { post, made, fail } = await idempotentServer()
      fail(code)
      expect((await post(things, {}, key('a'))).ok).toBe(false)
      fail()
      const answer = await post(things, {}, key('a'))
      expect([answer.status, answer.headers.get('idempotency-replayed')]).toEqual([201, null])
      expect(made).toHaveLength(2)
    },
  )

  it('a refusal for good is kept as it is', async () => {
    const { post, made, fail } = await idempotentServer()
    fail('chat_session_conflict')
    const first = await post(things, {}, key('a'))
    fail()
    const second = await post(things, {}, key('a'))
    expect([second.status, await second.text()]).toEqual([409, await first.text()])
    expect(second.headers.get('x-should-retry')).toBe('false')
    expect(made).toHaveLength(1)
  })

  it('what was never begun is not kept: a body that is refused, a key without the scope', async () => {
    const { post, engine } = await idempotentServer()
    expect((await post('/v1/chat/completions', { ...chat, n: 0 }, key('a'))).status).toBe(400)
    expect((await post('/v1/chat/completions', chat, key('a'))).status).toBe(200)
    expect(engine.jobs).toHaveLength(1)
  })
})

describe('a stream', () => {
  const body = { ...chat, stream: true, stream_options: { include_usage: true } }

  it.each([
    ['', body],
    [' of drafts', { ...chat, stream: true, stream_mode: 'v8' }],
  ])('%s is told again as a stream, byte for byte, with its trailers', async (_which, asked) => {
    const { url, engine } = await idempotentServer()
    const headers = { authorization: 'Bearer sk-ada', 'content-type': 'application/json' }
    const read = async () => {
      const sent = request(`${url}/v1/chat/completions`, {
        method: 'POST',
        headers: { ...headers, ...key('a') },
      })
      sent.end(JSON.stringify(asked))
      const [answer] = await once(sent, 'response')
      let text = ''
      for await (const piece of answer.setEncoding('utf8')) text += piece
      const { 'idempotency-replayed': replayed, date: _date, ...rest } = answer.headers
      return { text, rest, replayed, trailers: answer.trailers }
    }
    const first = await read()
    // The end of it is on its way to the disk.
    await expect.poll(async () => (await read()).replayed).toBe('true')
    const { replayed, trailers, ...second } = await read()
    expect(first.text).toContain('[DONE]')
    expect(first.trailers).toHaveProperty('x-pinaivu-tokens-output')
    expect({ ...second, trailers }).toEqual({
      ...{ text: first.text, trailers: first.trailers },
      rest: { ...first.rest, trailer: Object.keys(first.trailers).join(', ') },
    })
    expect(replayed).toBe('true')
    expect(engine.jobs).toHaveLength(1)
  })

  it('is read by OpenAI’s client as the first time', async () => {
    const { client, engine } = await idempotentServer()
    const read = async () => {
      const chunks: unknown[] = []
      const options = { headers: key('a') }
      const stream = await client(2).chat.completions.create({ ...chat, stream: true }, options)
      for await (const chunk of stream) chunks.push(chunk)
      return chunks
    }
    const first = await read()
    // Its end may still be on its way to the disk: the client comes again a second later.
    expect(await read()).toEqual(first)
    expect(first.length).toBeGreaterThan(5)
    expect(engine.jobs).toHaveLength(1)
  })

  it('that broke off is told again as it was', async () => {
    const { post, engine } = await idempotentServer()
    engine.script = async function* () {
      yield { type: 'tokens', choice: 0, index: 0, ids: [0], text: 'Hel' }
      throw new Error('the engine broke')
    }
    const read = async () => await (await post('/v1/chat/completions', body, key('a'))).text()
    const first = await read()
    expect(first).toContain('internal_error')
    await expect.poll(read).toBe(first)
    expect(engine.jobs).toHaveLength(1)
  })

  it('that is too long is neither told nor made again, and says so', async () => {
    const { post, engine } = await idempotentServer({ answerBytesMax: 500 })
    expect(await (await post('/v1/chat/completions', body, key('a'))).text()).toContain('[DONE]')
    await expect
      .poll(
        async () => (await errorOf(await post('/v1/chat/completions', body, key('a')))).error.code,
      )
      .toBe('idempotency_answer_not_kept')
    expect(engine.jobs).toHaveLength(1)
  })

  it('whose reader reads nothing is made to its end all the same', async () => {
    const { url, engine, post } = await idempotentServer()
    engine.script = async function* (job) {
      for (let index = 0; index < 400; index++) {
        yield { type: 'tokens', choice: 0, index, ids: [index], text: 'x'.repeat(1000) }
      }
      yield* talk(job, new AbortController().signal)
    }
    const asked = JSON.stringify(body)
    const socket = await rawSocket(Number(new URL(url).port))
    socket.pause()
    socket.write(
      'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer sk-ada\r\n' +
        `Content-Type: application/json\r\nIdempotency-Key: a\r\nContent-Length: ${asked.length}` +
        `\r\n\r\n${asked}`,
    )
    await expect.poll(() => engine.jobs.length).toBe(1)
    await expect.poll(() => engine.running, { timeout: 10_000 }).toBe(0)
    const again = async () => await (await post('/v1/chat/completions', body, key('a'))).text()
    await expect.poll(again).toContain('[DONE]')
    expect(engine.jobs).toHaveLength(1)
  })
})

describe('at random', () => {
  it('many at once with one key have one execution', async () => {
    const { post, made } = await idempotentServer()
    const all = await Promise.all(Array.from({ length: 40 }, () => post(things, {}, key('a'))))
    const statuses = all.map(({ status }) => status)
    expect(statuses.filter((status) => status === 201).length).toBeGreaterThanOrEqual(1)
    expect(statuses.every((status) => status === 201 || status === 409)).toBe(true)
    expect(made).toHaveLength(1)
  })
})
