import { once } from 'node:events'
import {
  type ClientHttp2Session,
  connect as connectHttp2,
  constants,
  type ServerHttp2Stream,
} from 'node:http2'
import { request as httpsRequest } from 'node:https'
import { type AddressInfo, connect, createServer } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { clientSignal } from '../../src/api/client-signal.ts'
import type { HttpOptions } from '../../src/api/http-options.ts'
import type { RouteModule } from '../../src/api/route.ts'
import { HttpServer } from '../../src/api/server.ts'
import { systemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { noMetrics } from '../../src/base/metrics.ts'
import { systemRandom } from '../../src/base/random.ts'
import { certPem, keyPem } from './certificate.ts'
import { type ErrorBody, rawSocket, readAll, startServer, stubKeys } from './harness.ts'

const tls = { certPem, keyPem }

const routes: RouteModule = (app) => {
  app.get('/hello', { config: { access: 'public' } }, ({ raw }) => ({ version: raw.httpVersion }))
  app.post('/echo', { config: { access: 'inference' } }, ({ body }) => body as object)
  app.get('/trailers', { config: { access: 'public' } }, (_request, reply) => {
    reply.hijack()
    reply.raw.writeHead(200, { ...(reply.getHeaders() as object), 'content-type': 'text/plain' })
    reply.raw.addTrailers({ 'x-after': 'all' })
    reply.raw.end('text')
  })
}

const start = (more: RouteModule[] = [], options: Partial<HttpOptions> = {}) =>
  startServer([routes, ...more], { tls, ...options })

function session(url: string): ClientHttp2Session {
  const client = connectHttp2(url, { ca: certPem })
  client.on('error', () => {})
  onTestFinished(() => client.destroy())
  return client
}

interface Answer {
  status: number
  headers: Record<string, unknown>
  trailers: Record<string, unknown>
  text: string
}

function ask(
  client: ClientHttp2Session,
  headers: Record<string, string>,
  body?: string,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const stream = client.request(headers, { endStream: body === undefined })
    const answer: Answer = { status: 0, headers: {}, trailers: {}, text: '' }
    stream.on('response', (head) => {
      answer.status = Number(head[':status'])
      answer.headers = head
    })
    stream.on('trailers', (trailers) => {
      answer.trailers = trailers
    })
    stream.on('data', (data) => {
      answer.text += data
    })
    stream.on('end', () => resolve(answer))
    stream.on('error', reject)
    stream.on('close', () => reject(new Error(`closed: ${stream.rstCode}`)))
    if (body !== undefined) stream.end(body)
  })
}

/** A head of a POST whose body never ends. */
function endless(client: ClientHttp2Session, path: string, headers: Record<string, string> = {}) {
  const stream = client.request({ ':method': 'POST', ':path': path, ...headers })
  stream.on('error', () => {})
  stream.write('{"never":')
  return stream
}

describe('with TLS', () => {
  it('speaks HTTP/2, and HTTP/1.1 to who knows no better', async () => {
    const { url } = await start()
    expect(url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/)
    const answer = await ask(session(url), { ':path': '/hello' })
    expect(answer).toMatchObject({ status: 200, text: '{"version":"2.0"}' })
    expect(answer.headers['x-request-id']).toMatch(/^req_/)
    const old = await new Promise<string>((resolve, reject) => {
      const request = httpsRequest(`${url}/hello`, { ca: certPem, agent: false }, (response) => {
        response.on('data', (data) => resolve(String(data)))
      })
      request.on('error', reject).end()
    })
    expect(old).toBe('{"version":"1.1"}')
  })

  it('has the same checks and errors over HTTP/2', async () => {
    const { url } = await start([], { bodyBytesMax: 1000, headersMax: 30 })
    const client = session(url)
    const post = { ':method': 'POST', ':path': '/echo', 'content-type': 'application/json' }
    const key = { 'x-api-key': 'sk-owner' }
    const code = ({ text }: Answer) => (JSON.parse(text) as ErrorBody).error.code
    const unknown = await ask(client, { ':path': '/nowhere' })
    expect([unknown.status, code(unknown)]).toEqual([404, 'unknown_url'])
    const keyless = await ask(client, post, '{}')
    expect([keyless.status, code(keyless)]).toEqual([401, 'invalid_api_key'])
    expect(await ask(client, { ...post, ...key }, '{"a":1}')).toMatchObject({
      status: 200,
      text: '{"a":1}',
    })
    const large = await ask(client, { ...post, ...key }, `"${'x'.repeat(2000)}"`)
    expect([large.status, code(large)]).toEqual([413, 'request_too_large'])
    const foreign = await ask(client, { ':path': '/hello', ':authority': 'evil.example' })
    expect([foreign.status, code(foreign)]).toEqual([403, 'host_not_allowed'])
  })

  it('sends trailers', async () => {
    const { url } = await start()
    const answer = await ask(session(url), { ':path': '/trailers' })
    expect(answer.trailers).toMatchObject({ 'x-after': 'all' })
    expect(answer.headers['x-request-id']).toMatch(/^req_/)
  })

  it('cuts a body that takes too long, and leaves the others on its connection alone', async () => {
    const { url } = await start([], { requestTimeoutMs: 50 })
    const client = session(url)
    const key = { 'x-api-key': 'sk-owner', 'content-type': 'application/json' }
    const slow = endless(client, '/echo', key)
    const status = new Promise((resolve) => {
      slow.once('response', (head) => resolve(head[':status']))
    })
    const closed = new Promise<void>((resolve) => slow.once('close', () => resolve()))
    slow.resume()
    expect(await status).toBe(408)
    await closed
    expect(await ask(client, { ':path': '/hello' })).toMatchObject({ status: 200 })
  })

  it('answers a refused upload at once, and is done with it', async () => {
    const { url } = await start()
    const stream = endless(session(url), '/echo')
    const status = await new Promise((resolve) => {
      stream.once('response', (head) => resolve(head[':status']))
    })
    expect(status).toBe(401)
    await new Promise<void>((resolve) => {
      if (stream.closed) resolve()
      else stream.once('close', () => resolve())
      stream.resume()
    })
  })

  it('notices a client that resets its stream, or drops the connection', async () => {
    const signals: AbortSignal[] = []
    const begun = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const wait: RouteModule = (app) => {
      app.get('/wait', { config: { access: 'public' } }, (_request, reply) => {
        signals.push(clientSignal(reply))
        begun[signals.length - 1]?.resolve()
        return new Promise(() => {})
      })
    }
    const { url } = await start([wait])
    const client = session(url)
    const first = client.request({ ':path': '/wait' })
    first.on('error', () => {})
    await begun[0]?.promise
    first.close(constants.NGHTTP2_CANCEL)
    await expect.poll(() => signals[0]?.aborted).toBe(true)
    client.request({ ':path': '/wait' }).on('error', () => {})
    await begun[1]?.promise
    expect(signals[1]?.aborted).toBe(false)
    client.destroy()
    await expect.poll(() => signals[1]?.aborted).toBe(true)
  })

  it('lets go of a client that takes nothing of its answer', async () => {
    const ended = Promise.withResolvers<void>()
    const large: RouteModule = (app) => {
      app.get('/large', { config: { access: 'public' } }, (_request, reply) => {
        reply.raw.once('close', () => ended.resolve())
        return { text: 'x'.repeat(4 * 1024 * 1024) }
      })
    }
    const { url } = await start([large], { stallMs: 100 })
    const stream = session(url).request({ ':path': '/large' })
    stream.on('error', () => {})
    stream.once('response', () => stream.pause())
    await ended.promise
  })

  it('hangs up on a connection of which nothing is read any more', async () => {
    const ended = Promise.withResolvers<void>()
    const large: RouteModule = (app) => {
      app.get('/large', { config: { access: 'public' } }, ({ raw }) => {
        const { stream } = raw as unknown as { stream: ServerHttp2Stream }
        stream.session?.once('close', () => ended.resolve())
        return { text: 'x'.repeat(8 * 1024 * 1024) }
      })
    }
    const { port } = await start([large], { stallMs: 100, keepAliveMs: 200 })
    const deaf = createServer((inner) => {
      const outer = connect(port, '127.0.0.1')
      for (const socket of [inner, outer]) socket.on('error', () => {})
      inner.pipe(outer)
      outer.on('data', (data) => {
        inner.write(data)
        // The head of the answer went by, and all that the kernel holds now stays there.
        if (outer.bytesRead > 64 * 1024) outer.pause()
      })
      onTestFinished(() => {
        inner.destroy()
        outer.destroy()
      })
    })
    deaf.listen(0, '127.0.0.1')
    await once(deaf, 'listening')
    onTestFinished(() => {
      deaf.close()
    })
    const client = session(`https://localhost:${(deaf.address() as AddressInfo).port}`)
    await once(client, 'connect')
    client.setLocalWindowSize(2 ** 30)
    const stream = client.request({ ':path': '/large' })
    stream.on('error', () => {}).resume()
    await ended.promise
  })

  it('says goodbye to a connection that asks for nothing', async () => {
    const { url } = await start([], { keepAliveMs: 50 })
    const client = session(url)
    const goodbye = once(client, 'goaway')
    expect((await ask(client, { ':path': '/hello' })).status).toBe(200)
    expect((await goodbye)[0]).toBe(constants.NGHTTP2_NO_ERROR)
  })

  it('tells a handler that asks too late that the client has left', async () => {
    const begun = Promise.withResolvers<void>()
    const late = Promise.withResolvers<boolean>()
    const ask: RouteModule = (app) => {
      app.get('/late', { config: { access: 'public' } }, (_request, reply) => {
        reply.raw.once('close', () => setImmediate(() => late.resolve(clientSignal(reply).aborted)))
        begun.resolve()
        return new Promise(() => {})
      })
    }
    const { url } = await start([ask])
    const client = session(url)
    client.request({ ':path': '/late' }).on('error', () => {})
    await begun.promise
    client.destroy()
    expect(await late.promise).toBe(true)
  })

  it('stops once its running streams have ended', async () => {
    const begun = Promise.withResolvers<void>()
    const go = Promise.withResolvers<void>()
    const slow: RouteModule = (app) => {
      app.get('/slow', { config: { access: 'public' } }, async () => {
        begun.resolve()
        await go.promise
        return { done: true }
      })
    }
    const { url, server, port } = await start([slow])
    const unsaid = await rawSocket(port)
    const end = readAll(unsaid)
    const idle = session(url)
    await ask(idle, { ':path': '/hello' })
    const answer = ask(session(url), { ':path': '/slow' })
    await begun.promise
    const stopped = server.stop()
    go.resolve()
    expect(await answer).toMatchObject({ text: '{"done":true}' })
    await stopped
    expect(await end).toBe('')
  })

  it('survives what is no TLS', async () => {
    const { url, port } = await start()
    const socket = await rawSocket(port)
    const end = readAll(socket)
    socket.write('GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await end
    expect(await ask(session(url), { ':path': '/hello' })).toMatchObject({ status: 200 })
  })

  it('says what is wrong with a certificate', async () => {
    const server = new HttpServer(
      {
        keys: stubKeys,
        logger: silentLogger,
        metrics: noMetrics,
        clock: systemClock,
        random: systemRandom,
      },
      { port: 0, routes: [], tls: { certPem: 'nonsense', keyPem } },
    )
    await expect(server.start({ signal: new AbortController().signal })).rejects.toMatchObject({
      code: 'invalid_tls',
      message: expect.stringContaining('--tls-cert'),
    })
  })
})
