import { readdir, readlink, stat } from 'node:fs/promises'
import { type ClientHttp2Session, connect, type OutgoingHttpHeaders } from 'node:http2'
import { connect as connectTcp } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { defaultFiles } from '../../src/accounts/files/file-store.ts'
import { defaultHttp } from '../../src/api/http-options.ts'
import { FORM_OVERHEAD_BYTES } from '../../src/api/multipart.ts'
import { filler, png } from '../accounts/files/media-files.ts'
import { certPem, keyPem } from './certificate.ts'
import { type FileJson, startFileServer } from './file-server.ts'
import { field, filePart, form, formType } from './form.ts'

// Bytes on their way in and out: over HTTP/2, in pieces, to clients that leave.

const MIB = 1024 * 1024

function ask(client: ClientHttp2Session, headers: OutgoingHttpHeaders, body?: Buffer) {
  return new Promise<{ status: number; bytes: Buffer }>((resolve, reject) => {
    const stream = client.request(headers, { endStream: body === undefined })
    const pieces: Buffer[] = []
    let status = 0
    stream.on('response', (head) => {
      status = Number(head[':status'])
    })
    stream.on('data', (piece) => pieces.push(piece))
    stream.on('end', () => resolve({ status, bytes: Buffer.concat(pieces) }))
    stream.on('error', reject)
    if (body === undefined) return
    for (let at = 0; at < body.length; at += 10_000) stream.write(body.subarray(at, at + 10_000))
    stream.end()
  })
}

describe('over HTTP/2', () => {
  it('files are sent, read and refused', async () => {
    const server = await startFileServer({}, { tls: { certPem, keyPem } })
    const client = connect(`https://127.0.0.1:${server.port}`, { ca: certPem })
    client.on('error', () => {})
    onTestFinished(() => client.destroy())
    const post = { ...server.as('ann'), ...formType, ':method': 'POST', ':path': '/api/v1/files' }
    const bytes = png(1, 300_000)
    const sent = await ask(client, post, form([field('kind', 'image'), filePart(bytes)]))
    expect(sent.status).toBe(201)
    const file = JSON.parse(sent.bytes.toString()) as FileJson
    expect(file.url).toContain(`https://127.0.0.1:${server.port}/api/v1/files/`)
    const path = `/api/v1/files/${file.id}/content`
    const got = await ask(client, { ...server.as('ann'), ':path': path, range: 'bytes=5-' })
    expect([got.status, got.bytes.equals(bytes.subarray(5))]).toEqual([206, true])
    const wrong = form([field('kind', 'image'), filePart(filler(300_000))])
    expect((await ask(client, post, wrong)).status).toBe(400)
    const cut = form([field('kind', 'image'), filePart(bytes)]).subarray(0, 200_000)
    expect((await ask(client, post, cut)).status).toBe(400)
    const leaving = client.request(post)
    leaving.on('error', () => {})
    leaving.write(cut)
    await expect.poll(async () => (await server.onDisk()).length).toBe(2)
    leaving.close(8)
    await expect.poll(() => server.onDisk()).toEqual([file.sha256])
  })
})

/** How many times the process has a file of this folder open. */
async function openIn(folder: string): Promise<number> {
  const links = (await readdir('/proc/self/fd')).map((fd) =>
    readlink(`/proc/self/fd/${fd}`).catch(() => ''),
  )
  return (await Promise.all(links)).filter((path) => path.startsWith(folder)).length
}

describe('a large file', () => {
  it('has the time to come in over a line of 2 Mbit/s', () => {
    const largest = Math.max(...Object.values(defaultFiles.fileBytesMax)) + FORM_OVERHEAD_BYTES
    expect(defaultHttp.requestTimeoutMs).toBeGreaterThan((largest * 8) / 2_000)
  })

  it('is on the disk as far as it has come', async () => {
    const server = await startFileServer()
    const parts = [field('kind', 'image'), filePart(png(1, 5 * MIB))]
    const whole = form(parts)
    const socket = connectTcp(server.port, '127.0.0.1')
    const answer = new Promise<string>((resolve) =>
      socket.once('data', (data) => resolve(`${data}`)),
    )
    const head = { host: `127.0.0.1:${server.port}`, ...server.as('ann'), ...formType }
    const lines = Object.entries({ ...head, 'content-length': String(whole.length) })
    const written = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')
    socket.write(`POST /api/v1/files HTTP/1.1\r\n${written}\r\n`)
    const draftBytes = async () => {
      const [name] = await readdir(join(server.folder, 'drafts'))
      return name === undefined ? 0 : (await stat(join(server.folder, 'drafts', name))).size
    }
    for (const part of [1, 2, 3]) {
      socket.write(whole.subarray((part - 1) * MIB, part * MIB))
      await expect.poll(draftBytes).toBeGreaterThan((part - 0.5) * MIB)
    }
    socket.write(whole.subarray(3 * MIB))
    onTestFinished(() => void socket.destroy())
    expect(await answer).toMatch(/^HTTP\/1.1 201 /)
  })

  it.runIf(process.platform === 'linux')('is let go of when its reader leaves', async () => {
    const server = await startFileServer()
    const sent = await server.send([field('kind', 'image'), filePart(png(1, 9 * MIB))])
    const { url } = (await sent.json()) as FileJson
    const sockets = Array.from({ length: 8 }, () => {
      const socket = connectTcp(server.port, '127.0.0.1')
      socket.on('error', () => {})
      socket.pause()
      const { pathname, search } = new URL(url)
      socket.write(`GET ${pathname}${search} HTTP/1.1\r\nhost: 127.0.0.1:${server.port}\r\n\r\n`)
      return socket
    })
    await expect.poll(() => openIn(server.folder)).toBe(8)
    for (const socket of sockets) socket.destroy()
    await expect.poll(() => openIn(server.folder)).toBe(0)
  })
})
