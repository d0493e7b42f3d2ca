import { createServer } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { clientSignal } from '../../src/api/client-signal.ts'
import { mounted, type RouteModule } from '../../src/api/route.ts'
import { HttpServer } from '../../src/api/server.ts'
import { systemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { noMetrics } from '../../src/base/metrics.ts'
import { systemRandom } from '../../src/base/random.ts'
import { errorOf, rawSocket, readAll, startServer, stubKeys } from './harness.ts'

const hello: RouteModule = (app) => {
  app.get('/hello', { config: { access: 'public' } }, () => ({ hello: 'world' }))
}

function bareServer(options: Partial<ConstructorParameters<typeof HttpServer>[1]>) {
  const components = {
    keys: stubKeys,
    logger: silentLogger,
    metrics: noMetrics,
    clock: systemClock,
    random: systemRandom,
  }
  const server = new HttpServer(components, { port: 0, routes: [], ...options })
  onTestFinished(() => server.stop())
  return server
}

const signal = new AbortController().signal

/** A route that answers when it is told to. */
function slow() {
  const begun = Promise.withResolvers<void>()
  const go = Promise.withResolvers<void>()
  const routes: RouteModule = (app) => {
    app.get('/slow', { config: { access: 'public' } }, async () => {
      begun.resolve()
      await go.promise
      return { done: true }
    })
  }
  return { begun: begun.promise, go: go.resolve, routes }
}

describe('the server', () => {
  it('answers where its address says, and every answer has an id of its own', async () => {
    const { url, server } = await startServer([hello])
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:[1-9]\d+$/)
    const answers = await Promise.all([fetch(`${url}/hello`), fetch(`${url}/hello`)])
    const ids = answers.map((answer) => answer.headers.get('x-request-id'))
    for (const id of ids) expect(id).toMatch(/^req_[0-9a-hjkmnp-tv-z]{26}$/)
    expect(new Set(ids).size).toBe(2)
    expect(await answers[0]?.json()).toEqual({ hello: 'world' })
    expect(answers[0]?.headers.get('content-type')).toContain('application/json')
    await server.stop()
    await expect(fetch(`${url}/hello`)).rejects.toThrow()
    expect(() => server.address()).toThrow(/does not listen/)
  })

  it('answers HEAD wherever it answers GET', async () => {
    const { url } = await startServer([hello])
    const answer = await fetch(`${url}/hello`, { method: 'HEAD' })
    expect(answer.status).toBe(200)
    expect(await answer.text()).toBe('')
  })

  it('says which option changes a port that is in use', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    onTestFinished(() => {
      taken.close()
    })
    await new Promise<void>((resolve) => taken.once('listening', () => resolve()))
    const { port } = taken.address() as { port: number }
    const server = bareServer({ port })
    await expect(server.start({ signal })).rejects.toMatchObject({
      code: 'address_in_use',
      message: expect.stringMatching(/--http 127\.0\.0\.1:PORT/),
    })
    await server.stop()
  })

  it('says so when the address is not one of this machine', async () => {
    const server = bareServer({ host: '192.0.2.1', insecureHttp: true })
    await expect(server.start({ signal })).rejects.toMatchObject({ code: 'address_not_available' })
  })

  it('refuses to serve keys unencrypted to a network, unless told to', async () => {
    const open = bareServer({ host: '0.0.0.0' })
    await expect(open.start({ signal })).rejects.toMatchObject({
      code: 'insecure_bind',
      message: expect.stringMatching(/--tls-cert.*--insecure-http/),
    })
    const told = bareServer({ host: '0.0.0.0', insecureHttp: true })
    await told.start({ signal })
    expect(told.address()).toMatch(/^http:\/\/0\.0\.0\.0:\d+$/)
  })

  it('binds to the IPv6 loopback as well', async () => {
    const { url } = await startServer([hello], { host: '::1' })
    expect(url).toMatch(/^http:\/\/\[::1\]:\d+$/)
    expect((await fetch(`${url}/hello`)).status).toBe(200)
  })

  it('refuses to start with a route that does not say who may call it', async () => {
    const server = bareServer({ routes: [(app) => void app.get('/open', () => ({}))] })
    await expect(server.start({ signal })).rejects.toThrow(/\/open does not say who may call it/)
  })

  it('does not start when it was aborted before', async () => {
    const server = bareServer({})
    await expect(server.start({ signal: AbortSignal.abort() })).rejects.toThrow()
  })

  it('serves mounted routes under their prefix and its aliases, and lists them once', async () => {
    let listed: readonly { url: string; schema: { hide?: boolean } }[] = []
    const list: RouteModule = (app) => {
      listed = app.routeEntries
    }
    const { url } = await startServer([mounted(hello, '/v1', ['/']), list])
    expect((await fetch(`${url}/v1/hello`)).status).toBe(200)
    expect((await fetch(`${url}/hello`)).status).toBe(200)
    expect(listed.filter(({ schema }) => schema.hide !== true).map(({ url }) => url)).toEqual([
      '/v1/hello',
    ])
  })
})

describe('stopping', () => {
  it('lets a running answer end, takes no new one, and closes what is idle at once', async () => {
    const { begun, go, routes } = slow()
    const { url, port, server } = await startServer([routes, hello])
    await fetch(`${url}/hello`)
    const silent = await rawSocket(port)
    const silentEnd = readAll(silent)
    const answer = fetch(`${url}/slow`)
    await begun
    const stopped = server.stop()
    await expect(fetch(`${url}/hello`)).rejects.toThrow()
    go()
    expect(await (await answer).json()).toEqual({ done: true })
    await stopped
    expect(await silentEnd).toBe('')
  })

  it('refuses what comes on a connection that is still busy', async () => {
    const { begun, go, routes } = slow()
    const second = Promise.withResolvers<void>()
    const heard: RouteModule = (app) => {
      let requests = 0
      app.server.on('request', () => {
        if (++requests === 2) second.resolve()
      })
    }
    const { port, server } = await startServer([routes, hello, heard])
    const socket = await rawSocket(port)
    const text = readAll(socket)
    socket.write('GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await begun
    const stopped = server.stop()
    socket.write('GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await second.promise
    go()
    await stopped
    const [running, refused] = (await text).split(/(?=HTTP\/1\.1)/)
    expect(running).toContain('{"done":true}')
    expect(refused).toContain('503')
    expect(refused).toContain('shutting_down')
  })

  it('cuts what does not end by its deadline, and tells the handler', async () => {
    const told = Promise.withResolvers<string>()
    const begun = Promise.withResolvers<void>()
    const endless: RouteModule = (app) => {
      app.get('/endless', { config: { access: 'public' } }, (_request, reply) => {
        begun.resolve()
        const client = clientSignal(reply)
        client.addEventListener('abort', () => told.resolve(client.reason.name))
        return new Promise(() => {})
      })
    }
    const { url, server, log } = await startServer([endless], { drainMs: 50 })
    const answer = fetch(`${url}/endless`)
    const cutOff = expect(answer.then((a) => a.text())).rejects.toThrow()
    await begun.promise
    await server.stop()
    await cutOff
    expect(await told.promise).toBe('AbortError')
    expect(log.some(({ message }) => message === 'answers cut short by the stop')).toBe(true)
  })

  it('lets those be told whose work it ends', async () => {
    const { begun, go, routes } = slow()
    const { url, server } = await startServer([routes], { drainMs: 50, endWork: go })
    const answer = fetch(`${url}/slow`)
    await begun
    await server.stop()
    expect(await (await answer).json()).toEqual({ done: true })
  })

  it('may be asked for twice, and before a start', async () => {
    const { server } = await startServer([hello])
    await Promise.all([server.stop(), server.stop()])
    await bareServer({}).stop()
  })
})

describe('an unknown path', () => {
  it('is answered in OpenAI’s words, and in the product surface’s shape under /api/v1', async () => {
    const { url } = await startServer([hello])
    const answer = await fetch(`${url}/v1/x?y=1`, { method: 'POST', body: 'anything' })
    expect(answer.status).toBe(404)
    expect(await errorOf(answer)).toEqual({
      error: {
        message: 'Invalid URL (POST /v1/x)',
        type: 'invalid_request_error',
        param: null,
        code: 'unknown_url',
      },
      request_id: answer.headers.get('x-request-id'),
    })
    const product = await fetch(`${url}/api/v1/x`)
    expect(await product.json()).toEqual({
      error: {
        code: 'not_found',
        message: 'Invalid URL (GET /api/v1/x)',
        requestId: product.headers.get('x-request-id'),
      },
    })
  })

  it('with the wrong method names the right ones', async () => {
    const { url } = await startServer([hello])
    const answer = await fetch(`${url}/hello`, { method: 'DELETE' })
    expect(answer.status).toBe(405)
    expect(answer.headers.get('allow')).toBe('GET, HEAD')
    expect((await errorOf(answer)).error.code).toBe('method_not_allowed')
  })
})
