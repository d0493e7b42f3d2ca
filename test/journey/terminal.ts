import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Recording } from './recording.ts'

const COMMAND_MS = 180_000

interface Ended {
  code: number | null
  stdout: string
  /** Both streams, as a terminal mixes them. */
  shown: string
}

/** What goes on in the foreground until Ctrl-C. */
export interface Running {
  shown(): string
  /** Resolves once it has printed this. */
  until(wanted: RegExp): Promise<string>
  interrupt(): Promise<void>
}

/** Where somebody types: each line is run by a shell as it stands there, and recorded. */
export class Terminal {
  readonly #who: string
  readonly #recording: Recording
  readonly #folder: string
  readonly #env: Record<string, string>
  readonly #running = new Set<ChildProcess>()

  constructor(
    who: string,
    recording: Recording,
    { folder, env }: { folder: string; env: Record<string, string> },
  ) {
    this.#who = who
    this.#recording = recording
    this.#folder = folder
    this.#env = env
  }

  exports(variables: Record<string, string>): void {
    Object.assign(this.#env, variables)
    const words = Object.entries(variables).map(([name, value]) => `${name}=${value}`)
    this.#recording.command(this.#who, `export ${words.join(' ')}`)
  }

  /** A command to its end, which must be a good one. */
  async types(line: string, wanted = /(?:)/): Promise<string> {
    this.#recording.command(this.#who, line)
    const ended = await this.#run(line)
    this.#recording.output(ended.shown)
    if (ended.code === 0 && wanted.test(ended.shown)) return ended.stdout
    throw new Error(
      `${line}\nended with ${ended.code}, and ${wanted} was expected:\n${ended.shown}`,
    )
  }

  /** Not recorded: what a person sees, or copies from above. */
  async reads(line: string): Promise<string> {
    return (await this.#run(line)).stdout.trim()
  }

  /** Not recorded: a person tries until it is so. */
  async waits(line: string, wanted: RegExp): Promise<void> {
    const deadline = performance.now() + COMMAND_MS
    for (;;) {
      const { shown } = await this.#run(line)
      if (wanted.test(shown)) return
      if (performance.now() > deadline) throw new Error(`${line}\nnever said ${wanted}:\n${shown}`)
    }
  }

  /** A command that stays, until it has printed what is wanted. */
  async starts(line: string, wanted: RegExp): Promise<Running> {
    this.#recording.command(this.#who, line)
    const child = this.#spawn(line)
    this.#running.add(child)
    const exited = once(child, 'exit')
    const text = textOf(child)
    const until = async (pattern: RegExp) => {
      const signal = AbortSignal.timeout(COMMAND_MS)
      while (!pattern.test(text.shown)) {
        const hasEnded = child.exitCode !== null || child.signalCode !== null
        if (hasEnded || signal.aborted)
          throw new Error(`${line}\nnever said ${pattern}:\n${text.shown}`)
        await Promise.race([text.more(), exited, once(signal, 'abort')])
      }
      return text.shown
    }
    this.#recording.output(await until(wanted))
    return {
      until,
      shown: () => text.shown,
      interrupt: async () => {
        const before = text.shown.length
        // As a terminal does: to all that run in the foreground.
        process.kill(-(child.pid ?? 0), 'SIGINT')
        await exited
        this.#running.delete(child)
        this.#recording.output(`^C\n${text.shown.slice(before)}`)
      },
    }
  }

  close(): void {
    for (const { pid, exitCode } of this.#running) {
      if (pid !== undefined && exitCode === null) process.kill(-pid, 'SIGKILL')
    }
  }

  async #run(line: string): Promise<Ended> {
    const child = this.#spawn(line)
    const text = textOf(child)
    const timer = setTimeout(() => process.kill(-(child.pid ?? 0), 'SIGKILL'), COMMAND_MS)
    const [code] = (await once(child, 'close')) as [number | null]
    clearTimeout(timer)
    return { code, stdout: text.stdout, shown: text.shown }
  }

  #spawn(line: string): ChildProcess {
    return spawn('sh', ['-c', line], {
      ...{ cwd: this.#folder, env: this.#env, stdio: ['ignore', 'pipe', 'pipe'] },
      // A group of its own, for Ctrl-C.
      detached: true,
    })
  }
}

function textOf({ stdout, stderr }: ChildProcess) {
  const text = {
    stdout: '',
    shown: '',
    more: () =>
      new Promise<void>((resolve) => {
        stdout?.once('data', () => resolve())
        stderr?.once('data', () => resolve())
      }),
  }
  stdout?.setEncoding('utf8').on('data', (piece: string) => {
    text.stdout += piece
    text.shown += piece
  })
  stderr?.setEncoding('utf8').on('data', (piece: string) => {
    text.shown += piece
  })
  return text
}
