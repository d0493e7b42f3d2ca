import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { mp4, png, wav } from '../accounts/files/media-files.ts'
import { errorOf, type FileJson, startFileServer } from './file-server.ts'
import { field, filePart } from './form.ts'

type Server = Awaited<ReturnType<typeof startFileServer>>

async function sent(server: Server, bytes = png(), kind = 'image', key = 'ann') {
  const parts = [field('kind', kind), filePart(bytes, 'my cat.png')]
  const response = await server.send(parts, key)
  expect(response.status).toBe(201)
  return (await response.json()) as FileJson
}

describe('a file', () => {
  it('is sent, shown, read and deleted', async () => {
    const server = await startFileServer()
    const bytes = wav(12_000)
    const response = await server.send([
      filePart(bytes, 'talk.wav'),
      field('kind', 'audio'),
      field('model', 'whisper'),
      field('client_request_id', 'r-1'),
    ])
    expect(response.status).toBe(201)
    const file = (await response.json()) as FileJson
    expect(file).toEqual({
      id: expect.stringMatching(/^file_[0-9a-z]{26}$/),
      object: 'file',
      kind: 'audio',
      model: 'whisper',
      filename: 'talk.wav',
      mime_type: 'audio/wav',
      bytes: bytes.length,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      url: expect.stringContaining(`${server.url}/files/${file.id}/download?expires=`),
      duration_seconds: 1.5,
      duration_token: expect.stringMatching(/^1500\.\d+\.[\w-]{43}$/),
      created_at: expect.stringMatching(/^\d{4}-.*Z$/),
      expires_at: expect.stringMatching(/^\d{4}-.*Z$/),
      client_request_id: 'r-1',
    })
    const shown = (await (await server.get(`/files/${file.id}`)).json()) as FileJson
    expect({ ...shown, url: '', expires_at: '', duration_token: '' }).toEqual({
      ...{ ...file, url: '', expires_at: '', duration_token: '' },
    })
    const content = await server.get(`/files/${file.id}/content`)
    expect(Buffer.from(await content.arrayBuffer())).toEqual(bytes)
    const headers = { method: 'DELETE', headers: server.as('ann') }
    const gone = await fetch(`${server.url}/files/${file.id}`, headers)
    expect(await gone.json()).toEqual({ id: file.id, object: 'file', deleted: true })
    expect((await server.get(`/files/${file.id}`)).status).toBe(404)
    expect((await fetch(file.url)).status).toBe(404)
    expect(await server.onDisk()).toEqual([])
  })

  it('goes out with headers that let no browser run it', async () => {
    const server = await startFileServer()
    const { id } = await sent(server)
    const { headers } = await server.get(`/files/${id}/content`)
    expect(Object.fromEntries(headers)).toMatchObject({
      'content-type': 'image/png',
      'content-disposition': `attachment; filename="my cat.png"; filename*=UTF-8''my%20cat.png`,
      'content-security-policy': "sandbox; default-src 'none'",
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cache-control': 'private, no-cache',
      'accept-ranges': 'bytes',
    })
  })

  it('is listed, newest first, page by page', async () => {
    const server = await startFileServer()
    const ids: string[] = []
    for (let n = 0; n < 5; n++) ids.unshift((await sent(server, png(n))).id)
    await sent(server, png(9), 'image', 'bob')
    const page = async (query: string) => {
      const response = await server.get(`/files?limit=2${query}`)
      return (await response.json()) as { data: FileJson[]; has_more: boolean; last_id: string }
    }
    const first = await page('')
    const second = await page(`&after=${first.last_id}`)
    const third = await page(`&after=${second.last_id}`)
    const seen = [first, second, third].flatMap(({ data }) => data.map(({ id }) => id))
    // Made in the same millisecond, they may stand in any order.
    expect(seen.toSorted()).toEqual(ids.toSorted())
    expect([first, second, third].map(({ has_more: more }) => more)).toEqual([true, true, false])
    expect((await server.get('/files?limit=0')).status).toBe(400)
    expect((await server.get('/files?page=2')).status).toBe(400)
  })
})

describe('a range', () => {
  const bytes = mp4()
  const all = bytes.length
  it.each([
    ['bytes=0-9', 0, 9],
    ['bytes=10-10', 10, 10],
    ['bytes=100-', 100, all - 1],
    ['bytes=-7', all - 7, all - 1],
    ['bytes=-99999', 0, all - 1],
    ['bytes=5-99999', 5, all - 1],
  ])('%s', async (range, from, to) => {
    const server = await startFileServer()
    const { id } = await sent(server, bytes, 'video')
    const response = await server.get(`/files/${id}/content`, 'ann', { range })
    expect(response.status).toBe(206)
    expect(response.headers.get('content-range')).toBe(`bytes ${from}-${to}/${all}`)
    expect(response.headers.get('content-length')).toBe(String(to - from + 1))
    expect(Buffer.from(await response.arrayBuffer())).toEqual(bytes.subarray(from, to + 1))
  })

  it.each(['bytes=9-5', 'bytes=-', 'bytes=0-1,4-5', 'lines=1-2', 'bytes=a-b', ''])(
    '%j is none, and gets the whole',
    async (range) => {
      const server = await startFileServer()
      const { id } = await sent(server, bytes, 'video')
      const response = await server.get(`/files/${id}/content`, 'ann', { range })
      expect(response.status).toBe(200)
      expect((await response.arrayBuffer()).byteLength).toBe(all)
    },
  )

  it.each([`bytes=${all}-`, 'bytes=99999999999999999999-', 'bytes=-0'])(
    '%s is outside',
    async (range) => {
      const server = await startFileServer()
      const { id } = await sent(server, bytes, 'video')
      const response = await server.get(`/files/${id}/content`, 'ann', { range })
      expect(response.status).toBe(416)
    },
  )

  it('of another content is none; what is known is not sent again', async () => {
    const server = await startFileServer()
    const { id } = await sent(server, bytes, 'video')
    const path = `/files/${id}/content`
    const etag = (await server.get(path)).headers.get('etag') ?? ''
    const range = 'bytes=0-1'
    const same = await server.get(path, 'ann', { range, 'if-range': etag })
    const other = await server.get(path, 'ann', { range, 'if-range': '"x"' })
    const known = await server.get(path, 'ann', { 'if-none-match': etag })
    expect([same.status, other.status, known.status]).toEqual([206, 200, 304])
  })

  it('is told of by HEAD without the bytes', async () => {
    const server = await startFileServer()
    const { id } = await sent(server, bytes, 'video')
    const response = await fetch(`${server.url}/files/${id}/content`, {
      method: 'HEAD',
      headers: server.as('ann'),
    })
    expect(response.headers.get('content-length')).toBe(String(all))
    expect((await response.arrayBuffer()).byteLength).toBe(0)
  })
})

describe('the link of a file', () => {
  it('needs no key, until it expires, for this file alone', async () => {
    const server = await startFileServer()
    const bytes = png(1)
    const [file, other] = [await sent(server, bytes), await sent(server, png(2))]
    const response = await fetch(file.url, { headers: { range: 'bytes=0-3' } })
    expect(response.status).toBe(206)
    expect(Buffer.from(await response.arrayBuffer())).toEqual(bytes.subarray(0, 4))
    const swapped = await fetch(file.url.replace(file.id, other.id))
    const unknown = await fetch(file.url.replace(file.id, `file_${'0'.repeat(26)}`))
    const longer = await fetch(file.url.replace(/expires=(\d+)/, 'expires=9999999999'))
    const cut = await fetch(file.url.slice(0, -1))
    const codes = await Promise.all([swapped, unknown, longer, cut].map(errorOf))
    expect(codes.map(({ code }) => code)).toEqual(Array(4).fill('link_invalid'))
    expect((await fetch(file.url.replace(/\?.*/, ''))).status).toBe(400)
    server.time.ahead = 3_601_000
    const late = await fetch(file.url)
    expect([late.status, (await errorOf(late)).code]).toEqual([403, 'link_expired'])
  })
})

describe('to another account', () => {
  it('a file is what never was, whatever is asked', async () => {
    const server = await startFileServer()
    const { id } = await sent(server)
    const never = `file_${'0'.repeat(26)}`
    for (const [method, path] of [
      ['GET', ''],
      ['DELETE', ''],
      ['GET', '/content'],
    ]) {
      const answers = await Promise.all(
        [id, never, 'file_', 'x'.repeat(500), '%F0%9F%98%80', 'ann%2F..'].map(async (each) => {
          const init = { method: method as string, headers: server.as('bob') }
          const response = await fetch(`${server.url}/files/${each}${path}`, init)
          const { requestId: _own, ...error } = (await errorOf(response)) as Record<string, string>
          return { status: response.status, error, length: response.headers.get('content-length') }
        }),
      )
      for (const answer of answers) expect(answer).toEqual(answers[0])
      expect(answers[0]).toMatchObject({ status: 404, error: { code: 'not_found' } })
    }
    expect((await server.get(`/files/${id}`)).status).toBe(200)
  })

  it('needs the scopes', async () => {
    const server = await startFileServer()
    const { id } = await sent(server)
    const parts = [field('kind', 'image'), filePart(png())]
    expect((await server.send(parts, 'looker')).status).toBe(403)
    expect((await server.get(`/files/${id}`, 'looker')).status).toBe(200)
    const init = { method: 'DELETE', headers: server.as('looker') }
    expect((await fetch(`${server.url}/files/${id}`, init)).status).toBe(403)
    expect((await fetch(`${server.url}/files/${id}`)).status).toBe(401)
  })
})
