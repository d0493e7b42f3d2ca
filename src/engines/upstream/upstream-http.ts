import http, { type ClientRequest, type IncomingMessage } from 'node:http'
import https from 'node:https'
import type { Clock } from '../../base/clock.ts'
import { parseFields } from './json.ts'
import { garbled, unreachable } from './upstream-errors.ts'

export interface UpstreamHttpOptions {
  /** Until the connection stands, TLS included. */
  connectMs: number
  /** Connections that wait for the next request; whoever has more at once opens more. */
  idleMax: number
  /** Most Python servers drop a connection after 5 s: one that is about to go is not taken. */
  idleMs: number
}

export const defaultUpstreamHttp: UpstreamHttpOptions = {
  connectMs: 5_000,
  idleMax: 64,
  idleMs: 4_000,
}

/** Where a server is, and what lets this peer in. Neither is ever shown or logged. */
export interface Place {
  /** Without `/v1`, and without a slash at its end. */
  base: URL
  key: string | undefined
}

export interface Ask {
  method?: 'GET' | 'POST'
  path: string
  body?: string
}

/** What is to come of an exchange. Each is called at most once but `onData`, and nothing after the end. */
export interface Hearer {
  onHead(response: IncomingMessage): void
  onData(bytes: Buffer): void
  /** Whole, by its own account. */
  onEnd(): void
  /** Before or after its head. */
  onBroken(error: Error): void
}

export interface Exchange {
  /** Nothing more is heard of it, and the server is told by the end of its connection. */
  drop(): void
  pause(): void
  resume(): void
}

/** The connections to one server. They are kept, as opening one costs more than all the rest. */
export class UpstreamHttp {
  readonly #clock: Clock
  readonly #place: Place
  readonly #options: UpstreamHttpOptions
  readonly #agent: http.Agent
  readonly #request: typeof http.request
  readonly #where: { host: string; port: string }
  /** Of every path. */
  readonly #prefix: string
  /** Of every request: names and values in turn, which Node takes as they are. */
  readonly #headers: readonly string[]

  constructor(clock: Clock, place: Place, options: Partial<UpstreamHttpOptions> = {}) {
    this.#clock = clock
    this.#place = place
    this.#options = { ...defaultUpstreamHttp, ...options }
    const { idleMax, idleMs } = this.#options
    const pool: http.AgentOptions = {
      ...{ keepAlive: true, maxFreeSockets: idleMax, scheduling: 'lifo', timeout: idleMs },
    }
    const { hostname, port, pathname } = place.base
    // Taken apart once: a URL for each request costs more than the rest of making one.
    this.#where = { host: hostname.replace(/^\[|\]$/g, ''), port }
    this.#prefix = pathname.replace(/\/+$/, '')
    this.#headers = [
      ...['host', place.base.host, 'connection', 'keep-alive'],
      ...['accept', 'text/event-stream, application/json'],
      ...(place.key === undefined ? [] : ['authorization', `Bearer ${place.key}`]),
    ]
    const isSecure = place.base.protocol === 'https:'
    this.#agent = isSecure ? new https.Agent(pool) : new http.Agent(pool)
    this.#request = isSecure ? https.request : http.request
  }

  /** Redirects are answers like others: nobody goes where they lead. */
  ask(ask: Ask, hearer: Hearer): Exchange {
    let isOver = false
    let request = this.#send(ask)
    let response: IncomingMessage | undefined
    const broken = (error: Error) => {
      if (isOver) return
      // It was dropped by the server just as it was taken: nothing of it was read there.
      if (response === undefined && request.reusedSocket && isDropped(error)) {
        request = this.#send(ask)
        listen()
        return
      }
      isOver = true
      hearer.onBroken(error)
    }
    const listen = () => {
      this.#limitConnect(request)
      const sent = request
      request.on('error', broken)
      // As where it goes over to another protocol, which nobody asked it for: no error is told then.
      request.once('close', () => {
        if (response === undefined && sent === request) broken(new Error('closed unanswered'))
      })
      request.on('response', (head) => {
        if (isOver) return
        response = head
        head.on('data', (bytes: Buffer) => {
          if (!isOver) hearer.onData(bytes)
        })
        head.on('end', () => {
          if (isOver) return
          isOver = true
          hearer.onEnd()
        })
        head.on('error', broken)
        hearer.onHead(head)
      })
    }
    listen()
    return {
      drop() {
        isOver = true
        request.destroy()
      },
      pause: () => response?.pause(),
      resume: () => response?.resume(),
    }
  }

  /** A whole answer of JSON, of a bounded size. Other statuses than 200 are undefined. */
  async json(ask: Ask & { bytesMax: number }, signal: AbortSignal): Promise<unknown> {
    const { status, text } = await this.text(ask, signal)
    return status === 200 ? parseFields(text) : undefined
  }

  text(
    ask: Ask & { bytesMax: number },
    signal: AbortSignal,
  ): Promise<{ status: number; text: string; retryAfterMs: number | undefined }> {
    const { promise, resolve, reject } = Promise.withResolvers<{
      status: number
      text: string
      retryAfterMs: number | undefined
    }>()
    const parts: Buffer[] = []
    let bytes = 0
    let status = 0
    let retryAfterMs: number | undefined
    const exchange = this.ask(ask, {
      onHead(response) {
        status = response.statusCode ?? 0
        retryAfterMs = retryAfterOf(response)
      },
      onData(part) {
        bytes += part.length
        parts.push(part)
        if (bytes <= ask.bytesMax) return
        exchange.drop()
        reject(garbled('a longer answer than anybody asked for'))
      },
      onEnd: () => resolve({ status, text: Buffer.concat(parts).toString(), retryAfterMs }),
      onBroken: (error) => reject(unreachable(error)),
    })
    const onAbort = () => {
      exchange.drop()
      reject(signal.reason)
    }
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
    return promise.finally(() => signal.removeEventListener('abort', onAbort))
  }

  close(): void {
    this.#agent.destroy()
  }

  #send({ method = 'POST', path, body }: Ask): ClientRequest {
    const request = this.#request({
      ...this.#where,
      path: `${this.#prefix}${path}`,
      method,
      agent: this.#agent,
      // Its head is an inference server's own, and short.
      maxHeaderSize: 16 * 1024,
      headers:
        body === undefined
          ? this.#headers
          : [...this.#headers, ...JSON_BODY, 'content-length', `${Buffer.byteLength(body)}`],
    })
    request.end(body)
    return request
  }

  #limitConnect(request: ClientRequest): void {
    request.once('socket', (socket) => {
      if (!socket.connecting) return
      const cancel = this.#clock.after(this.#options.connectMs, () => {
        request.destroy(new Error('no connection in time'))
      })
      socket.once(this.#place.base.protocol === 'https:' ? 'secureConnect' : 'connect', cancel)
      socket.once('close', cancel)
    })
  }
}

const JSON_BODY = ['content-type', 'application/json'] as const

const isDropped = (error: Error): boolean =>
  'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE')

/** In seconds, as these servers write it. */
export function retryAfterOf({ headers }: IncomingMessage): number | undefined {
  const seconds = Number(headers['retry-after'])
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined
}
