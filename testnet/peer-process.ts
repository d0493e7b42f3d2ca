import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { messageOf, PeerError, type PeerReady } from '../src/index.ts'
import { FigureReader, type PeerFigures } from './figures.ts'
import { lastLines } from './last-lines.ts'
import { argsOf, type PeerPlan } from './plan.ts'

/** One line that a peer prints. */
export type PrintedEvent = { event: string } & Readonly<Record<string, unknown>>
export type ReadyLine = PeerReady & { event: 'ready'; http: string }

export interface PeerPlace {
  nodePath: string
  /** What each peer runs, as JavaScript. */
  programPath: string
  env: Readonly<Record<string, string | undefined>>
  network: string
  /** Holds its folder and its log. */
  dir: string
  /** Addresses of the peers it joins through. */
  bootstrap: readonly string[]
  /** Stands in front of the command: where it runs. */
  prefix?: readonly string[]
}

/** A peer ended, or did not do what was waited for. */
export class TestnetPeerError extends PeerError {
  /** What it last wrote into its log. */
  readonly log: readonly string[]

  constructor(message: string, log: readonly string[]) {
    super('testnet_peer_failed', message)
    this.log = log
  }
}

export const defaultPeerTimes = {
  /** A start takes a second; with thirty others on two cores, half a minute. */
  readyMs: 120_000,
  /** A peer gives its running answers ten seconds to end. */
  stopMs: 15_000,
}

export type PeerTimes = typeof defaultPeerTimes

export type PeerState = 'waiting' | 'starting' | 'up' | 'stopping' | 'down'

/** A peer in a process of its own, which ends when this process does, however that happens. */
export class PeerProcess {
  readonly #plan: PeerPlan
  readonly #times: PeerTimes
  readonly #onEvent: (event: PrintedEvent, peer: PeerProcess) => void
  readonly #up = Promise.withResolvers<ReadyLine>()
  readonly #gone = Promise.withResolvers<void>()
  #state: PeerState = 'waiting'
  #child: ChildProcess | undefined
  #waker: ChildProcess | undefined
  #logFile = ''
  #ready: ReadyLine | undefined
  #figures: FigureReader | undefined

  /**
   * `onEvent` is given each line that it prints but the ready one, and `down` when it ends after it
   * was up, without being asked to.
   */
  constructor(
    plan: PeerPlan,
    times: PeerTimes,
    onEvent: (event: PrintedEvent, peer: PeerProcess) => void,
  ) {
    this.#plan = plan
    this.#times = times
    this.#onEvent = onEvent
    // Whoever waits is told; when nobody does, the event is enough.
    this.#up.promise.catch(() => {})
  }

  get name(): string {
    return this.#plan.name
  }

  get region(): string | undefined {
    return this.#plan.region
  }

  get roles(): readonly string[] {
    return this.#plan.roles
  }

  get state(): PeerState {
    return this.#state
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Undefined until it is up. */
  get ready(): ReadyLine | undefined {
    return this.#ready
  }

  /** Resolves when it listens. */
  async start(place: PeerPlace, { signal }: { signal: AbortSignal }): Promise<ReadyLine> {
    const dataDir = join(place.dir, this.name)
    await mkdir(dataDir, { recursive: true, mode: 0o700 })
    signal.throwIfAborted()
    this.#logFile = join(place.dir, `${this.name}.log`)
    this.#state = 'starting'
    this.#spawn(place, argsOf(this.#plan, { ...place, dataDir }))
    const { readyMs } = this.#times
    const late = AbortSignal.timeout(readyMs)
    try {
      return await orAborted(this.#up.promise, AbortSignal.any([signal, late]))
    } catch (error) {
      if (!late.aborted || signal.aborted) throw error
      throw await this.failure(`${this.name} was not up after ${readyMs / 1000} s.`)
    }
  }

  /** What it does at the moment; undefined when it does not say. */
  async figures({ signal }: { signal: AbortSignal }): Promise<PeerFigures | undefined> {
    return this.#state === 'up' ? this.#figures?.read(signal).catch(() => undefined) : undefined
  }

  /** An error that shows what the peer last said. */
  async failure(message: string): Promise<TestnetPeerError> {
    return new TestnetPeerError(message, await lastLines(this.#logFile))
  }

  /** Lets its running answers end; ends it at once when that takes too long. */
  async stop(): Promise<void> {
    const child = this.#child
    if (child === undefined || this.#state === 'down') return
    this.#state = 'stopping'
    if (child.connected) child.disconnect()
    const timer = setTimeout(() => child.kill('SIGKILL'), this.#times.stopMs)
    await this.#gone.promise
    clearTimeout(timer)
  }

  /** As a power cut does it. */
  async kill(): Promise<void> {
    const child = this.#child
    if (child === undefined || this.#state === 'down') return
    this.#state = 'stopping'
    const engines = childrenOf(child.pid)
    child.kill('SIGKILL')
    // One that stands still would not notice that its peer is gone.
    signalAll(engines, 'SIGCONT')
    this.#waker?.kill()
    await this.#gone.promise
  }

  /** It stands still, and its engines with it: nothing is closed, nothing is answered. */
  freeze(): void {
    const pids = this.#pids()
    this.#waker ??= wakerOf(pids)
    signalAll(pids, 'SIGSTOP')
  }

  /** It goes on as if no time had passed. */
  thaw(): void {
    signalAll(this.#pids(), 'SIGCONT')
    this.#waker?.kill()
    this.#waker = undefined
  }

  /** With those of its engines. */
  #pids(): number[] {
    const pid = this.#state === 'down' ? undefined : this.#child?.pid
    return pid === undefined ? [] : [pid, ...childrenOf(pid)]
  }

  #spawn({ nodePath, programPath, env, prefix = [] }: PeerPlace, args: readonly string[]): void {
    const log = openSync(this.#logFile, 'a', 0o600)
    const [command = nodePath, ...words] = [...prefix, nodePath]
    try {
      this.#child = spawn(command, [...words, programPath, ...args], {
        // Through the channel the peer notices when this process is gone.
        stdio: ['ignore', 'pipe', log, 'ipc'],
        // Ctrl-C reaches every process of a terminal's group. These are stopped by us alone.
        detached: true,
        windowsHide: true,
        env: { ...env },
      })
    } finally {
      closeSync(log)
    }
    this.#child.once('error', (error) => this.#ended(messageOf(error)))
    this.#child.once('exit', (code, by) =>
      this.#ended(by === null ? `code ${code}` : `signal ${by}`),
    )
    const { stdout } = this.#child
    if (stdout !== null) createInterface(stdout).on('line', (line) => this.#read(line))
  }

  #read(line: string): void {
    const event = eventOf(line)
    if (event?.event !== 'ready') {
      if (event !== undefined) this.#onEvent(event, this)
      return
    }
    const ready = event as unknown as ReadyLine
    this.#state = 'up'
    this.#ready = ready
    this.#figures = new FigureReader(ready.http)
    this.#up.resolve(ready)
  }

  #ended(how: string): void {
    const before = this.#state
    if (before === 'down') return
    this.#state = 'down'
    this.#gone.resolve()
    if (before === 'up') this.#onEvent({ event: 'down', reason: how }, this)
    if (before !== 'starting') return
    this.failure(`${this.name} ended while it started (${how}).`).then(this.#up.reject)
  }
}

/** Its engines. Only Linux tells them; elsewhere a peer stands still alone. */
function childrenOf(pid: number | undefined): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    return text.split(' ').filter(Boolean).map(Number)
  } catch {
    return []
  }
}

/** Who stands still does not notice that this process is gone: this one does, and wakes them. */
function wakerOf(pids: readonly number[]): ChildProcess {
  const args = ['-c', 'read -r _; kill -CONT "$@"', 'sh', ...pids.map(String)]
  const waker = spawn('sh', args, { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
  return waker.on('error', () => {})
}

function signalAll(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name)
    } catch {
      // It has ended by now.
    }
  }
}

function eventOf(line: string): PrintedEvent | undefined {
  try {
    const value: unknown = JSON.parse(line)
    const { event } = value as { event?: unknown }
    return typeof event === 'string' ? (value as PrintedEvent) : undefined
  } catch {
    return undefined
  }
}

/** What `promise` gives, unless the signal comes first. */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
