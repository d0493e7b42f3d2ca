import type { AddressInfo, Socket } from 'node:net'
import type { Idempotency } from '../accounts/idempotency/idempotency.ts'
import { RateLimiter } from '../accounts/limits/rate-limiter.ts'
import type { Clock } from '../base/clock.ts'
import { PeerError } from '../base/errors.ts'
import { newId } from '../base/ids.ts'
import type { Service } from '../base/lifecycle.ts'
import type { Logger } from '../base/logger.ts'
import { isLoopback } from '../base/loopback.ts'
import type { Metrics } from '../base/metrics.ts'
import type { Random } from '../base/random.ts'
import { buildApp } from './app.ts'
import type { Keys } from './auth.ts'
import { Entrance } from './entrance.ts'
import { defaultHttp, type HttpOptions } from './http-options.ts'
import { badHttpHandler, createNodeServer, type NodeServer } from './node-server.ts'

export interface HttpComponents {
  keys: Keys
  /** Shared with what counts tokens. Default: one of its own. */
  limiter?: RateLimiter
  /** Without it, `Idempotency-Key` is ignored. */
  idempotency?: Idempotency
  logger: Logger
  metrics: Metrics
  clock: Clock
  random: Random
  /** Ends the work on what still runs when a stop can wait no longer, so that its clients are told. */
  endWork?: () => void
}

/** How long it may take until they are. */
const CUT_MS = 1_500
/** How long the last bytes of a closing connection may take. */
const FLUSH_MS = 500

/** The HTTP endpoint: one listener, and whatever routes it is given. */
export class HttpServer implements Service {
  readonly #components: HttpComponents
  readonly #options: HttpOptions
  readonly #logger: Logger
  readonly #entrance: Entrance
  readonly #sockets = new Set<Socket>()
  readonly #closing = new AbortController()
  #server: NodeServer | undefined
  #closed: Promise<void> | undefined

  constructor(
    components: HttpComponents,
    options: Partial<HttpOptions> & Pick<HttpOptions, 'routes'>,
  ) {
    this.#options = { ...defaultHttp, ...options }
    this.#logger = components.logger.child('api')
    this.#components = components
    const limiter = components.limiter ?? new RateLimiter(components)
    this.#entrance = new Entrance({ ...components, limiter, logger: this.#logger }, this.#options)
  }

  async start({ signal }: { signal: AbortSignal }): Promise<void> {
    signal.throwIfAborted()
    this.#refuseOpenBind()
    const { clock, random } = this.#components
    const newRequestId = () => newId('req', clock, random)
    const app = await buildApp({
      entrance: this.#entrance,
      logger: this.#logger,
      newRequestId,
      bodyBytesMax: this.#options.bodyBytesMax,
      bodiesBytesMax: this.#options.bodiesBytesMax,
      routes: this.#options.routes,
      idempotency: this.#components.idempotency,
      createServer: (handler) => createNodeServer(handler, this.#options),
      onBadHttp: badHttpHandler(newRequestId, (socket) => this.#entrance.underway(socket)),
      closing: this.#closing.signal,
    })
    const server = app.server as NodeServer
    this.#server = server
    for (const event of ['connection', 'secureConnection']) {
      server.on(event, (socket: Socket) => this.#track(socket))
    }
    await this.#listen(server)
  }

  /** Where to reach the server, with its real port: `http://127.0.0.1:7462`. */
  address(): string {
    const bound = this.#server?.address() as AddressInfo | null | undefined
    if (bound === undefined || bound === null) {
      throw new PeerError('not_listening', 'The HTTP endpoint does not listen.')
    }
    const { host, tls } = this.#options
    const name = host.includes(':') ? `[${host}]` : host
    return `${tls === undefined ? 'http' : 'https'}://${name}:${bound.port}`
  }

  /** Ends the listener at once, running answers after a deadline. */
  stop(): Promise<void> {
    const server = this.#server
    if (server === undefined) return Promise.resolve()
    this.#closed ??= this.#drain(server)
    return this.#closed
  }

  async #drain(server: NodeServer): Promise<void> {
    const { clock, endWork } = this.#components
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    // Closing ends what is idle after an answer; these have not even asked.
    for (const socket of this.#sockets) if (socket.bytesRead === 0) socket.destroy()
    const idle = Promise.withResolvers<void>()
    let giveUp = clock.after(this.#options.drainMs, () => {
      this.#logger.warn('answers cut short by the stop', { connections: this.#sockets.size })
      if (endWork === undefined) return idle.resolve()
      giveUp = clock.after(CUT_MS, idle.resolve)
      endWork()
    })
    this.#entrance.close(idle.resolve)
    this.#closing.abort()
    await idle.promise
    giveUp()
    for (const socket of this.#sockets) {
      // Below TLS lies a socket of its own, which must not close before the encrypted end is out.
      if (this.#options.tls === undefined || 'encrypted' in socket) socket.destroySoon()
    }
    const cut = clock.after(FLUSH_MS, () => {
      for (const socket of this.#sockets) socket.destroy()
    })
    await closed
    cut()
    await this.#components.idempotency?.close()
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
  }

  #refuseOpenBind(): void {
    const { host, tls, insecureHttp } = this.#options
    if (isLoopback(host) || tls !== undefined || insecureHttp) return
    throw new PeerError(
      'insecure_bind',
      `Keys and prompts would cross the network unencrypted on ${host}. Give --tls-cert and ` +
        '--tls-key, or bind to 127.0.0.1, or say --insecure-http if a proxy encrypts.',
    )
  }

  #listen(server: NodeServer): Promise<void> {
    const { host, port } = this.#options
    return new Promise((resolve, reject) => {
      const onError = (error: NodeJS.ErrnoException) => {
        this.#server = undefined
        reject(listenError(error, host, port))
      }
      server.once('error', onError)
      server.listen({ host, port }, () => {
        server.off('error', onError)
        resolve()
      })
    })
  }
}

function listenError(cause: NodeJS.ErrnoException, host: string, port: number): PeerError {
  const other = `Choose another with --http ${host}:PORT (port 0 takes any free one).`
  switch (cause.code) {
    case 'EADDRINUSE':
      return new PeerError('address_in_use', `Port ${port} on ${host} is in use. ${other}`, {
        cause,
      })
    case 'EACCES':
      return new PeerError('address_not_permitted', `Port ${port} needs more rights. ${other}`, {
        cause,
      })
    default:
      return new PeerError(
        'address_not_available',
        `Cannot listen on ${host}:${port} (${cause.code}). Give --http an address of this machine.`,
        { cause },
      )
  }
}
