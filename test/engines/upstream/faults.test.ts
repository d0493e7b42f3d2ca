import { createServer } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type Answer, done, event, FakeServer, json, stream } from './fake-server.ts'
import { answer, chat, fault, jobOf, type Options, readyEngine } from './stage.ts'

const SECRET = 'node-7.inner.example.com says: /home/eve/models'

const word = (content: string, finish_reason: string | null = null) => ({
  choices: [{ index: 0, delta: { content }, finish_reason }],
})

/** One that is well until it is asked for an answer. */
async function failing(chatAnswer: Answer, options: Options = {}) {
  const server = await new FakeServer((asked, response) => {
    if (asked.path === '/v1/models') json(response, { data: [{ id: 'm' }] })
    else if (asked.path === '/v1/chat/completions') return chatAnswer(asked, response)
    else response.writeHead(404).end()
  }).start()
  return { server, engine: await readyEngine(server, options) }
}

describe('a server that does not do as it should', () => {
  const status = (code: number, headers = {}): Answer => {
    return (_, response) => {
      response.writeHead(code, { 'content-type': 'application/json', ...headers })
      response.end(JSON.stringify({ error: { message: SECRET, code: null } }))
    }
  }
  const raw = (text: string, type = 'text/event-stream'): Answer => {
    return (_, response) => {
      response.writeHead(200, { 'content-type': type })
      response.end(text)
    }
  }
  const said = (value: unknown) => `data: ${JSON.stringify(value)}\n\n`
  const cut = (...events: unknown[]): Answer => {
    return (_, response) => {
      stream(response)
      for (const each of events) event(response, each)
      response.write('data: {"cho', () => response.destroy())
    }
  }

  it.each<[string, Answer, string]>([
    ['refuses the request', status(400), 'unsupported_value'],
    ['wants another key', status(401), 'model_failed'],
    ['does not let us in', status(403), 'model_failed'],
    ['does not have the model', status(404), 'model_failed'],
    ['takes no such request', status(422), 'unsupported_value'],
    ['is busy', status(429), 'overloaded'],
    ['fails', status(500), 'engine_failed'],
    ['is behind a proxy that fails', status(502), 'engine_failed'],
    ['has no room', status(503), 'overloaded'],
    ['answers with a page', raw('<html>Sign in</html>', 'text/html'), 'engine_failed'],
    ['answers with JSON', raw('{"choices":[]}', 'application/json'), 'engine_failed'],
    ['answers with a page for a stream', raw('<html>\n\n</html>\n\n'), 'engine_failed'],
    ['answers with nothing', raw(''), 'engine_failed'],
    ['sends garbage', raw('data: {]\n\n'), 'engine_failed'],
    ['sends other types', raw(said({ choices: [{ delta: { content: 7 } }] })), 'engine_failed'],
    ['sends a line without an end', raw(`data: ${'x'.repeat(600_000)}`), 'engine_failed'],
    ['tells of an error', raw(said({ error: { message: SECRET } })), 'engine_failed'],
    ['ends without a finish', raw(said(word('so'))), 'engine_failed'],
    ['breaks off', cut(word('so'), word(' it')), 'engine_failed'],
    ['breaks off before a word', cut(), 'engine_failed'],
    ['hangs up', (_, response) => void response.destroy(), 'model_failed'],
    [
      'speaks another protocol',
      (_, response) => {
        const head = 'HTTP/1.1 101 Switching Protocols'
        response.socket?.write(`${head}\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n`)
      },
      'model_failed',
    ],
  ])('and %s is told of in our words', async (_what, chatAnswer, code) => {
    const { engine, server } = await failing(chatAnswer)
    const error = await fault(engine)
    expect(error).toMatchObject({ code, name: expect.stringMatching(/^(Peer|Busy|Invalid)Error$/) })
    const { message } = error as Error
    expect(message).toMatch(/[.] .*(Ask|Shorten)/)
    for (const secret of ['example.com', 'eve', String(server.port), '127.0.0.1', 'up']) {
      expect(message.split(/[ .']/)).not.toContain(secret)
    }
  })

  it('and complains byte by byte is told of before anybody gets tired', async () => {
    const { engine } = await failing((_, response) => {
      response.writeHead(500)
      let left = 60_000
      const more = () => {
        for (let at = 0; at < 500; at++) response.write('a')
        left -= 500
        if (left > 0) setImmediate(more)
        else response.end()
      }
      more()
    })
    const before = process.cpuUsage()
    expect(await fault(engine)).toMatchObject({ code: 'engine_failed' })
    const { user } = process.cpuUsage(before)
    expect(user / 1e6).toBeLessThan(5)
  })

  it('says when to ask again, as far as that makes sense', async () => {
    const waitOf = async (seconds: string) => {
      const { engine } = await failing(status(429, { 'retry-after': seconds }))
      return ((await fault(engine)) as { retryAfterMs: number }).retryAfterMs
    }
    expect([await waitOf('7'), await waitOf('999999'), await waitOf('soon')]).toEqual([
      7000, 60_000, 1000,
    ])
  })

  it.each(['/v1/elsewhere', 'http://169.254.169.254/latest'])(
    'is not followed to %s',
    async (location) => {
      const { engine, server } = await failing(status(307, { location }))
      expect(await fault(engine)).toMatchObject({ code: 'engine_failed' })
      expect(server.asked.some(({ path }) => path === '/v1/elsewhere')).toBe(false)
    },
  )

  const patience = { firstTokenMs: 60, silenceMs: 60, trailingMs: 40 }

  it.each<[string, Answer]>([
    ['says nothing', () => {}],
    ['has a head alone', (_, response) => stream(response)],
    [
      'sends comments alone',
      async ({ gone }, response) => {
        stream(response)
        const timer = setInterval(() => response.write(': ping\n\n'), 5)
        await gone
        clearInterval(timer)
      },
    ],
    [
      'sends a word, and no other',
      (_, response) => {
        stream(response)
        event(response, word('so'))
      },
    ],
    [
      'sends empty words alone',
      async ({ gone }, response) => {
        stream(response)
        const timer = setInterval(() => event(response, word('')), 5)
        await gone
        clearInterval(timer)
      },
    ],
  ])('and %s is given up in time, and told', async (_what, chatAnswer) => {
    const { engine, server } = await failing(chatAnswer, patience)
    expect(await fault(engine)).toMatchObject({ code: 'deadline_exceeded' })
    await expect.poll(() => server.gone).toBe(1)
  })

  it('has said all with its finish: nobody waits long for its usage', async () => {
    const { engine } = await failing((_, response) => {
      stream(response)
      event(response, word('so'))
      event(response, word('', 'stop'))
    }, patience)
    const { text, done } = await answer(engine)
    expect(text).toBe('so')
    // Of the prompt, what is sure of most texts: 15 bytes.
    expect(done).toMatchObject({ finish: ['stop'], usage: { inputTokens: 4, outputTokens: 1 } })
  })

  it('has said all with [DONE], too', async () => {
    const { engine } = await failing((_, response) => {
      stream(response)
      event(response, word('so'))
      done(response)
    })
    expect((await answer(engine)).done.finish).toEqual(['stop'])
  })

  it.each([
    ['more tokens than were asked for', { content: 'x' }],
    ['thoughts without an end', { reasoning_content: 'x' }],
  ])('and sends %s is cut off', async (_what, delta) => {
    const { engine, server } = await failing((_, response) => {
      stream(response)
      const flood = () => {
        while (response.write(`data: ${JSON.stringify({ choices: [{ delta }] })}\n\n`));
        response.once('drain', flood)
      }
      flood()
    })
    const { done, text } = await answer(engine, jobOf(chat({ maxTokens: 5 })))
    expect(done).toMatchObject({ finish: ['length'], usage: { outputTokens: 5 } })
    expect(text.length).toBeLessThan(10_000)
    await expect.poll(() => server.gone).toBe(1)
  })

  it('is made to wait by a reader that does not read', async () => {
    let written = 0
    const { engine, server } = await failing((_, response) => {
      stream(response)
      const flood = () => {
        for (;;) {
          written++
          if (!response.write(`data: ${JSON.stringify(word('x'.repeat(100)))}\n\n`)) break
        }
        response.once('drain', flood)
      }
      flood()
    })
    const leaving = new AbortController()
    const chunks = engine.generate(jobOf(), leaving)[Symbol.asyncIterator]()
    await chunks.next()
    await chunks.next()
    let before = -1
    // What the sockets hold fills up, and then nothing moves.
    const isStill = () => {
      const still = before === written
      before = written
      return still
    }
    await expect.poll(isStill, { interval: 50 }).toBe(true)
    expect(written).toBeLessThan(200_000)
    leaving.abort()
    for (;;) {
      const { value } = await chunks.next()
      if (value?.type === 'done') break
    }
    await expect.poll(() => server.gone).toBe(1)
  })

  it.each<[string, unknown]>([
    ['a vector of another length', [{ embedding: [1, 2] }, { embedding: [1] }]],
    ['a vector too few', [{ embedding: [1, 2] }]],
    [
      'one twice',
      [
        { index: 0, embedding: [1] },
        { index: 0, embedding: [1] },
      ],
    ],
    ['one of nothing', [{ embedding: [] }, { embedding: [] }]],
    ['one of zeros', [{ embedding: [0, 0] }, { embedding: [0, 0] }]],
    ['one of words', [{ embedding: ['a'] }, { embedding: ['b'] }]],
    ['one of what is no number', [{ embedding: [null] }, { embedding: [1] }]],
    ['no list', { embedding: [1] }],
  ])('and makes %s makes none', async (_what, data) => {
    const server = await new FakeServer(({ path, body }, response) => {
      const isProbe = Array.isArray(body.input) && body.input.length === 1
      if (path === '/v1/models') json(response, { data: [{ id: 'embed' }] })
      else if (path !== '/v1/embeddings') response.writeHead(404).end()
      else json(response, { data: isProbe ? [{ embedding: [1, 0] }] : data })
    }).start()
    const engine = await readyEngine(server)
    const job = jobOf({ kind: 'embedding', inputs: ['a', 'b'] })
    expect(await fault(engine, job)).toMatchObject({ code: 'engine_failed' })
  })
})

describe('a connection that was kept', () => {
  it('and was dropped meanwhile costs nobody an answer', async () => {
    const { engine, server } = await failing((_, response) => {
      stream(response)
      event(response, word('so', 'stop'))
      done(response)
    })
    for (let n = 0; n < 3; n++) {
      expect((await answer(engine)).text).toBe('so')
      server.dropIdle()
    }
  })

  it('that never comes about is given up', async () => {
    // Takes a connection and says nothing: TLS never stands.
    const silent = createServer(() => {})
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void silent.close())
    const { port } = silent.address() as { port: number }
    const { UpstreamHttp } = await import('../../../src/engines/upstream/upstream-http.ts')
    const { systemClock } = await import('../../../src/base/clock.ts')
    const place = { base: new URL(`https://127.0.0.1:${port}`), key: undefined }
    const http = new UpstreamHttp(systemClock, place, { connectMs: 50 })
    const { signal } = new AbortController()
    await expect(http.text({ path: '/v1/models', bytesMax: 1 }, signal)).rejects.toMatchObject({
      code: 'model_failed',
    })
    http.close()
  })
})
