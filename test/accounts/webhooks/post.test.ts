import type { Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { Poster, type PosterOptions } from '../../../src/accounts/webhooks/post.ts'
import { systemClock } from '../../../src/base/clock.ts'
import { startRaw, startReceiver, status } from './receiver.ts'

// Receivers that mean harm, or do not work. Limits are shortened where a test must wait for them.

const signal = new AbortController().signal

function post(port: number, options: Partial<PosterOptions> = {}, stop = signal) {
  const poster = new Poster({ clock: systemClock }, { allowPrivate: true, ...options })
  const request = { url: `http://127.0.0.1:${port}/`, headers: { 'x-a': 'b' }, body: 'täxt' }
  return poster.post(request, stop)
}

const head = 'HTTP/1.1 200 OK\r\n'

/** Writes for ever, as fast as it is read. */
function pour(socket: Socket, text: string): void {
  const more = () => {
    while (!socket.destroyed && socket.write(text));
  }
  socket.on('drain', more)
  more()
}

describe('a receiver', () => {
  it('gets the body as it is, with its length in bytes', async () => {
    const receiver = await startReceiver()
    expect(await post(receiver.port)).toEqual({ status: 200, ms: expect.any(Number) })
    expect(receiver.got).toMatchObject([
      { method: 'POST', body: 'täxt', headers: { 'content-length': '5', 'x-a': 'b' } },
    ])
  })

  it.each([200, 204, 299, 400, 404, 410, 500])('may answer %i', async (code) => {
    const { port } = await startReceiver(status(code))
    expect(await post(port)).toMatchObject({ status: code })
  })

  it('that takes the request and never answers has its time', async () => {
    const port = await startRaw(() => {})
    expect(await post(port, { timeoutMs: 30 })).toMatchObject({ fault: 'timeout' })
  })

  it('that drips its head, a byte at a time, has no more', async () => {
    const port = await startRaw((socket) => {
      const drip = setInterval(() => socket.write('x'), 2)
      socket.write(`${head}x-drip: `)
      socket.on('close', () => clearInterval(drip))
    })
    expect(await post(port, { timeoutMs: 60 })).toMatchObject({ fault: 'timeout' })
  })

  it('that says 100 Continue for ever has no more', async () => {
    const port = await startRaw((socket) => pour(socket, 'HTTP/1.1 100 Continue\r\n\r\n'))
    expect(await post(port, { timeoutMs: 60 })).toMatchObject({ fault: 'timeout' })
  })

  it('that sends endless headers is cut off', async () => {
    const port = await startRaw((socket) => {
      socket.write(head)
      pour(socket, `x-${'y'.repeat(1000)}: z\r\n`)
    })
    expect(await post(port)).toMatchObject({ fault: 'bad_answer' })
  })

  it('that sends an endless body is cut off, and its status counts', async () => {
    let sent = 0
    const port = await startRaw((socket) => {
      socket.write(`${head}\r\n`)
      pour(socket, 'x'.repeat(4096))
      socket.on('close', () => {
        sent = socket.bytesWritten
      })
    })
    expect(await post(port, { bodyMs: 60_000 })).toMatchObject({ status: 200 })
    await expect.poll(() => sent).toBeGreaterThan(0)
    // Most of it stood in the buffers of both sides.
    expect(sent).toBeLessThan(64 * 1024 * 1024)
  })

  it('whose body never ends is left after a moment, and its status counts', async () => {
    const port = await startRaw((socket) => socket.write(`${head}content-length: 10\r\n\r\nx`))
    expect(await post(port, { bodyMs: 20 })).toMatchObject({ status: 200 })
  })

  it.each([
    ['at once', ''],
    ['in the middle of its head', head],
    ['after something else', 'SSH-2.0-OpenSSH_9.0\r\n'],
  ])('that hangs up %s has not answered', async (_when, text) => {
    const port = await startRaw((socket) => void socket.end(text))
    expect(await post(port)).toMatchObject({ fault: 'bad_answer' })
  })

  it('that hangs up in the middle of its body has answered', async () => {
    const port = await startRaw((socket) => {
      socket.once('data', () => socket.end(`${head}content-length: 10\r\n\r\nx`))
    })
    expect(await post(port)).toMatchObject({ status: 200 })
  })

  it('that switches protocols has not answered', async () => {
    const port = await startRaw((socket) => {
      const upgrade = 'HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'
      socket.once('data', () => socket.write(upgrade))
    })
    expect(await post(port, { timeoutMs: 1000 })).toMatchObject({ fault: 'bad_answer' })
  })

  it('that is not there is a failed connection', async () => {
    const gone = await startRaw((socket) => void socket.destroy())
    const refused = new Poster(
      { clock: systemClock, resolve: async () => [] },
      { allowPrivate: true },
    )
    const request = { url: `http://nobody.example:${gone}/`, headers: {}, body: '' }
    expect(await refused.post(request, signal)).toMatchObject({ fault: 'connection_failed' })
    // Port 1 of this machine: nobody listens there.
    expect(await post(1)).toMatchObject({ fault: 'connection_failed' })
  })

  it('speaks TLS, or has not answered', async () => {
    const port = await startRaw((socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
    const poster = new Poster({ clock: systemClock }, { allowPrivate: true })
    const request = { url: `https://127.0.0.1:${port}/`, headers: {}, body: '' }
    expect(await poster.post(request, signal)).toMatchObject({ fault: 'tls_failed' })
  })

  it('is left when the caller stops, with the reason; nothing stays open', async () => {
    let closed = 0
    const stop = new AbortController()
    const port = await startRaw((socket) => {
      socket.once('close', () => closed++)
      socket.once('data', () => stop.abort(new Error('enough')))
    })
    await expect(post(port, {}, stop.signal)).rejects.toThrow('enough')
    await expect.poll(() => closed).toBe(1)
  })
})

describe('a name', () => {
  it('whose server never answers has its time, and may be left', async () => {
    const resolve = () => new Promise<never>(() => {})
    const poster = new Poster({ clock: systemClock, resolve }, { timeoutMs: 20 })
    const request = { url: 'https://tarpit.example.com/', headers: {}, body: '' }
    expect(await poster.post(request, signal)).toMatchObject({ fault: 'timeout' })
    const stop = AbortSignal.abort(new Error('enough'))
    await expect(poster.post(request, stop)).rejects.toThrow('enough')
  })

  it('that there is not is said to be', async () => {
    const resolve = () => Promise.reject(new Error('ENOTFOUND'))
    const poster = new Poster({ clock: systemClock, resolve })
    const request = { url: 'https://nowhere.example.com/', headers: {}, body: '' }
    expect(await poster.post(request, signal)).toMatchObject({ fault: 'dns_failed' })
  })
})
