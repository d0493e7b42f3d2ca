import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Recording } from './recording.ts'

const COMMAND_MS = 180_000
/** 200 MB, over whatever line a machine has. */
const INSTALL_MS = 600_000

interface Ended {
  code: number | null
  stdout: string
  /** Both streams, as a terminal mixes them. */
  shown: string
}

/** What goes on in the foreground until Ctrl-C. */
export interface Running {
  shown(): string
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
  async types(line: string, wanted = /(?:)/, limitMs = COMMAND_MS): Promise<string> {
    this.#recording.command(this.#who, line)
    const ended = await this.#run(line, limitMs)
    this.#recording.output(ended.shown)
    if (ended.code === 0 && wanted.test(ended.shown)) return ended.stdout
    throw new Error(
      `${line}\nended with ${ended.code}, and ${wanted} was expected:\n${ended.shown}`,
    )
  }

  async installs(line: string): Promise<void> {
    await this.types(line, /added \d+ packages/, INSTALL_MS)
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

  /** A command that stays, until it has printed all that is wanted. `brief`: its beginning is known. */
  async starts(line: string, wanted: readonly RegExp[], { brief = false } = {}): Promise<Running> {
    this.#recording.command(this.#who, line)
    const child = this.#spawn(line)
    this.#running.add(child)
    const exited = once(child, 'exit')
    const text = textOf(child)
    const signal = AbortSignal.timeout(COMMAND_MS)
    const isOver = once(signal, 'abort')
    while (!wanted.every((pattern) => pattern.test(text.shown))) {
      if (child.exitCode !== null || child.signalCode !== null || signal.aborted) {
        throw new Error(`${line}\nnever said ${wanted.join(', ')}:\n${text.shown}`)
      }
      await Promise.race([text.more(), exited, isOver])
    }
    this.#recording.output(startedText(text.shown, brief))
    return {
      shown: () => text.shown,
      interrupt: async () => {
        const before = text.shown.length
        // As a terminal does: to all that run in the foreground.
        process.kill(-(child.pid ?? 0), 'SIGINT')
        await exited
        this.#running.delete(child)
        const last = text.shown.slice(before)
        this.#recording.output(`^C\n${last}`)
        // npx and its shell end by the signal, so the peer's own exit code is not seen here.
        if (!/^Stopping: .*\n$/.test(last)) throw new Error(`${line}\ndid not end well:\n${last}`)
      },
    }
  }

  /** What stands alone would outlive this. */
  close(): void {
    for (const { pid, exitCode, signalCode } of this.#running) {
      const isThere = exitCode === null && signalCode === null
      if (pid !== undefined && isThere) process.kill(-pid, 'SIGKILL')
    }
  }

  async #run(line: string, limitMs = COMMAND_MS): Promise<Ended> {
    const child = this.#spawn(line)
    const text = textOf(child)
    const timer = setTimeout(() => process.kill(-(child.pid ?? 0), 'SIGKILL'), limitMs)
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

const LINES_KEPT = 4

/** What became ready in which order is chance: what stands below the peer's own facts is sorted. */
function startedText(shown: string, brief: boolean): string {
  const end = 'Ctrl-C stops the peer.\n'
  const at = shown.indexOf(end) + end.length
  const facts = shown.slice(0, at).trimEnd().split('\n')
  const told = shown.slice(at).trim().split('\n').sort().reverse()
  return [...(brief ? [...facts.slice(0, LINES_KEPT), '  …'] : facts), '', ...told].join('\n')
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
