import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { filler, mp3, mp4, png, wav } from '../accounts/files/media-files.ts'
import { errorOf, type FileJson, startFileServer } from './file-server.ts'
import { BOUNDARY, field, filePart, form, formType } from './form.ts'

type Server = Awaited<ReturnType<typeof startFileServer>>

/** Every trick ends so: refused in words, with nothing left on the disk or on the account. */
async function refused(server: Server, response: Response, status: number, code: string) {
  const { code: actual, message } = await errorOf(response)
  expect([response.status, actual]).toEqual([status, code])
  expect(message).not.toMatch(/\/tmp|node_modules|Error:/)
  await nothingLeft(server)
}

async function nothingLeft(server: Server) {
  await expect.poll(() => server.onDisk()).toEqual([])
  const { data } = (await (await server.get('/files')).json()) as { data: unknown[] }
  expect(data).toEqual([])
  await stillWorks(server)
}

async function stillWorks(server: Server) {
  const response = await server.send([field('kind', 'image'), filePart(png(77))], 'bob')
  expect(response.status).toBe(201)
  const { id } = (await response.json()) as FileJson
  const init = { method: 'DELETE', headers: server.as('bob') }
  expect((await fetch(`${server.url}/files/${id}`, init)).status).toBe(200)
}

const image = field('kind', 'image')

/** A request as its bytes; the answer as its text, once the server hangs up or has answered. */
function raw(server: Server, head: Record<string, string>, body: Buffer, hangUp = false) {
  const lines = Object.entries({
    host: `127.0.0.1:${server.port}`,
    authorization: 'Bearer sk-ann',
    ...formType,
    connection: 'close',
    ...head,
  }).map(([name, value]) => `${name}: ${value}\r\n`)
  return new Promise<string>((resolve) => {
    let answer = ''
    const socket = connect(server.port, '127.0.0.1')
    socket.on('data', (chunk) => {
      answer += chunk
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(answer))
    socket.write(`POST /api/v1/files HTTP/1.1\r\n${lines.join('')}\r\n`)
    socket.write(body, () => hangUp && socket.destroy())
  })
}

describe('what the sender says does not count', () => {
  it('1: a page called and declared a picture', async () => {
    const server = await startFileServer()
    const body = `<!doctype html><script>alert(document.domain)</script>${' '.repeat(200)}`
    const part = { name: 'file', filename: 'cat.png', type: 'image/png', body }
    await refused(server, await server.send([image, part]), 400, 'unsupported_file')
    const svg = { ...part, type: 'image/svg+xml', body: '<svg onload="alert(1)"/>' }
    await refused(server, await server.send([image, svg]), 400, 'unsupported_file')
  })

  it('2: a picture that is a page too goes out as a picture that nothing runs', async () => {
    const server = await startFileServer()
    const page = Buffer.from('<html><script>alert(1)</script></html>')
    const archive = Buffer.from('504b0506000000000000000000000000000000000000', 'hex')
    const both = Buffer.concat([png(1), page, archive])
    const part = { name: 'file', filename: 'x.html', type: 'text/html', body: both }
    const { url } = (await (await server.send([image, part])).json()) as FileJson
    const { headers } = await fetch(url)
    expect(headers.get('content-type')).toBe('image/png')
    expect(headers.get('content-disposition')).toMatch(/^attachment;/)
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('content-security-policy')).toContain('sandbox')
  })

  it('3: another kind than it is', async () => {
    const server = await startFileServer()
    const sound = [field('kind', 'audio'), filePart(mp4())]
    await refused(server, await server.send(sound), 400, 'invalid_value')
    const program = [field('kind', 'program'), filePart(png())]
    await refused(server, await server.send(program), 400, 'invalid_value')
  })
})

describe('names', () => {
  it.each([
    ['../../../../etc/cron.d/x', 'x'],
    ['/etc/passwd', 'passwd'],
    ['..\\..\\windows\\system32\\x.dll', 'x.dll'],
    ['a.png\u0000.exe', 'a.png.exe'],
    ['owner.key', 'owner.key'],
    ['\u202egnp.exe', 'gnp.exe'],
    ['%2e%2e%2fx', '%2e%2e%2fx'],
    ['é猫😀 (1).png', 'é猫😀 (1).png'],
    ["a'; filename=b.html", "a'; filename=b.html"],
  ])('4: %j is shown as %j and is no path', async (filename, shown) => {
    const server = await startFileServer()
    const response = await server.send([image, filePart(png(1), filename)])
    const file = (await response.json()) as FileJson & { filename: string; sha256: string }
    expect(file.filename).toBe(shown)
    expect(await server.onDisk()).toEqual([file.sha256])
    const disposition = (await fetch(file.url)).headers.get('content-disposition') ?? ''
    expect(disposition).toMatch(
      /^attachment; filename="[\x20-\x7e]*"; filename\*=UTF-8''[\w.!~%-]+$/,
    )
    expect(decodeURIComponent(disposition.split("UTF-8''")[1] ?? '')).toBe(shown)
  })

  it('5: a header in a name', async () => {
    const server = await startFileServer()
    const disposition = 'form-data; name="file"; filename="a\r\nX-Evil: 1\r\n\r\n<b>.png"'
    const response = await server.send([image, { disposition, body: png() }])
    expect(response.status).toBe(400)
    expect(response.headers.has('x-evil')).toBe(false)
    await nothingLeft(server)
  })
})

describe('parts', () => {
  it('6: two files', async () => {
    const server = await startFileServer()
    const two = [image, filePart(png(1)), filePart(png(2))]
    await refused(server, await server.send(two), 400, 'invalid_value')
    const other = [image, filePart(png(1)), { ...filePart(png(2)), name: 'more' }]
    await refused(server, await server.send(other), 400, 'invalid_value')
    const wrong = [image, { ...filePart(png(1)), name: '__proto__' }]
    await refused(server, await server.send(wrong), 400, 'unknown_parameter')
  })

  it('7: a hundred thousand of them', async () => {
    const server = await startFileServer()
    const many = Array.from({ length: 100_000 }, (_, n) => field(`f${n}`, ''))
    await refused(server, await server.send([filePart(png()), ...many]), 400, 'invalid_request')
  })

  it('8: fields that are unknown, sent twice, too long or of a prototype', async () => {
    const server = await startFileServer()
    const file = filePart(png())
    const tries: [parts: Parameters<Server['send']>[0], code: string][] = [
      [[file], 'missing_required_parameter'],
      [[image], 'missing_required_parameter'],
      [[image, file, field('folder', '/')], 'unknown_parameter'],
      [[image, file, field('__proto__', '{}')], 'unknown_parameter'],
      [[image, file, field('constructor', 'x')], 'unknown_parameter'],
      [[image, image, file], 'invalid_value'],
      [[image, file, field('client_request_id', 'x'.repeat(129))], 'invalid_value'],
      [[image, file, field('model', 'x'.repeat(10_000))], 'invalid_value'],
      [[], 'missing_required_parameter'],
    ]
    for (const [parts, code] of tries) await refused(server, await server.send(parts), 400, code)
  })

  it('9: endless headers of a part', async () => {
    const server = await startFileServer()
    const endless = Array.from({ length: 20_000 }, (_, n) => `X-H${n}: ${'x'.repeat(40)}\r\n`)
    const disposition = `form-data; name="file"; filename="a.png"\r\n${endless.join('')}`
    const response = await server.send([image, { disposition, body: png() }])
    expect([400, 413]).toContain(response.status)
    await nothingLeft(server)
    const line = `form-data; name="file"; filename="${'x'.repeat(100_000)}"`
    const long = await server.send([image, { disposition: line, body: png() }])
    const { filename } = (await long.json()) as FileJson
    expect(long.status === 201 && Buffer.byteLength(String(filename)) > 255).toBe(false)
  })
})

describe('lengths', () => {
  it('10: a body that says it is larger than any file, or is, without saying so', async () => {
    const server = await startFileServer()
    const length = String(10 ** 12)
    const told = await raw(server, { 'content-length': length }, form([image, filePart(png())]))
    expect(told).toMatch(/^HTTP\/1.1 413 /)
    const chunked = { method: 'POST', headers: { ...server.as('ann'), ...formType } }
    const padding = Buffer.alloc(64 * 1024, 'x')
    let sentBytes = 0
    const body = new ReadableStream({
      pull(controller) {
        sentBytes += padding.length
        if (sentBytes > 100 * 1024 * 1024) controller.close()
        else controller.enqueue(padding)
      },
    })
    const init = { ...chunked, body, duplex: 'half' } as RequestInit
    const response = await fetch(`${server.url}/files`, init)
    expect(response.status).toBe(413)
    await nothingLeft(server)
  })

  it('11: a picture that goes on for ever is refused at its limit', async () => {
    const server = await startFileServer({
      fileBytesMax: { image: 100_000, video: 200_000, audio: 100_000 },
    })
    const large = filePart(png(1, 150_000))
    await refused(server, await server.send([image, large]), 413, 'request_too_large')
    await refused(server, await server.send([large, image]), 413, 'request_too_large')
  })

  it('12: a sender who leaves in the middle', async () => {
    const server = await startFileServer()
    const whole = form([image, filePart(png(1, 5_000))])
    for (const length of [10, 100, 400, 2_000, whole.length - 3]) {
      const head = { 'content-length': String(whole.length) }
      await raw(server, head, whole.subarray(0, length), true)
    }
    await nothingLeft(server)
  })

  it('13: a form that ends before its end, in every place', async () => {
    const server = await startFileServer()
    const whole = form([image, filePart(png(1, 300))])
    for (let length = 0; length < whole.length - 4; length += 41) {
      const cut = whole.subarray(0, length)
      const response = await fetch(`${server.url}/files`, {
        method: 'POST',
        headers: { ...server.as('ann'), ...formType },
        body: cut as BodyInit,
      })
      expect([length, response.status]).toEqual([length, 400])
    }
    await nothingLeft(server)
  })

  it('14: a length that lies', async () => {
    const server = await startFileServer()
    const whole = form([image, filePart(png())])
    const short = await raw(server, { 'content-length': String(whole.length - 50) }, whole)
    expect(short).toMatch(/^HTTP\/1.1 400 /)
    const both = { 'content-length': '10', 'transfer-encoding': 'chunked' }
    expect(await raw(server, both, whole)).toMatch(/^HTTP\/1.1 400 /)
    await nothingLeft(server)
  })
})

describe('what would unfold', () => {
  it('15: a compressed body or part is not unpacked', async () => {
    const server = await startFileServer()
    const bomb = gzipSync(form([image, filePart(Buffer.alloc(20_000_000))]))
    for (const coding of ['gzip', 'br', 'deflate', 'x-bomb']) {
      const response = await fetch(`${server.url}/files`, {
        method: 'POST',
        headers: { ...server.as('ann'), ...formType, 'content-encoding': coding },
        body: bomb as BodyInit,
      })
      await refused(server, response, 415, 'unsupported_media_type')
    }
    const zip = filePart(gzipSync(png()), 'a.png')
    await refused(server, await server.send([image, zip]), 400, 'unsupported_file')
  })

  it('16: headers of media that lie about their size cost nothing', async () => {
    const server = await startFileServer()
    const huge = Buffer.from(png(1))
    huge.writeUInt32BE(0x7fffffff, 16)
    huge.writeUInt32BE(0x7fffffff, 20)
    expect((await server.send([image, filePart(huge)])).status).toBe(201)
    const long = [field('kind', 'audio'), filePart(wav(800, { size: 2 ** 32 - 1 }))]
    const { duration_seconds: seconds } = (await (await server.send(long)).json()) as FileJson
    expect(seconds).toBe(0.1)
  })
})

describe('other bodies', () => {
  it('17: no form, no boundary, an odd one', async () => {
    const server = await startFileServer()
    const body = form([image, filePart(png())]) as BodyInit
    const types: [type: string, status: number][] = [
      ['application/json', 415],
      ['text/plain', 415],
      ['multipart/mixed; boundary=x', 415],
      ['multipart/form-data', 415],
      ['multipart/form-data; boundary=', 400],
      ['multipart/form-data; boundary=other', 400],
      [`multipart/form-data; boundary=${'x'.repeat(5_000)}`, 415],
      [`multipart/form-data; boundary="${BOUNDARY}"; charset=utf-7`, 201],
    ]
    for (const [type, status] of types) {
      const headers = { ...server.as('ann'), 'content-type': type }
      const response = await fetch(`${server.url}/files`, { method: 'POST', headers, body })
      expect([type.slice(0, 60), response.status]).toEqual([type.slice(0, 60), status])
    }
    const none = await fetch(`${server.url}/files`, { method: 'POST', headers: server.as('ann') })
    expect(none.status).toBe(415)
  })

  it('18: bytes at random never bring the server down', async () => {
    const server = await startFileServer()
    const whole = form([image, filePart(mp3()), field('model', 'x')])
    for (let seed = 1; seed <= 60; seed++) {
      const noise = filler(30, seed)
      const body = Buffer.from(whole)
      for (let at = 0; at < 15; at++) {
        body[((noise[at] ?? 0) * 7) % body.length] = noise[at + 15] ?? 0
      }
      const response = await fetch(`${server.url}/files`, {
        method: 'POST',
        headers: { ...server.as('ann'), ...formType },
        body: body as BodyInit,
      })
      expect([201, 400, 413]).toContain(response.status)
    }
    await stillWorks(server)
  })
})
