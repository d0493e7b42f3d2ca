import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

export interface Asked {
  method: string
  path: string
  headers: IncomingHttpHeaders
  /** Its JSON; an empty object of a request without a body. */
  body: Record<string, unknown>
  /** Resolves when whoever asked ends the connection before the answer is whole. */
  gone: Promise<void>
}

export type Answer = (asked: Asked, response: ServerResponse) => void | Promise<void>

/** Some HTTP server on a free port of this machine, and what it was asked. */
export class FakeServer {
  answer: Answer
  readonly asked: Asked[] = []
  /** Connections that were opened. */
  connections = 0
  /** Answers that nobody waited for to their end. */
  gone = 0
  readonly #sockets = new Set<Socket>()
  readonly #server = createServer((request, response) => void this.#serve(request, response))
  #port = 0

  constructor(answer: Answer) {
    this.answer = answer
    this.#server.on('connection', (socket) => {
      this.connections++
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  get port(): number {
    return this.#port
  }

  /** Asked on this path, the last time. */
  last(path: string): Asked {
    const asked = this.asked.findLast((each) => each.path === path)
    if (asked === undefined) throw new Error(`nobody asked for ${path}`)
    return asked
  }

  async start(port = 0): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(port, '127.0.0.1', resolve))
    this.#port = (this.#server.address() as AddressInfo).port
    return this
  }

  /** As when it crashes: connections and all. */
  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  /** As servers do that keep a connection for some seconds. */
  dropIdle(): void {
    this.#server.closeIdleConnections()
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    const text = Buffer.concat(parts).toString()
    const gone = new Promise<void>((resolve) => {
      response.once('close', () => {
        if (response.writableFinished) return
        this.gone++
        resolve()
      })
    })
    const asked: Asked = {
      method: request.method ?? '',
      path: request.url ?? '',
      headers: request.headers,
      body: text === '' ? {} : (JSON.parse(text) as Asked['body']),
      gone,
    }
    this.asked.push(asked)
    await this.answer(asked, response)
  }
}

export function json(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(value))
}

export function stream(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
  response.flushHeaders()
}

export function event(response: ServerResponse, value: unknown): void {
  response.write(`data: ${JSON.stringify(value)}\n\n`)
}

export function done(response: ServerResponse): void {
  response.end('data: [DONE]\n\n')
}
