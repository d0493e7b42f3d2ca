import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { isAbove } from '../../bin/upgrade.ts'
import { version } from '../../src/version.ts'
import { stage } from './stage.ts'

/**
 * A registry, as https://github.com/npm/registry/blob/main/docs/REGISTRY-API.md describes it: GET
 * /{package}/{version or tag} answers with the manifest of that version, or 404.
 */
async function registry(answer: RequestListener): Promise<{ url: string; asked: string[] }> {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    answer(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/npm`, asked }
}

const says =
  (body: string, status = 200): RequestListener =>
  (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(body)
  }

async function check(url: string, ...args: string[]) {
  const io = stage()
  const code = await io.run('upgrade', '--check', '--registry', url, ...args)
  return { code, out: io.stdout.text, err: io.stderr.text }
}

describe('pinaivu-peer upgrade', () => {
  it('asks for the newest version, and says how to get it', async () => {
    const { url, asked } = await registry(says('{"name":"pinaivu-peer","version":"999.0.0"}'))
    const { code, out } = await check(url)
    expect(code).toBe(0)
    expect(out).toContain('999.0.0 is there')
    expect(out).toContain('npm install -g pinaivu-peer@latest')
    expect(asked).toEqual(['GET /npm/pinaivu-peer/latest'])
    expect(JSON.parse((await check(url, '--json')).out)).toEqual({
      version,
      newest: '999.0.0',
      is_newer: true,
      how: 'npm install -g pinaivu-peer@latest',
    })
  })

  it('says that there is none', async () => {
    const { url } = await registry(says(JSON.stringify({ version })))
    expect((await check(url)).out).toBe(`${version} is the newest.\n`)
    expect(JSON.parse((await check(url, '--json')).out)).toMatchObject({
      is_newer: false,
      how: null,
    })
  })

  it.each([
    ['no package', says('{}', 404), /has no package pinaivu-peer/],
    ['a failure', says('', 503), /answered with status 503\. Try again later/],
    ['a page', says('<html>'), /is no version\. Is it a registry/],
    ['no version', says('{"version":"latest; rm -rf /"}'), /is no version/],
    ['nothing of use', says('null'), /is no version/],
    ['too much', says(`{"version":"${'9'.repeat(2_000_000)}"}`), /is no version/],
    [
      'half an answer',
      (_request, response) => {
        response.writeHead(200, { 'content-length': '100' })
        response.write('{')
        response.destroy()
      },
      /cannot be asked: /,
    ],
  ] satisfies [string, RequestListener, RegExp][])(
    'fails in one sentence on %s',
    async (_, answer, text) => {
      const { code, out, err } = await check((await registry(answer)).url)
      expect([code, out]).toEqual([1, ''])
      expect(err).toMatch(text)
      expect(err.trim().split('\n')).toHaveLength(1)
    },
  )

  it('says so where nobody listens, and ends when it is interrupted', async () => {
    const gone = createServer().listen(0, '127.0.0.1')
    await once(gone, 'listening')
    const { port } = gone.address() as AddressInfo
    await new Promise((resolve) => gone.close(resolve))
    expect((await check(`http://127.0.0.1:${port}`)).err).toMatch(/cannot be asked: .*ECONNREFUSED/)
    const io = stage()
    const { url, asked } = await registry(() => io.interrupt())
    expect(await io.run('upgrade', '--check', '--registry', url)).toBe(1)
    expect(asked).toHaveLength(1)
  })

  it('asks nobody unless it is told to, and installs nothing', async () => {
    const io = stage()
    expect(await io.run('upgrade')).toBe(2)
    expect(io.stderr.text).toMatch(/Nothing is installed by this program\. Say --check/)
    expect((await check('file:///etc/passwd')).code).toBe(2)
  })

  it('orders versions as semver does', () => {
    const inOrder =
      '1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11'
    const versions = [
      ...inOrder.split(' '),
      '1.0.0-rc.1',
      '1.0.0',
      '1.0.1',
      '1.2.0',
      '1.10.0',
      '2.0.0',
    ]
    for (const [i, one] of versions.entries()) {
      for (const [j, other] of versions.entries()) expect(isAbove(one, other)).toBe(i > j)
    }
  })
})
