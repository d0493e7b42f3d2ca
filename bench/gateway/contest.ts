import { Forked } from '../forked.ts'

export interface LoadOptions {
  url: string
  connections: number
  seconds: number
  body: string
  key: string
}

export interface LoadResult {
  requests: number
  /** Errors, timeouts and answers other than 2xx. */
  failed: number
  requestsPerSecond: number
  /** Milliseconds. */
  p50: number
  p99: number
}

export interface Measured extends LoadResult {
  /** Processor time of the server's own process for each request. */
  cpuMicroseconds: number
  /** Resident memory of the server's process after it, in MB. */
  rssMb: number
}

interface Announced {
  port: number
  key: string
}

interface Spent {
  cpuMicroseconds: number
  rss: number
}

/** A server of the contest, in a process of its own. */
export class Server {
  readonly #process: Forked
  readonly name: string
  readonly url: string
  /** To ask with. */
  readonly key: string

  private constructor(process: Forked, name: string, { port, key }: Announced) {
    this.#process = process
    this.name = name
    this.url = `http://127.0.0.1:${port}`
    this.key = key
  }

  static async start(
    program: string,
    args: readonly string[] = [],
    execArgv: readonly string[] = [],
  ): Promise<Server> {
    const process = new Forked(new URL(program, import.meta.url), args, execArgv)
    return new Server(process, [program, ...args].join(' '), await process.hear<Announced>())
  }

  spent(): Promise<Spent> {
    return this.#process.ask('spent')
  }

  stop(): Promise<void> {
    return this.#process.stop()
  }
}

export class Loader {
  readonly #process = new Forked(new URL('./load.ts', import.meta.url))

  private constructor() {}

  static async start(): Promise<Loader> {
    const loader = new Loader()
    await loader.#process.hear()
    return loader
  }

  async load(server: Server, options: Omit<LoadOptions, 'url' | 'key'>): Promise<Measured> {
    const before = await server.spent()
    const url = `${server.url}/v1/chat/completions`
    const order = { ...options, url, key: server.key } satisfies LoadOptions
    const result = await this.#process.ask<LoadResult>(order)
    const after = await server.spent()
    if (result.failed > 0) throw new Error(`${result.failed} requests to ${server.name} failed`)
    return {
      ...result,
      cpuMicroseconds: (after.cpuMicroseconds - before.cpuMicroseconds) / result.requests,
      rssMb: after.rss / 1e6,
    }
  }

  stop(): Promise<void> {
    return this.#process.stop()
  }
}
