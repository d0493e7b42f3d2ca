import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
export const program = join(root, 'dist/bin/pinaivu-peer.js')

export interface Ready {
  event: 'ready'
  version: string
  peerId: string
  addrs: string[]
  http: string
  apiKey: string
  models: string[]
  roles: string[]
  dataDir: string
  ms: number
}

export type Event = { event: string } & Record<string, unknown>

export interface PeerProcess {
  ready: Ready
  child: ChildProcess
  /** Everything the process said on stderr so far. */
  log(): string
  /** The next event on stdout that satisfies `wanted`, those already seen included. */
  event(wanted: (event: Event) => boolean): Promise<Event>
  /** Ends it as Ctrl-C does and gives its exit code. */
  stop(): Promise<number | null>
  kill(): Promise<void>
}

export interface StartOptions {
  /** Kept by the caller; without it a fresh one is made, and removed at the end. */
  dataDir?: string
  args?: string[]
  env?: Record<string, string>
  programPath?: string
  /** Stands in front of the command: where it runs. */
  prefix?: readonly string[]
  /** For other machines to reach it. */
  listen?: string
}

export function temporaryFolder(): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'pinaivu-test-'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

/** A real peer in a process of its own: free ports, one thread for the engine, its own data dir. */
export async function startPeer(options: StartOptions = {}): Promise<PeerProcess> {
  const own = options.dataDir === undefined ? temporaryFolder() : undefined
  const dataDir = options.dataDir ?? own?.path ?? ''
  const { prefix = [], listen = '/ip4/127.0.0.1/tcp/0' } = options
  const [command = process.execPath, ...words] = [...prefix, process.execPath]
  const child = spawn(
    command,
    [
      ...[...words, options.programPath ?? program, 'start', '--json'],
      ...['--http', '127.0.0.1:0', '--listen', listen, '--data-dir', dataDir],
      ...(options.args ?? []),
    ],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH ?? '', HOME: dataDir, PINAIVU_THREADS: '1', ...options.env },
    },
  )
  let log = ''
  child.stderr.on('data', (data: Buffer) => {
    log += data.toString()
  })
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve))
  const events: Event[] = []
  const watchers = new Set<() => void>()
  const notify = () => {
    for (const watcher of watchers) watcher()
  }
  createInterface({ input: child.stdout }).on('line', (line) => {
    events.push(JSON.parse(line) as Event)
    notify()
  })
  void exited.then(notify)
  const event = (wanted: (event: Event) => boolean) =>
    new Promise<Event>((resolve, reject) => {
      const look = () => {
        const found = events.find(wanted)
        if (found === undefined && child.exitCode === null && child.signalCode === null) return
        watchers.delete(look)
        if (found !== undefined) resolve(found)
        else reject(new Error(`the peer ended (${child.exitCode ?? child.signalCode}):\n${log}`))
      }
      watchers.add(look)
      look()
    })
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal)
    const code = await exited
    own?.remove()
    return code
  }
  const ready = (await event((found) => found.event === 'ready')) as unknown as Ready
  return {
    ready,
    child,
    log: () => log,
    event,
    stop: () => end('SIGINT'),
    kill: async () => {
      await end('SIGKILL')
    },
  }
}

export interface Finished {
  code: number | null
  stdout: string
  stderr: string
}

/** Runs one command of the program to its end. */
export async function runProgram(
  args: string[],
  options: {
    env?: Record<string, string>
    input?: string
    node?: string
    prefix?: readonly string[]
  } = {},
): Promise<Finished> {
  const { node = process.execPath, prefix = [] } = options
  const [command = node, ...words] = [...prefix, node]
  const child = spawn(command, [...words, program, ...args], {
    env: { PATH: process.env.PATH ?? '', NO_COLOR: '1', ...options.env },
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (data: Buffer) => {
    stdout += data.toString()
  })
  child.stderr.on('data', (data: Buffer) => {
    stderr += data.toString()
  })
  child.stdin.end(options.input ?? '')
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  return { code, stdout, stderr }
}

/** Asks the peer's HTTP endpoint with the owner's key. */
export function ask(
  peer: Ready,
  path: string,
  body?: unknown,
  { fetch: send = fetch, ...init }: RequestInit & { fetch?: typeof fetch } = {},
) {
  return send(`${peer.http}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    ...init,
    headers: {
      authorization: `Bearer ${peer.apiKey}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...init.headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
}
