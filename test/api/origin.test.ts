import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { OriginPolicy } from '../../src/api/origin.ts'
import type { RouteModule } from '../../src/api/route.ts'
import { isLoopback } from '../../src/base/loopback.ts'
import { rawSocket, readAll, startServer } from './harness.ts'

const routes: RouteModule = (app) => {
  for (const url of ['/v1/thing', '/v8/thing']) {
    app.get(url, { config: { access: 'public' } }, () => ({ ok: true }))
    app.post(url, { config: { access: 'public' } }, () => ({ ok: true }))
  }
}

async function ask(port: number, lines: string[]): Promise<{ status: number; text: string }> {
  const socket = await rawSocket(port)
  const text = readAll(socket)
  socket.write(`${lines.join('\r\n')}\r\nConnection: close\r\n\r\n`)
  const answer = await text
  return { status: Number(answer.split(' ')[1]), text: answer.toLowerCase() }
}

const get = (host: string, ...more: string[]) => [
  'GET /v1/thing HTTP/1.1',
  `Host: ${host}`,
  ...more,
]

describe('the Host header', () => {
  it.each(['localhost', 'LocalHost:80', '127.0.0.1', '127.0.0.1:7462', '[::1]', '[::1]:7462'])(
    '%s is a name of this peer',
    async (host) => {
      const { port } = await startServer([routes])
      expect((await ask(port, get(host))).status).toBe(200)
    },
  )

  it('is needed', async () => {
    const { port } = await startServer([routes])
    const { status, text } = await ask(port, ['GET /v1/thing HTTP/1.1'])
    expect(status).toBe(403)
    expect(text).toContain('"code":"host_not_allowed"')
  })

  it.each([
    'evil.example',
    'localhost.evil.example',
    'evil.example:7462',
    '127.0.0.1.nip.io',
    '127.0.0.2',
    '0.0.0.0',
    '192.168.1.5',
    '[::]',
    '',
    'localhost:80:80',
    'evil@localhost',
  ])('%s is not: a page that rebinds its name to this machine learns nothing', async (host) => {
    const { port } = await startServer([routes])
    const { status, text } = await ask(port, get(host))
    expect(status).toBe(403)
    expect(text).toContain('"code":"host_not_allowed"')
    expect(text).not.toContain('access-control-allow-origin')
  })

  it('may name the bound address and what an option adds; any bare address when bound to all', () => {
    const names = (host: string, hostNames: string[] = []) =>
      new OriginPolicy({ host, hostNames, corsOrigins: [] })
    expect(names('192.168.1.5').hostAllowed('192.168.1.5:7462')).toBe(true)
    expect(names('192.168.1.5').hostAllowed('192.168.1.6')).toBe(false)
    expect(names('fe80::1').hostAllowed('[fe80::1]:7462')).toBe(true)
    expect(names('0.0.0.0', ['Peer.Example']).hostAllowed('peer.example')).toBe(true)
    expect(names('0.0.0.0').hostAllowed('192.168.1.5')).toBe(true)
    expect(names('::').hostAllowed('[fe80::1]:80')).toBe(true)
    expect(names('0.0.0.0').hostAllowed('evil.example')).toBe(false)
    expect(names('0.0.0.0').hostAllowed(undefined)).toBe(false)
  })

  it('never allows a name that merely contains an allowed one', () => {
    const policy = new OriginPolicy({ host: '127.0.0.1', hostNames: [], corsOrigins: [] })
    fc.assert(
      fc.property(fc.domain(), fc.constantFrom('localhost', '127.0.0.1', '[::1]'), (name, ours) => {
        for (const host of [`${ours}.${name}`, `${name}.${ours}x`, `${ours}@${name}`, name]) {
          expect(policy.hostAllowed(host)).toBe(false)
          expect(policy.originAllowed(`http://${host}`, 'localhost:7462')).toBe(false)
        }
      }),
    )
  })
})

describe('a page', () => {
  const origin = (name: string, extra: Record<string, string> = {}) => ({
    headers: { origin: name, ...extra },
  })

  it.each([
    'http://localhost:3000',
    'https://localhost',
    'http://127.0.0.1:8080',
    'http://[::1]:5',
  ])('on this machine (%s) may call, and may read our headers', async (name) => {
    const { url } = await startServer([routes])
    for (const method of ['GET', 'POST']) {
      const answer = await fetch(`${url}/v1/thing`, { method, ...origin(name) })
      expect(answer.status).toBe(200)
      expect(answer.headers.get('access-control-allow-origin')).toBe(name)
      expect(answer.headers.get('vary')).toBe('Origin')
      expect(answer.headers.get('access-control-allow-credentials')).toBeNull()
      const exposed = answer.headers.get('access-control-expose-headers')
      for (const header of ['x-request-id', 'X-Pinaivu-Node-ID', 'X-Ryvion-Receipt-CID']) {
        expect(exposed).toContain(header)
      }
    }
  })

  it.each(['https://evil.example', 'null', 'http://localhost.evil.example', 'file://'])(
    'elsewhere (%s) may not: a GET is unreadable to it, anything else refused',
    async (name) => {
      const { url } = await startServer([routes])
      const get = await fetch(`${url}/v1/thing`, origin(name))
      expect(get.headers.get('access-control-allow-origin')).toBeNull()
      const post = await fetch(`${url}/v1/thing`, { method: 'POST', ...origin(name) })
      expect(post.status).toBe(403)
      expect(await post.json()).toMatchObject({ error: { code: 'origin_not_allowed' } })
      const preflight = await fetch(`${url}/v1/thing`, {
        method: 'OPTIONS',
        ...origin(name, { 'access-control-request-method': 'GET' }),
      })
      expect(preflight.status).toBe(403)
      expect(preflight.headers.get('access-control-allow-origin')).toBeNull()
    },
  )

  it('of the allow-list may call, and `*` stands for all', async () => {
    const listed = await startServer([routes], { corsOrigins: ['https://app.example'] })
    const post = { method: 'POST', ...origin('https://app.example') }
    expect((await fetch(`${listed.url}/v1/thing`, post)).status).toBe(200)
    const other = { method: 'POST', ...origin('https://app.example:444') }
    expect((await fetch(`${listed.url}/v1/thing`, other)).status).toBe(403)
    const open = await startServer([routes], { corsOrigins: ['*'] })
    const answer = await fetch(`${open.url}/v1/thing`, other)
    expect(answer.headers.get('access-control-allow-origin')).toBe('https://app.example:444')
  })

  it('of this very server may call it by whatever name it was reached', () => {
    const policy = new OriginPolicy({ host: '0.0.0.0', hostNames: [], corsOrigins: [] })
    expect(policy.originAllowed('http://192.168.1.5:7462', '192.168.1.5:7462')).toBe(true)
    expect(policy.originAllowed('http://192.168.1.6:7462', '192.168.1.5:7462')).toBe(false)
  })

  it('of any origin may read /v8, and only read', async () => {
    const { url } = await startServer([routes])
    const foreign = 'https://anywhere.example'
    const get = await fetch(`${url}/v8/thing`, origin(foreign))
    expect(get.headers.get('access-control-allow-origin')).toBe('*')
    expect(get.headers.get('access-control-allow-credentials')).toBeNull()
    const preflight = (method: string) =>
      fetch(`${url}/v8/thing`, {
        method: 'OPTIONS',
        ...origin(foreign, { 'access-control-request-method': method }),
      })
    expect((await preflight('GET')).headers.get('access-control-allow-origin')).toBe('*')
    expect((await preflight('POST')).status).toBe(403)
    const post = await fetch(`${url}/v8/thing`, { method: 'POST', ...origin(foreign) })
    expect(post.status).toBe(403)
  })

  it('may send whatever headers a client adds', async () => {
    const { url } = await startServer([routes])
    const headers = 'authorization,content-type,openai-organization,x-stainless-os'
    const answer = await fetch(`${url}/v1/thing`, {
      method: 'OPTIONS',
      ...origin('http://localhost:3000', {
        'access-control-request-method': 'POST',
        'access-control-request-headers': headers,
      }),
    })
    expect(answer.status).toBe(204)
    expect(await answer.text()).toBe('')
    expect(answer.headers.get('access-control-allow-headers')).toBe(headers)
    expect(answer.headers.get('access-control-allow-methods')).toContain('POST')
    expect(answer.headers.get('access-control-max-age')).toBe('600')
  })
})

describe('a loopback address', () => {
  it.each([
    ['127.0.0.1', true],
    ['127.1.2.3', true],
    ['::1', true],
    ['localhost', true],
    ['0.0.0.0', false],
    ['::', false],
    ['127.evil.example', false],
    ['10.0.0.1', false],
  ])('%s: %s', (host, expected) => {
    expect(isLoopback(host)).toBe(expected)
  })
})
