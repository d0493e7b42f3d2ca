import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { readConfig } from '../src/config/config.ts'

// No container engine is asked: this is what can be known of the Dockerfile without one.

const root = join(import.meta.dirname, '..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
/** Each instruction on a line, without comments. */
const lines = read('Dockerfile')
  .replace(/^\s*#.*\n/gm, '')
  .replaceAll('\\\n', ' ')
  .split('\n')
  .filter((line) => line.trim() !== '')
const rest = (word: string): string[] =>
  lines.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1))

describe('the Dockerfile', () => {
  it('copies what is there, and what is not ignored', () => {
    const copied = rest('COPY')
      .filter((line) => !line.startsWith('--from'))
      .flatMap((line) => line.split(/\s+/).slice(0, -1))
    const kept = read('.dockerignore')
      .split('\n')
      .flatMap((line) => (line.startsWith('!') ? line.slice(1).split('/')[0] : []))
    for (const path of copied) {
      expect(existsSync(join(root, path)), path).toBe(true)
      expect(kept).toContain(path)
    }
    const { files, scripts } = JSON.parse(read('package.json'))
    for (const path of files) expect([...copied, 'dist']).toContain(path.split('/')[0])
    expect(rest('RUN').join()).toContain('npm run build')
    expect(scripts.build).toContain('tsconfig.build.json')
  })

  it('has one Node, new enough, and a user that is not root', () => {
    const images = rest('FROM').map((line) => line.split(' ')[0])
    expect(new Set(images).size).toBe(1)
    const major = Number(/^node:(\d+)-/.exec(images[0] ?? '')?.[1])
    const { engines, devDependencies } = JSON.parse(read('package.json'))
    expect(major).toBeGreaterThan(Number(/\d+/.exec(engines.node)?.[0]))
    expect(devDependencies.node).toMatch(new RegExp(`^\\^${major}\\.`))
    expect(rest('USER')).toEqual(['node'])
  })

  it('starts a peer with settings that there are, on the ports that it shows', () => {
    const env = Object.fromEntries(
      rest('ENV').flatMap((line) =>
        line.split(/\s+/).map((each) => each.split('=') as [string, string]),
      ),
    )
    const config = readConfig({ flags: {}, env, home: '/home/node', readFile: () => undefined })
    expect(config.notices).toEqual([])
    expect(rest('VOLUME')).toEqual([config.dataDir])
    const listens = config.listen.map((address) => address.split('/').at(-1))
    expect(rest('EXPOSE')[0]?.split(' ')).toEqual([String(config.http?.port), ...listens])
    const [program] = JSON.parse(rest('ENTRYPOINT')[0] ?? '').slice(1)
    const { bin } = JSON.parse(read('package.json'))
    expect(program).toBe(`/app/${bin['pinaivu-peer']}`)
  })

  it.each([
    [200, 0],
    [503, 1],
  ])('takes an answer of %i of /readyz for exit code %i', async (status, code) => {
    const dataDir = mkdtempSync(join(tmpdir(), 'pinaivu-docker-'))
    const asked: unknown[] = []
    const server = createServer(({ url, headers }, response) => {
      asked.push([url, headers.authorization])
      response.writeHead(status).end()
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    onTestFinished(() => {
      server.close()
      rmSync(dataDir, { recursive: true })
    })
    const http = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    writeFileSync(join(dataDir, 'peer.json'), JSON.stringify({ http }))
    writeFileSync(join(dataDir, 'owner.key'), 'sk-pnv-1\n')
    const text = /CMD (\[.*\])$/.exec(rest('HEALTHCHECK')[0] ?? '')?.[1] ?? ''
    const [node, ...args] = (JSON.parse(text) as string[]).map((each) =>
      each.replaceAll('/data/', `${dataDir}/`),
    )
    expect(node).toBe('node')
    const child = spawn(process.execPath, args)
    expect(await once(child, 'exit')).toEqual([code, null])
    expect(asked).toEqual([['/readyz', 'Bearer sk-pnv-1']])
  })
})
