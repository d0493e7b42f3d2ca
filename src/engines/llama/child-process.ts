import { type ChildProcess, fork } from 'node:child_process'
import { getCompileCacheDir } from 'node:module'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { ToEngine } from './ipc.ts'

/** One life of an engine process. */
export interface EngineProcess {
  readonly pid: number | undefined
  send(message: ToEngine): void
  /** Ends it at once; `onExit` follows. */
  kill(): void
  /** Asks it to end, ends it when it does not, and waits until it is gone. */
  stop(): Promise<void>
}

export interface EngineExit {
  code: number | null
  signal: string | null
  /** The last lines it wrote, where llama.cpp says why it gave up. For the log alone. */
  lastWords: string[]
}

export interface EngineEvents {
  /** Not checked: the process reads files that anybody may have made. */
  onMessage(message: unknown): void
  /** Exactly once, also when it could not be started. Nothing comes after it. */
  onExit(exit: EngineExit): void
}

export type LaunchEngine = (events: EngineEvents) => EngineProcess

export interface LauncherOptions {
  /** The peer's environment; only what a compute library needs of it is handed on. */
  env: Readonly<Record<string, string | undefined>>
  /** The program. */
  entry: string
  /** How long it may take to end when asked. */
  stopMs: number
}

export const defaultLauncher = {
  entry: join(import.meta.dirname, import.meta.filename.endsWith('.ts') ? 'child.ts' : 'child.js'),
  stopMs: 2000,
}

/** Bytes of one line that are kept: enough for any message, and a bound for a process gone wild. */
const LINE_LENGTH_MAX = 1000
const LAST_WORDS = 5
/** For what a process had sent when it ended. */
const DRAIN_MS = 1000

/**
 * What loaders, drivers and compute libraries read. A list of what passes instead of what does not:
 * keys and tokens in the peer's environment stay out of a process that parses foreign files.
 */
const PASSED_ON =
  /^(PATH|HOME|USERPROFILE|LANG|LC_ALL|TMPDIR|TEMP|TMP|TZ|SystemRoot|APPDATA|LOCALAPPDATA|XDG_\w+|LD_LIBRARY_PATH|DYLD_LIBRARY_PATH|(CUDA|NVIDIA|HIP|ROCR|HSA|GGML|LLAMA|VK|OMP|MTL)_\w+)$/

export function engineEnvironment(env: LauncherOptions['env']): Record<string, string> {
  const passed: Record<string, string> = {}
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && PASSED_ON.test(name)) passed[name] = value
  }
  return passed
}

export function engineLauncher(
  components: { clock: Clock; logger: Logger },
  options: Pick<LauncherOptions, 'env'> & Partial<LauncherOptions>,
): LaunchEngine {
  const settings = { ...defaultLauncher, ...options }
  return (events) => new ForkedEngine(components, settings, events)
}

/** Where the peer keeps its compiled modules, the engine may too: it starts in half the time. */
function compileCache(): Record<string, string> {
  const folder = getCompileCacheDir()
  return folder === undefined ? {} : { NODE_COMPILE_CACHE: folder }
}

class ForkedEngine implements EngineProcess {
  readonly #clock: Clock
  readonly #stopMs: number
  readonly #child: ChildProcess
  readonly #gone = Promise.withResolvers<void>()

  constructor(
    { clock, logger }: { clock: Clock; logger: Logger },
    options: LauncherOptions,
    events: EngineEvents,
  ) {
    this.#clock = clock
    this.#stopMs = options.stopMs
    const child = fork(options.entry, {
      execPath: process.execPath,
      execArgv: [],
      env: { ...engineEnvironment(options.env), ...compileCache() },
      serialization: 'advanced',
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    this.#child = child
    const lastWords: string[] = []
    const onLine = (line: string) => {
      logger.debug('engine process says', { pid: child.pid, line })
      if (lastWords.push(line) > LAST_WORDS) lastWords.shift()
    }
    for (const stream of [child.stdout, child.stderr]) if (stream) forEachLine(stream, onLine)

    child.on('error', (error) => {
      onLine(error.message)
      this.kill()
    })
    this.#reportEnd(events, lastWords)
  }

  /** What it sent last is still on its way when it is gone: wait for that, but not for long. */
  #reportEnd(events: EngineEvents, lastWords: string[]): void {
    const child = this.#child
    let code: number | null = null
    let signal: string | null = null
    let ended = false
    const awaited = new Set(['disconnect', 'close'])
    const end = () => {
      if (ended) return
      ended = true
      this.#gone.resolve()
      events.onExit({ code, signal, lastWords })
    }
    const tick = (event: string) => {
      awaited.delete(event)
      if (awaited.size === 0) end()
    }
    child.on('message', (message) => {
      if (!ended) events.onMessage(message)
    })
    child.on('disconnect', () => {
      // A process that can no longer be spoken to is of no use, alive or not.
      this.kill()
      tick('disconnect')
    })
    child.on('close', () => tick('close'))
    child.on('exit', (exitCode, exitSignal) => {
      code = exitCode
      signal = exitSignal
      const cancel = this.#clock.after(DRAIN_MS, end)
      this.#gone.promise.then(cancel)
    })
    child.on('error', () => {
      if (child.pid === undefined) end()
    })
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  send(message: ToEngine): void {
    if (!this.#child.connected) return
    // The callback takes the error of a process that ends just now: `exit` tells of it.
    this.#child.send(message, () => {})
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM')
    const cancel = this.#clock.after(this.#stopMs, () => this.kill())
    await this.#gone.promise
    cancel()
  }
}

/** Calls back for each line, cut to a bounded length. */
function forEachLine(stream: Readable, onLine: (line: string) => void): void {
  let pending = ''
  stream.setEncoding('utf8')
  stream.on('data', (text: string) => {
    const lines = text.split('\n')
    const rest = lines.pop() ?? ''
    for (const line of lines) {
      onLine((pending + line).slice(0, LINE_LENGTH_MAX))
      pending = ''
    }
    pending = (pending + rest).slice(0, LINE_LENGTH_MAX)
  })
  stream.on('end', () => {
    if (pending !== '') onLine(pending)
  })
  stream.on('error', () => {})
}
