import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { fakeHub } from '../engines/store/fake-hub.ts'
import { ask, program, type Ready, temporaryFolder } from './peer-process.ts'

const draft = readFileSync(join(import.meta.dirname, '../../models/pinaivu-demo-draft-q8_0.gguf'))

type Line = { event: string; type?: string } & Record<string, unknown>

/** A peer that fetches its model first, from a repo that asks for a token. */
async function start() {
  const files = [{ path: 'tiny-Q8_0.gguf', bytes: draft }]
  const hub = await fakeHub({ id: 'o/gated', files, gated: true, licence: 'mit' })
  const { path: dataDir, remove } = temporaryFolder()
  const args = [
    ...['start', '--json', '--http', '127.0.0.1:0', '--listen', '/ip4/127.0.0.1/tcp/0'],
    ...['--model', 'tiny=hf:o/gated:Q8_0', '--accept-licence', '--log-level', 'debug'],
    ...['--data-dir', dataDir, '--log-file', join(dataDir, 'log')],
  ]
  const child = spawn(process.execPath, [program, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...{ PATH: process.env.PATH ?? '', HOME: dataDir, PINAIVU_THREADS: '1' },
      ...{ HF_ENDPOINT: hub.url, HF_TOKEN: hub.token },
    },
  })
  const exited = new Promise((resolve) => child.once('exit', resolve))
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await exited
    remove()
  })
  let said = ''
  const lines: Line[] = []
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data: Buffer) => {
      said += data.toString()
    })
  }
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(JSON.parse(line)))
  const line = (wanted: (line: Line) => boolean): Promise<Line> =>
    vi.waitUntil(() => lines.find(wanted), { timeout: 30_000, interval: 20 })
  return { hub, dataDir, child, line, said: () => said }
}

/** What everybody on this machine sees of a process, and all that its engine is given. */
function processFiles(pid: number): string[] {
  const children = `/proc/${pid}/task/${pid}/children`
  if (!existsSync(children)) return []
  const engines = readFileSync(children, 'utf8').trim().split(' ')
  const paths = engines.flatMap((engine) => [`/proc/${engine}/cmdline`, `/proc/${engine}/environ`])
  return [`/proc/${pid}/cmdline`, ...paths].map((path) => readFileSync(path, 'utf8'))
}

/** What stands in files of this folder, each read as one. */
function contentOf(folder: string): string {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => readFileSync(path, 'latin1'))
    .join('\n')
}

/** What changes for longer is read as it is. */
const STORM_MS = 800
const OLD = { input: 40, output: 120 }
const NEW = { input: 50, output: 150 }
const [old, next] = [OLD, NEW].map(({ input, output }) => `price = "${input}/${output}"\n`)

describe('a peer that is told again and again to read its configuration', () => {
  it('hears it while it fetches a model, never takes half a file, and keeps its token', {
    timeout: 60_000,
  }, async () => {
    const { hub, dataDir, child, line, said } = await start()
    const config = join(dataDir, 'config.toml')
    hub.faults = [{ cutAfter: 1000 }]
    await line(({ type }) => type === 'trouble')
    writeFileSync(config, old ?? '')
    child.kill('SIGHUP')
    const ready = (await line(({ event }) => event === 'ready')) as unknown as Ready
    await line(({ event, state }) => event === 'model' && state === 'ready')
    const price = async () => {
      const answer = await ask(ready, '/v1/models/tiny')
      return ((await answer.json()) as { price: unknown }).price
    }
    await vi.waitUntil(async () => JSON.stringify(await price()) === JSON.stringify(OLD))

    let isOver = false
    const storm = (async () => {
      const until = performance.now() + STORM_MS
      for (let at = 0; performance.now() < until; at++) {
        const half = ['', 'pri', 'price = "cheap"\n', next ?? '', '# nothing'][at % 5]
        writeFileSync(config, half ?? '')
        child.kill('SIGHUP')
        await delay(2)
      }
      writeFileSync(config, next ?? '')
      isOver = true
    })()
    const seen = new Set<string>()
    while (!isOver) {
      const answer = await ask(ready, '/v1/chat/completions', {
        ...{ model: 'tiny', max_tokens: 4, messages: [{ role: 'user', content: 'Hello' }] },
      })
      expect(answer.status).toBe(200)
      await answer.text()
      seen.add(JSON.stringify(await price()))
    }
    await storm
    expect([...seen]).toEqual([JSON.stringify(OLD)])
    await vi.waitUntil(async () => JSON.stringify(await price()) === JSON.stringify(NEW))

    expect(processFiles(child.pid ?? 0).join()).not.toContain(hub.token)
    expect(said()).not.toContain(hub.token)
    expect(contentOf(dataDir)).not.toContain(hub.token)
    expect(hub.of('cdn').map(({ authorization }) => authorization)).toEqual([undefined, undefined])
    expect(
      hub.of('hub').every(({ authorization }) => authorization === `Bearer ${hub.token}`),
    ).toBe(true)
    child.kill('SIGTERM')
    await vi.waitUntil(() => child.exitCode !== null)
    expect(child.exitCode).toBe(0)
  })
})
