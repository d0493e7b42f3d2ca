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
  /** What SIGHUP does. */
  hangUp(): void
  run(...args: string[]): Promise<number>
}

/** A command's surroundings, with nothing of this process in them. */
export function stage(options: { tty?: boolean; env?: Record<string, string> } = {}): Stage {
  const tty = options.tty === true
  const end = new AbortController()
  const reloads = new Set<() => void>()
  const io: Stage = {
    stdin: Object.assign(new PassThrough(), { isTTY: tty }),
    stdout: new Recorder(tty, tty ? 80 : undefined),
    stderr: new Recorder(tty, tty ? 80 : undefined),
    env: { HOME: '/nowhere', ...options.env },
    signal: end.signal,
    interrupt: () => end.abort(),
    onReload(listener) {
      reloads.add(listener)
      return () => reloads.delete(listener)
    },
    hangUp() {
      for (const reload of reloads) reload()
    },
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
  /** Before the end of the test. */
  close(): Promise<void>
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
  const close = () => {
    server.closeAllConnections()
    return new Promise<void>((resolve) => server.close(() => resolve()))
  }
  onTestFinished(close)
  const url = `http${tls === undefined ? '' : 's'}://127.0.0.1:${(server.address() as AddressInfo).port}`
  const certFile = tls === undefined ? null : join(dataDir, 'cert.pem')
  if (certFile !== null) writeFileSync(certFile, tls?.trusted ?? tls?.cert ?? '')
  writeFileSync(join(dataDir, 'owner.key'), 'sk-pnv-owner\n')
  const info = { version: '0.1.0', peerId: '12D3KooTest', pid: process.pid, http: url, certFile }
  await writePeerInfo(dataDir, info)
  return { dataDir, url, asked, close }
}

export function json(value: unknown, status = 200): Answer {
  return (_asked, response) => {
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(JSON.stringify(value))
  }
}

export const loadedModel = {
  name: 'pinaivu-demo',
  id: 'cid:bafkdemo',
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
  storage: 'ok' as 'ok' | 'failed',
  network: {
    ...{ name: 'main', bootstrap: 1, mdns: true },
    peer_id: '12D3KooTest',
    addrs: ['/ip4/127.0.0.1/tcp/7463/p2p/12D3KooTest', '/ip4/10.0.0.2/tcp/7463/p2p/12D3KooTest'],
    connections: 1,
    listening: true,
    directory: { peers: 2 },
  },
  models: [loadedModel],
}

const price = { input: 40, output: 120 }

/** The peer itself as the list of peers has it. */
export const selfPeer = {
  node: '12D3KooTest',
  self: true,
  region: 'DE',
  roles: ['provider', 'coordinator'],
  version: '0.1.0',
  hardware: {
    gpus: [],
    ...{ cpu: 'A processor', cpu_threads: 2, ram_bytes: 8 * 1024 ** 3, backend: 'cpu' },
  },
  models: [
    {
      ...{ id: 'pinaivu-demo', content_id: 'cid:bafkdemo', kind: 'chat', family: 'llama' },
      ...{ parameters: 12_345_678, quant: 'Q8_0', context_length: 2048, capabilities: ['chat'] },
      ...{ price, slots: 4 },
      load: { ready: true, running: 1, queued: 0, tokens_per_second: 812.3 },
    },
  ],
  connected: true,
  rtt_ms: 0,
  evidence_age_s: 0,
}

export const otherPeer = {
  ...selfPeer,
  node: '12D3KooWOtherBBBBBBBB',
  self: false,
  region: 'FR',
  hardware: {
    gpus: [{ name: 'A card', vram_total_bytes: 80 * 1024 ** 3, vram_free_bytes: 0 }],
    ...{ cpu: 'A processor', cpu_threads: 64, ram_bytes: 512 * 1024 ** 3, backend: 'cuda' },
  },
  models: [
    ...selfPeer.models.map((model) => ({
      ...model,
      load: { ...model.load, running: 4, queued: 2 },
    })),
    {
      ...{ id: 'phi-4', content_id: 'cid:bafkphi', kind: 'chat', family: 'phi3' },
      ...{ parameters: 14_700_000_000, quant: 'Q4_K_M', context_length: 16_384 },
      ...{ capabilities: ['chat'], price, slots: 8, load: null },
    },
  ],
  rtt_ms: 0.8,
  evidence_age_s: 3.4,
}

export const offers = [
  {
    ...{ id: 'pinaivu-demo', network: false, nodes: 2, content_id: 'cid:bafkdemo', price },
    ...{ kind: 'chat', state: 'ready', demo: true },
  },
  {
    ...{ id: 'phi-4', network: true, nodes: 1, content_id: 'cid:bafkphi', price },
    ...{ kind: 'chat', context_length: 16_384, demo: false },
  },
]

/** What a peer answers that runs well and knows one other. */
export const wholePeer = {
  'GET /readyz': json(peerState),
  'GET /v1/models': json({ object: 'list', data: offers }),
  'GET /v8/network/peers': json({ object: 'list', data: [selfPeer, otherPeer], total: 2 }),
}
