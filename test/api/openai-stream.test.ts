import { once } from 'node:events'
import { type ClientHttp2Session, connect as connectHttp2, constants } from 'node:http2'
import { connect as connectTcp, type Socket } from 'node:net'
import OpenAI from 'openai'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { BusyError, InvalidError } from '../../src/base/errors.ts'
import type { Chunk } from '../../src/wire/chunk.ts'
import { certPem, keyPem } from './certificate.ts'
import { readEvents, startTestApi, type TestApi, type TestApiOptions } from './openai-server.ts'
import { endless, type Script, silence, talk } from './scripted-engine.ts'

const running: TestApi[] = []

async function start(script: Script, options: TestApiOptions = {}): Promise<TestApi> {
  const api = await startTestApi(options)
  api.engine.script = script
  running.push(api)
  return api
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((api) => api.stop()))
})

const request = { model: 'test-chat', messages: [{ role: 'user', content: 'Hi' }], stream: true }
const path = '/v1/chat/completions'
const usage = { inputTokens: 1, cachedTokens: 0, outputTokens: 1 }
const token = (text: string, index = 0): Chunk => ({
  type: 'tokens',
  choice: 0,
  index,
  ids: [index],
  text,
})
const end: Chunk = { type: 'done', finish: ['stop'], usage }

/** A script that goes on when the test says so. */
function gated(before: Chunk[], after: Chunk[]) {
  const gate = Promise.withResolvers<void>()
  // It may be opened or failed before the script comes to it.
  gate.promise.catch(() => {})
  const script: Script = async function* () {
    yield* before
    await gate.promise
    yield* after
  }
  return { open: gate.resolve, fail: gate.reject, script }
}

describe('the head of a stream', () => {
  it('waits for the first token', async () => {
    const { open, script } = gated([{ type: 'accepted', inputTokens: 1 }], [token('a'), end])
    const api = await start(script)
    let answered = false
    const response = api.post(path, request).then((value) => {
      answered = true
      return value
    })
    await vi.waitFor(() => expect(api.engine.running).toBe(1))
    expect(await (await api.get('/v1/models')).json()).toHaveProperty('data')
    expect(answered).toBe(false)
    open()
    expect((await readEvents(await response)).done).toBe(true)
  })

  it.each([
    [
      'context_length_exceeded',
      400,
      new InvalidError('messages', 'Long.', 'context_length_exceeded'),
    ],
    ['overloaded', 503, new BusyError('Full.', 1500)],
    ['internal_error', 500, new Error('secret /home/somebody')],
  ])('so a %s before it is an answer of its own', async (code, status, error) => {
    for (const stream of [true, false]) {
      const { fail, script } = gated([{ type: 'accepted', inputTokens: 1 }], [])
      const api = await start(script)
      const response = api.post(path, { ...request, stream })
      fail(error)
      expect((await response).status).toBe(status)
      const body = JSON.stringify(await (await response).json())
      expect(body).toContain(`"code":"${code}"`)
      expect(body).not.toContain('secret')
    }
  })

  it('does not wait for ever', async () => {
    for (const stream of [true, false]) {
      const api = await start(silence, { firstByteMs: 20 })
      const response = await api.post(path, { ...request, stream })
      expect(response.status).toBe(504)
      expect(await response.json()).toMatchObject({ error: { code: 'first_byte_timeout' } })
      await vi.waitFor(() => expect(api.engine.running).toBe(0))
      expect(api.engine.aborted).toBe(1)
    }
  })

  it('does not wait for ever for an engine that ignores its signal either', async () => {
    const { script } = gated([], [])
    const api = await start(script, { firstByteMs: 20 })
    expect((await api.post(path, request)).status).toBe(504)
  })
})

describe('a fault after the first token', () => {
  it('is one event, and the stream ends without the mark of completeness', async () => {
    const { fail, script } = gated([token('a')], [])
    const api = await start(script)
    const response = await api.post(path, request)
    fail(new BusyError('The engine died; ask again.'))
    const { events, done } = await readEvents(response)
    expect(events.at(-1)).toEqual({
      error: {
        message: 'The engine died; ask again.',
        type: 'server_error',
        param: null,
        code: 'overloaded',
      },
      request_id: response.headers.get('x-request-id'),
    })
    expect(events.filter((event) => 'error' in event)).toHaveLength(1)
    expect(done).toBe(false)
  })

  it("reaches the user of OpenAI's client as its error", async () => {
    const { fail, script } = gated([token('a')], [])
    const api = await start(script)
    const client = new OpenAI({ baseURL: api.baseURL, apiKey: api.apiKey })
    const stream = await client.chat.completions.create({
      model: 'test-chat',
      messages: [{ role: 'user', content: 'Hi' }],
      stream: true,
    })
    fail(new BusyError('The engine died; ask again.'))
    const read = async () => {
      for await (const chunk of stream) expect(chunk.choices).toHaveLength(1)
    }
    await expect(read()).rejects.toMatchObject({ code: 'overloaded', type: 'server_error' })
  })

  it('says nothing of what only the log may know', async () => {
    const { fail, script } = gated([token('a')], [])
    const api = await start(script)
    const response = await api.post(path, request)
    fail(new Error('secret /home/somebody'))
    const text = await response.text()
    expect(text).toContain('internal_error')
    expect(text).not.toContain('secret')
  })

  it('may be that nothing comes any more', async () => {
    const { script } = gated([token('a')], [])
    const api = await start(script, { idleMs: 20 })
    const { events, done } = await readEvents(await api.post(path, request))
    expect(events.at(-1)).toMatchObject({ error: { code: 'deadline_exceeded' } })
    expect(done).toBe(false)
  })

  it('may be that the peer stops', async () => {
    const cancelled: Chunk = { type: 'done', finish: ['cancelled'], usage }
    const { open, script } = gated([token('a')], [cancelled])
    const api = await start(script)
    const response = await api.post(path, request)
    open()
    const { events, done } = await readEvents(response)
    expect(events.at(-1)).toMatchObject({ error: { code: 'shutting_down' } })
    expect(done).toBe(false)
  })
})

describe('a client that leaves', () => {
  it.each([
    ['in the middle of a stream', endless, true],
    ['while its prompt is read', silence, true],
    ['while it waits for the whole', endless, false],
  ])('%s stops the work', async (_name, script, stream) => {
    const api = await start(script)
    const stop = new AbortController()
    const response = api.post(path, { ...request, stream }, stop.signal)
    const read = async () => {
      for await (const _bytes of (await response).body ?? []) stop.abort()
    }
    const aborted = expect(read()).rejects.toThrow(/abort/i)
    await vi.waitFor(() => expect(api.engine.jobs).toHaveLength(1))
    if (!stream || script === silence) stop.abort()
    await aborted
    await vi.waitFor(() => expect(api.engine.running).toBe(0))
    expect(api.engine.aborted).toBe(1)
  })
})

/** Sends a request and reads nothing of its answer. */
function deafClient(api: TestApi, body: object): Socket {
  const { port } = new URL(api.origin)
  const socket = connectTcp(Number(port), '127.0.0.1').pause()
  const text = JSON.stringify(body)
  socket.on('error', () => {})
  socket.write(
    `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${api.apiKey}\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  )
  return socket
}

describe('a client that does not read', () => {
  const text = 'x'.repeat(64 * 1024)

  it('is given no more than the sockets hold, and then dropped', async () => {
    let made = 0
    const api = await start(
      async function* (_job, signal) {
        while (!signal.aborted) {
          yield token(text, made++)
          await new Promise((resolve) => setImmediate(resolve))
        }
        yield { type: 'done', finish: ['cancelled'], usage }
      },
      { stallMs: 100 },
    )
    const socket = deafClient(api, request)
    await vi.waitFor(() => expect(api.engine.aborted).toBe(1), { timeout: 10_000 })
    expect(api.engine.running).toBe(0)
    // The kernel's own buffers on loopback take up to 10 MiB.
    expect(made * text.length).toBeLessThan(32 * 1024 * 1024)
    socket.destroy()
  })

  it('misses nothing when it reads after all', async () => {
    const count = 300
    const api = await start(async function* () {
      for (let index = 0; index < count; index++) yield token(text, index)
      yield end
    })
    const response = await api.post(path, request)
    // By now the engine, which never waits, has filled every buffer.
    await api.get('/v1/models')
    expect(api.engine.running).toBe(1)
    const { events, done } = await readEvents(response)
    expect(JSON.stringify(events).match(/x{65536}/g)).toHaveLength(count)
    expect(done).toBe(true)
  })
})

describe('a quiet stream', () => {
  it('is kept alive by comments that clients do not see', async () => {
    const { open, script } = gated([token('a')], [token('b', 1), end])
    const api = await start(script, { pingMs: 5 })
    const response = await api.post(path, request)
    let seen = ''
    const decoder = new TextDecoder()
    for await (const bytes of response.body ?? []) {
      seen += decoder.decode(bytes)
      if (seen.split(': ping\n\n').length > 3) open()
    }
    expect(seen).toMatch(/\n\n: ping\n\n/)
    expect(seen.endsWith('data: [DONE]\n\n')).toBe(true)
  })

  it("is read to its end by OpenAI's client", async () => {
    const { open, script } = gated([token('a')], [token('b', 1), end])
    const api = await start(script, { pingMs: 5 })
    const watch = async (body: ReadableStream<Uint8Array>) => {
      let seen = ''
      for await (const bytes of body) {
        seen += new TextDecoder().decode(bytes)
        if (seen.includes(': ping')) open()
      }
    }
    const client = new OpenAI({
      baseURL: api.baseURL,
      apiKey: api.apiKey,
      fetch: async (url, init) => {
        const { body, status, headers } = await fetch(url, init)
        const [ours, theirs] = body?.tee() ?? []
        if (ours !== undefined) watch(ours)
        return new Response(theirs, { status, headers })
      },
    })
    const stream = await client.chat.completions.create({
      model: 'test-chat',
      messages: [{ role: 'user', content: 'Hi' }],
      stream: true,
    })
    let content = ''
    for await (const chunk of stream) content += chunk.choices[0]?.delta.content ?? ''
    expect(content).toBe('ab')
  })
})

describe('over HTTP/2', () => {
  let session: ClientHttp2Session

  async function startHttp2(script: Script): Promise<TestApi> {
    const api = await start(script, { tls: { certPem, keyPem }, stallMs: 100 })
    session = connectHttp2(api.origin, { ca: certPem })
    return api
  }

  function ask({ apiKey }: TestApi) {
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      authorization: `Bearer ${apiKey}`,
      'content-type': 'application/json',
    })
    stream.end(JSON.stringify(request))
    return stream.setEncoding('utf8')
  }

  afterEach(() => session.close())

  it('a stream is the same', async () => {
    const stream = ask(await startHttp2(talk))
    const head = once(stream, 'response')
    let text = ''
    for await (const part of stream) text += part
    expect((await head)[0]).toMatchObject({ ':status': 200, 'x-accel-buffering': 'no' })
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true)
  })

  it('a client that leaves stops the work', async () => {
    const api = await startHttp2(endless)
    const stream = ask(api)
    await once(stream, 'data')
    stream.close(constants.NGHTTP2_CANCEL)
    await vi.waitFor(() => expect(api.engine.aborted).toBe(1))
    expect(api.engine.running).toBe(0)
  })

  it('a client that does not read is dropped', async () => {
    const api = await startHttp2(endless)
    const stream = ask(api)
      .pause()
      .on('error', () => {})
    await vi.waitFor(() => expect(api.engine.aborted).toBe(1), { timeout: 10_000 })
    expect(api.engine.running).toBe(0)
    stream.destroy()
  })
})

describe('a burst of tokens', () => {
  it('goes out in few packets', async () => {
    const api = await start(async function* () {
      for (let index = 0; index < 100; index++) yield token('a', index)
      yield end
    })
    const response = await api.post(path, request)
    let packets = 0
    for await (const _bytes of response.body ?? []) packets++
    expect(packets).toBeLessThan(10)
  })
})
