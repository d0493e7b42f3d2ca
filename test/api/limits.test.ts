import { once } from 'node:events'
import { describe, expect, it, onTestFinished } from 'vitest'
import { clientSignal } from '../../src/api/client-signal.ts'
import { nestsDeeper } from '../../src/api/json-body.ts'
import type { RouteModule } from '../../src/api/route.ts'
import { asOwner, errorOf, json, rawSocket, readAll, startServer } from './harness.ts'

const KIB = 1024
const MIB = 1024 * KIB

const echo: RouteModule = (app) => {
  app.get('/hello', { config: { access: 'public' } }, () => ({ hello: 'world' }))
  app.post('/echo', { config: { access: 'public' } }, ({ body }) => ({
    chars: JSON.stringify(body).length,
  }))
  app.post('/private', { config: { access: 'inference' } }, () => ({}))
}

const post = (url: string, body: BodyInit, headers = json) =>
  fetch(url, { method: 'POST', headers, body, duplex: 'half' } as RequestInit)

describe('a body', () => {
  it('of the largest size is taken, one byte more is a 413', async () => {
    const { url } = await startServer([echo], { bodyBytesMax: 64 * KIB })
    const fits = `"${'x'.repeat(64 * KIB - 2)}"`
    expect((await post(`${url}/echo`, fits)).status).toBe(200)
    const answer = await post(`${url}/echo`, `${fits} `)
    expect(answer.status).toBe(413)
    expect((await errorOf(answer)).error.code).toBe('request_too_large')
  })

  it('of no announced length is cut at the limit, and its sender learns why', async () => {
    const { url } = await startServer([echo], { bodyBytesMax: 64 * KIB })
    const chunk = new TextEncoder().encode('x'.repeat(16 * KIB))
    let sent = 0
    const stream = new ReadableStream({
      pull(controller) {
        sent += chunk.length
        if (sent > 512 * KIB) controller.close()
        else controller.enqueue(chunk)
      },
    })
    expect((await post(`${url}/echo`, stream)).status).toBe(413)
  })

  it('is taken whatever its sender expects before it', async () => {
    const { port } = await startServer([echo])
    for (const [expected, lines] of [
      ['100-continue', /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /],
      ['the-impossible', /^HTTP\/1\.1 200 /],
    ] as const) {
      const socket = await rawSocket(port)
      const text = readAll(socket)
      socket.write(
        `POST /echo HTTP/1.1\r\nHost: localhost\r\nExpect: ${expected}\r\nConnection: close\r\n` +
          'Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}',
      )
      expect(await text).toMatch(lines)
    }
  })

  it('that is refused and never ends loses its connection', async () => {
    const { port } = await startServer([echo], { lingerMs: 50 })
    const socket = await rawSocket(port)
    const text = readAll(socket)
    socket.write(
      'POST /private HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n' +
        'Transfer-Encoding: chunked\r\n\r\n5\r\n"mmmm\r\n',
    )
    expect(await text).toMatch(/^HTTP\/1\.1 401 /)
  })

  it('that is refused and does end keeps its connection', async () => {
    const { port } = await startServer([echo], { lingerMs: 5_000 })
    const socket = await rawSocket(port)
    socket.write(
      'POST /private HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n' +
        'Content-Length: 4\r\n\r\n1',
    )
    await new Promise<void>((resolve) => socket.once('data', () => resolve()))
    const text = readAll(socket)
    socket.write('234GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
    expect(await text).toContain('{"hello":"world"}')
  })

  it('longer than it says does not reach into the next request', async () => {
    const { port } = await startServer([echo])
    const socket = await rawSocket(port)
    const text = readAll(socket)
    socket.write(
      'POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n' +
        'Content-Length: 2\r\n\r\n11GARBAGE\r\n\r\n',
    )
    // The rest is read before the first answer is out: nothing on this connection can be trusted.
    expect(await text).toMatch(/^HTTP\/1\.1 400 .*"code":"invalid_request"/s)
  })

  it('that arrives too slowly is a 408', async () => {
    const { port } = await startServer([echo], { requestTimeoutMs: 200 })
    const socket = await rawSocket(port)
    const text = readAll(socket)
    socket.write(
      'POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n' +
        'Content-Length: 100\r\n\r\n{',
    )
    expect(await text).toMatch(/^HTTP\/1\.1 408 .*"code":"request_timeout"/s)
  })
})

describe('nesting', () => {
  it.each([
    ['[[[]]]', 3, false],
    ['[[[]]]', 2, true],
    ['{"a":{"b":[]}}', 2, true],
    ['[],[],[]', 1, false],
    ['"[[[["', 1, false],
    ['["\\"[[["]', 1, false],
    ['["\\\\",[[]]]', 2, true],
    ['["open', 1, false],
  ])('of %s against %i levels', (text, levels, deeper) => {
    expect(nestsDeeper(text, levels)).toBe(deeper)
  })
})

describe('headers', () => {
  it('that come too slowly lose their connection, while others are served', async () => {
    const { url, port } = await startServer([echo], { headersTimeoutMs: 200 })
    const lorises = await Promise.all(Array.from({ length: 20 }, () => rawSocket(port)))
    const ends = lorises.map(readAll)
    for (const socket of lorises) socket.write('GET /hello HTTP/1.1\r\nHost: loc')
    expect((await fetch(`${url}/hello`)).status).toBe(200)
    for (const text of await Promise.all(ends)) {
      expect(text).toMatch(/^HTTP\/1\.1 408 /)
      expect(text).toMatch(/"request_id":"req_[0-9a-z]{26}"/)
    }
  })

  it('too many, or too large, are a 431', async () => {
    const { url } = await startServer([echo], { headersMax: 20, headerBytesMax: 4 * KIB })
    const many = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`x-${i}`, 'y']))
    for (const headers of [many, { 'x-long': 'y'.repeat(8 * KIB) }]) {
      const answer = await fetch(`${url}/hello`, { headers: new Headers(headers as never) })
      expect(answer.status).toBe(431)
      expect((await errorOf(answer)).error.code).toBe('headers_too_large')
    }
  })
})

describe('what is no HTTP', () => {
  it.each([
    ['garbage', 'hello there\r\n\r\n'],
    ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
    [
      'two lengths',
      'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
    ],
    [
      'a length and chunks',
      'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
  ])('(%s) is refused and hung up on', async (_what, text) => {
    const { port } = await startServer([echo])
    const socket = await rawSocket(port)
    const answer = readAll(socket)
    socket.write(text)
    expect(await answer).toMatch(/^HTTP\/1\.1 400 /)
    expect(await answer).toMatch(/\r\nX-Request-Id: (req_\w+)\r\n.*"request_id":"\1"/s)
  })

  it('does not write into an answer that has begun', async () => {
    const begun: RouteModule = (app) => {
      app.get('/stream', { config: { access: 'public' } }, (_request, reply) => {
        reply.hijack()
        reply.raw.writeHead(200, { 'content-type': 'text/event-stream' })
        reply.raw.write('data: 1\n\n')
      })
    }
    const { port } = await startServer([begun])
    const socket = await rawSocket(port)
    const text = readAll(socket)
    socket.write('GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await new Promise<void>((resolve) => socket.once('data', () => resolve()))
    socket.write('nonsense\r\n\r\n')
    expect((await text).match(/HTTP\/1\.1/g)).toHaveLength(1)
  })
})

describe('connections', () => {
  it('beyond the limit are dropped; a place that becomes free is given again', async () => {
    const { url, port } = await startServer([echo], { connectionsMax: 2 })
    const [first] = [await rawSocket(port), await rawSocket(port)]
    const third = await rawSocket(port)
    expect(await readAll(third)).toBe('')
    const freed = new Promise<void>((resolve) => first?.once('close', () => resolve()))
    first?.destroy()
    await freed
    await expect
      .poll(async () => (await fetch(`${url}/hello`).catch(() => undefined))?.status)
      .toBe(200)
  })
})

describe('a client that leaves', () => {
  function waiting() {
    const begun = Promise.withResolvers<void>()
    const left = Promise.withResolvers<string>()
    const routes: RouteModule = (app) => {
      app.post('/wait', { config: { access: 'public' } }, (_request, reply) => {
        const signal = clientSignal(reply)
        expect(clientSignal(reply)).toBe(signal)
        signal.addEventListener('abort', () => left.resolve(signal.reason.name))
        begun.resolve()
        return new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason))
        })
      })
      app.get('/done', { config: { access: 'public' } }, (_request, reply) => {
        clientSignal(reply).addEventListener('abort', () => left.resolve('too late'))
        return { done: true }
      })
    }
    return { begun: begun.promise, left: left.promise, routes }
  }

  it('is noticed while its request is worked on, and counted as a 499', async () => {
    const { begun, left, routes } = waiting()
    const { url, metrics, log } = await startServer([routes])
    const abort = new AbortController()
    const answer = fetch(`${url}/wait`, {
      method: 'POST',
      headers: json,
      body: '{}',
      signal: abort.signal,
    })
    const gone = expect(answer).rejects.toThrow()
    await begun
    abort.abort()
    await gone
    expect(await left).toBe('AbortError')
    expect(await metrics.text()).toContain(
      'pinaivu_http_requests_total{method="POST",route="/wait",status="499"} 1',
    )
    expect(log.filter(({ level }) => level !== 'debug')).toEqual([])
  })

  it('in the middle of its body is counted as a 499 too, and no fault of ours', async () => {
    const { port, metrics, log } = await startServer([echo])
    const socket = await rawSocket(port)
    socket.write(
      'POST /echo HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n' +
        'Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{"a',
    )
    await once(socket, 'data')
    socket.destroy()
    await expect
      .poll(() => metrics.text())
      .toContain('pinaivu_http_requests_total{method="POST",route="/echo",status="499"} 1')
    expect(log.filter(({ level }) => level !== 'debug')).toEqual([])
  })

  it('is noticed for a request that waits behind another on the same connection', async () => {
    const { begun, left, routes } = waiting()
    const { port } = await startServer([routes])
    const socket = await rawSocket(port)
    const head = 'POST /wait HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n'
    socket.write(head + head)
    await begun
    socket.destroy()
    expect(await left).toBe('AbortError')
  })

  it('after its answer is no loss', async () => {
    const { left, routes } = waiting()
    const { url } = await startServer([routes])
    expect(await (await fetch(`${url}/done`)).json()).toEqual({ done: true })
    const { port } = new URL(url)
    const socket = await rawSocket(Number(port))
    const text = readAll(socket)
    socket.write('GET /done HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
    await text
    expect(await Promise.race([left, Promise.resolve('never')])).toBe('never')
  })
})

describe('a client that takes nothing of its answer', () => {
  const large: RouteModule = (app) => {
    app.get('/large', { config: { access: 'public' } }, () => ({ text: 'x'.repeat(16 * MIB) }))
    app.get('/later', { config: { access: 'public' } }, async () => {
      await new Promise((resolve) => setTimeout(resolve, 150))
      return { here: true }
    })
  }

  it('loses its connection, and the server what it held for it', async () => {
    const { port, metrics } = await startServer([large], { stallMs: 100 })
    const socket = await rawSocket(port)
    socket.pause()
    socket.write('GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await expect
      .poll(() => metrics.text(), { timeout: 5_000 })
      .toMatch(/requests_total\{method="GET",route="\/large",status="\d+"\} 1/)
  })

  it('loses its connection too when it asked for many at once', async () => {
    const { port, metrics } = await startServer([large], { stallMs: 100 })
    const socket = await rawSocket(port)
    socket.pause()
    socket.write('GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(4))
    await expect
      .poll(() => metrics.text(), { timeout: 5_000 })
      .toMatch(/requests_total\{method="GET",route="\/large",status="\d+"\} 4/)
  })

  it('is not one that waits for an answer', async () => {
    const { url } = await startServer([large], { stallMs: 50 })
    expect(await (await fetch(`${url}/later`)).json()).toEqual({ here: true })
  })
})

describe('a connection that asks again and again in vain', () => {
  it('leaves nothing behind of each refusal', async () => {
    const { port } = await startServer([echo])
    const warnings: Error[] = []
    const onWarning = (warning: Error) => warnings.push(warning)
    process.on('warning', onWarning)
    onTestFinished(() => {
      process.off('warning', onWarning)
    })
    const socket = await rawSocket(port)
    for (let n = 0; n < 20; n++) {
      const answer = once(socket, 'data')
      socket.write('POST /private HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}')
      expect(String((await answer)[0])).toContain('401')
    }
    expect(warnings).toEqual([])
  })
})

describe('a thousand idle streams', () => {
  it('keep nobody waiting and end with the server', async () => {
    const streams: RouteModule = (app) => {
      app.get('/stream', { config: { access: 'public' } }, (_request, reply) => {
        reply.hijack()
        reply.raw.writeHead(200, { 'content-type': 'text/event-stream' })
        reply.raw.write('data: 1\n\n')
      })
    }
    const { url, port, server } = await startServer([streams, echo], { drainMs: 100 })
    const sockets = await Promise.all(Array.from({ length: 1000 }, () => rawSocket(port)))
    const begun = sockets.map(
      (socket) => new Promise<void>((resolve) => socket.once('data', () => resolve())),
    )
    const ends = sockets.map(readAll)
    for (const socket of sockets) socket.write('GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await Promise.all(begun)
    const answer = await fetch(`${url}/hello`, { headers: asOwner })
    expect(answer.status).toBe(200)
    await server.stop()
    for (const text of await Promise.all(ends)) expect(text).toContain('data: 1')
  })
})
