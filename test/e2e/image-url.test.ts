import { writeFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { certPem, keyPem } from '../api/images/certificate.ts'
import { files } from '../api/images/files.ts'
import { fakeVllm } from '../engines/upstream/fake-vllm.ts'
import { ask, type PeerProcess, startPeer, temporaryFolder } from './peer-process.ts'

const jpeg = files['image/jpeg']
const folder = temporaryFolder()
const server = fakeVllm({ sees: true })
const asked: string[] = []
let serve: (request: IncomingMessage, response: ServerResponse) => void = () => {}
const site = https.createServer({ cert: certPem, key: keyPem }, (request, response) => {
  asked.push(request.url ?? '')
  serve(request, response)
})
let peer: PeerProcess

beforeAll(async () => {
  const ca = join(folder.path, 'ca.pem')
  writeFileSync(ca, certPem)
  await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve))
  await server.start()
  peer = await startPeer({
    args: ['--network', 'e2e-images', '--no-demo', '--upstream', `big=${server.url}`],
    env: {
      NODE_OPTIONS: `--import ${fileURLToPath(new URL('public-internet.ts', import.meta.url))}`,
      NODE_EXTRA_CA_CERTS: ca,
      INTERNET_PORT: String((site.address() as AddressInfo).port),
    },
  })
})

afterAll(async () => {
  await peer?.stop()
  site.closeAllConnections()
  site.close()
  await server.stop()
  folder.remove()
})

function askOf(path: string, urls: readonly string[], signal?: AbortSignal) {
  const content = urls.map((url) => ({ type: 'image_url', image_url: { url } }))
  const body = { model: 'big', messages: [{ role: 'user', content }] }
  return ask(peer.ready, path, body, signal === undefined ? {} : { signal })
}

function shown(...urls: string[]) {
  asked.length = 0
  return askOf('/v1/chat/completions', urls)
}

const AT = 'https://images.example:8443'

it('an image by its URL comes to the server behind the model as a file, from where it really is', async () => {
  const to = { '/a': '/b?c=d', '/b?c=d': `${AT}/e` } as Record<string, string>
  serve = ({ url = '' }, response) => {
    const location = to[url]
    if (location === undefined) response.writeHead(200, { 'content-type': 'text/html' }).end(jpeg)
    else response.writeHead(302, { location }).end()
  }
  const answer = await shown(`${AT}/a`)
  expect([answer.status, asked]).toEqual([200, ['/a', '/b?c=d', '/e']])
  expect(server.last('/v1/chat/completions').body.messages).toEqual([
    {
      role: 'user',
      content: [
        {
          type: 'image_url',
          image_url: { url: `data:image/jpeg;base64,${jpeg.toString('base64')}` },
        },
      ],
    },
  ])
  const { receipt } = (await answer.json()) as { receipt: { cid: string } }
  const kept = await (await ask(peer.ready, `/v8/receipts/${receipt.cid}`)).json()
  expect(kept).toMatchObject({ verified: true, model: 'big' })
})

it.each([
  ['straight', 'https://inside.example:8443/', []],
  ['straight, by its address', 'https://127.0.0.1:8443/', []],
  ['over a public one', `${AT}/inside`, ['/inside']],
])('nobody is led to a private address: %s', async (_how, url, way) => {
  const before = server.asked.length
  serve = (_, response) => response.writeHead(302, { location: 'https://10.0.0.7/' }).end()
  const answer = await shown(url)
  const { error } = (await answer.json()) as { error: { param: string; message: string } }
  expect([answer.status, error.param, asked]).toEqual([
    ...[400, 'messages[0].content[0].image_url.url', way],
  ])
  expect(error.message).toMatch(/not on the public internet/)
  expect(server.asked.slice(before).filter(({ method }) => method === 'POST')).toEqual([])
})

it('an image that its site breaks off, or that is none, is refused by its place', async () => {
  serve = ({ url }, response) => {
    if (url !== '/half') response.end(url === '/page' ? '<html>' : jpeg)
    else response.writeHead(200, { 'content-length': 1_000 }).write(jpeg, () => response.destroy())
  }
  for (const bad of ['/half', '/page']) {
    const answer = await shown(`${AT}/whole`, `${AT}${bad}`)
    const { error } = (await answer.json()) as { error: { param: string } }
    expect([answer.status, error.param]).toEqual([400, 'messages[0].content[1].image_url.url'])
  }
  expect((await shown(`${AT}/whole`)).status).toBe(200)
})

it('of those that are fetched at once an account has 12, on both surfaces together, for as long as a client waits', async () => {
  serve = () => {}
  asked.length = 0
  const leaving = new AbortController()
  const four = Array.from({ length: 4 }, () => `${AT}/slow`)
  const waits = [1, 2, 3].map(() => askOf('/v1/chat/completions', four, leaving.signal))
  await expect.poll(() => asked.length).toBe(12)
  const more = () => askOf('/api/v1/chat/completions', [`${AT}/more`])
  const refused = await more()
  expect([refused.status, (await refused.json()).error.code]).toEqual([503, 'overloaded'])
  leaving.abort()
  await Promise.allSettled(waits)
  serve = (_, response) => response.end(jpeg)
  await expect.poll(async () => (await more()).status).toBe(200)
})
