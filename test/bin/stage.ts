import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { onTestFinished } from 'vitest'
import type { Io, Output } from '../../bin/io.ts'
import { main } from '../../bin/main.ts'
import { writePeerInfo } from '../../src/peer-file.ts'

/** An output that remembers, and that can be waited on. */
export class Recorder implements Output {
  text = ''
  isTTY: boolean
  columns: number | undefined
  #watchers = new Set<() => void>()

  constructor(isTTY = false, columns?: number) {
    this.isTTY = isTTY
    this.columns = columns
  }

  write(piece: string): void {
    this.text += piece
    for (const watcher of this.#watchers) watcher()
  }

  /** Resolves once the text holds `wanted` at or behind `from`; gives the position behind it. */
  until(wanted: string, from = 0): Promise<number> {
    return new Promise((resolve) => {
      const look = () => {
        const found = this.text.indexOf(wanted, from)
        if (found < 0) return
        this.#watchers.delete(look)
        resolve(found + wanted.length)
      }
      this.#watchers.add(look)
      look()
    })
  }
}

export interface Stage extends Io {
  stdin: PassThrough & { isTTY?: boolean }
  stdout: Recorder
  stderr: Recorder
  /** What Ctrl-C or SIGTERM do to the process. */
  interrupt(): void
  run(...args: string[]): Promise<number>
}

/** A command's surroundings, with nothing of this process in them. */
export function stage(options: { tty?: boolean; env?: Record<string, string> } = {}): Stage {
  const tty = options.tty === true
  const end = new AbortController()
  const io: Stage = {
    stdin: Object.assign(new PassThrough(), { isTTY: tty }),
    stdout: new Recorder(tty, tty ? 80 : undefined),
    stderr: new Recorder(tty, tty ? 80 : undefined),
    env: { HOME: '/nowhere', ...options.env },
    signal: end.signal,
    interrupt: () => end.abort(),
    run: (...args) => main(args, io),
  }
  return io
}

export function temporaryFolder(): string {
  const path = mkdtempSync(join(tmpdir(), 'pinaivu-bin-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

export interface Asked {
  method: string
  path: string
  authorization: string | undefined
  body: unknown
}

export type Answer = (asked: Asked, response: ServerResponse) => void

export interface FakePeer {
  dataDir: string
  url: string
  asked: Asked[]
}

/** A real HTTP server that answers as it is told, with the files by which commands find it. */
export async function fakePeer(
  routes: Readonly<Record<string, Answer>>,
  tls?: { cert: string; key: string; trusted?: string },
): Promise<FakePeer> {
  const dataDir = temporaryFolder()
  const asked: Asked[] = []
  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    let text = ''
    for await (const piece of request.setEncoding('utf8')) text += piece
    const { method = '', url = '', headers } = request
    const one = {
      method,
      path: url,
      authorization: headers.authorization,
      body: text === '' ? undefined : JSON.parse(text),
    }
    asked.push(one)
    const known: typeof routes = { 'GET /healthz': json({ status: 'ok' }), ...routes }
    const route = known[`${method} ${url}`]
    if (route === undefined) json({ error: { message: `no route ${url}` } }, 404)(one, response)
    else route(one, response)
  }
  const server: Server = tls === undefined ? createServer(handle) : createTlsServer(tls, handle)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(() => resolve()))
  })
  const url = `http${tls === undefined ? '' : 's'}://127.0.0.1:${(server.address() as AddressInfo).port}`
  const certFile = tls === undefined ? null : join(dataDir, 'cert.pem')
  if (certFile !== null) writeFileSync(certFile, tls?.trusted ?? tls?.cert ?? '')
  writeFileSync(join(dataDir, 'owner.key'), 'sk-pnv-owner\n')
  const info = { version: '0.1.0', peerId: '12D3KooTest', pid: process.pid, http: url, certFile }
  await writePeerInfo(dataDir, info)
  return { dataDir, url, asked }
}

export function json(value: unknown, status = 200): Answer {
  return (_asked, response) => {
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(JSON.stringify(value))
  }
}

export const loadedModel = {
  name: 'pinaivu-demo',
  state: 'ready',
  demo: true,
  kind: 'chat',
  parameters: 12_345_678,
  quant: 'Q8_0',
  size_bytes: 13_000_000,
  context_length: 2048,
  slots: 4,
  threads: 1,
  running: 0,
  queued: 0,
  tokens_per_second: 812.34,
  progress: null,
  error: null,
}

export const peerState = {
  ready: true,
  version: '0.1.0',
  uptime_s: 3725,
  memory_bytes: 100 * 1024 * 1024,
  network: {
    peer_id: '12D3KooTest',
    addrs: ['/ip4/127.0.0.1/tcp/7463/p2p/12D3KooTest', '/ip4/10.0.0.2/tcp/7463/p2p/12D3KooTest'],
    connections: 1,
    listening: true,
  },
  models: [loadedModel],
}
