import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

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

interface Spent {
  cpuMicroseconds: number
  rss: number
}

/** A server of the contest, in a process of its own. */
export class Server {
  readonly #child: ChildProcess
  readonly url: string
  /** To ask with. */
  readonly key: string

  private constructor(child: ChildProcess, port: number, key: string) {
    this.#child = child
    this.url = `http://127.0.0.1:${port}`
    this.key = key
  }

  static async start(
    program: string,
    args: readonly string[] = [],
    execArgv: readonly string[] = [],
  ): Promise<Server> {
    const child = forkProgram(program, args, execArgv)
    const { port, key } = await message<{ port: number; key: string }>(child)
    return new Server(child, port, key)
  }

  spent(): Promise<Spent> {
    const answer = message<Spent>(this.#child)
    this.#child.send('spent')
    return answer
  }

  stop(): Promise<void> {
    return stopProgram(this.#child)
  }
}

export class Loader {
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  static async start(): Promise<Loader> {
    const child = forkProgram('./load.ts', [], [])
    await message(child)
    return new Loader(child)
  }

  async load(server: Server, options: Omit<LoadOptions, 'url' | 'key'>): Promise<Measured> {
    const before = await server.spent()
    const answer = message<LoadResult>(this.#child)
    const url = `${server.url}/v1/chat/completions`
    this.#child.send({ ...options, url, key: server.key } satisfies LoadOptions)
    const result = await answer
    const after = await server.spent()
    if (result.failed > 0) throw new Error(`${result.failed} requests to ${server.url} failed`)
    return {
      ...result,
      cpuMicroseconds: (after.cpuMicroseconds - before.cpuMicroseconds) / result.requests,
      rssMb: after.rss / 1e6,
    }
  }

  stop(): Promise<void> {
    return stopProgram(this.#child)
  }
}

function forkProgram(
  program: string,
  args: readonly string[],
  execArgv: readonly string[],
): ChildProcess {
  const path = fileURLToPath(new URL(program, import.meta.url))
  return fork(path, [...args], { execArgv: [...execArgv] })
}

/** The next message; fails when the process ends instead. */
async function message<T>(child: ChildProcess): Promise<T> {
  const over = new AbortController()
  const ended = once(child, 'exit', { signal: over.signal }).then(() => {
    throw new Error(`${child.spawnargs.at(-1)} ended`)
  })
  try {
    const [value] = await Promise.race([once(child, 'message', { signal: over.signal }), ended])
    return value
  } finally {
    over.abort()
    ended.catch(() => {})
  }
}

async function stopProgram(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.disconnect()
  await ended
}
