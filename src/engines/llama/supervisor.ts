import { basename } from 'node:path'
import type { Clock } from '../../base/clock.ts'
import { PeerError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { ModelState } from '../engine.ts'
import { checkMessage } from './check-message.ts'
import type { EngineExit, EngineProcess, LaunchEngine } from './child-process.ts'
import type { FromEngine, LoadOptions, ToEngine } from './ipc.ts'
import { Watchdog } from './watchdog.ts'

export type Loaded = Extract<FromEngine, { type: 'ready' }>
/** What concerns single runs; the rest the supervisor deals with itself. */
export type RunMessage = Exclude<FromEngine, { type: 'ready' | 'load-progress' | 'load-failed' }>

export interface SupervisorListener {
  onState?(state: ModelState): void
  onMessage?(message: RunMessage): void
  /** The process is gone, and with it every run it had. */
  onLost?(): void
}

export interface SupervisorComponents {
  launch: LaunchEngine
  clock: Clock
  logger: Logger
}

export interface SupervisorOptions {
  backoffMs: number
  backoffMsMax: number
  /** After so long without a fault the next fault counts as the first. */
  healthyMs: number
  /** Deaths in a row before the model was ever ready; then it is given up. */
  loadDeathsMax: number
  /** Silence with a run at work. A slow machine still says every second or so how far it is. */
  runSilenceMs: number
  /** Silence while loading: allocating and warming up a large model reports nothing. */
  loadSilenceMs: number
  /** Silence while measuring. */
  calibrateSilenceMs: number
}

export const defaultSupervisor: SupervisorOptions = {
  backoffMs: 250,
  backoffMsMax: 30_000,
  healthyMs: 60_000,
  loadDeathsMax: 2,
  runSilenceMs: 60_000,
  loadSilenceMs: 300_000,
  calibrateSilenceMs: 300_000,
}

/** Keeps one model's engine process alive: loads it, restarts it, gives it up when it is hopeless. */
export class Supervisor {
  readonly #components: SupervisorComponents
  readonly #options: SupervisorOptions
  readonly #listeners = new Set<SupervisorListener>()
  readonly #watchdog: Watchdog
  #load: LoadOptions
  #state: ModelState = 'waiting'
  #failure: PeerError | undefined
  #loaded: Loaded | undefined
  #progress: number | undefined
  #process: EngineProcess | undefined
  /** Of a process that was unloaded. */
  #leaving: Promise<void> | undefined
  #stopped = false
  #loadDeaths = 0
  #backoffMs: number
  #cancelTimer: (() => void) | undefined

  constructor(
    components: SupervisorComponents,
    load: LoadOptions,
    options: Partial<SupervisorOptions> = {},
  ) {
    this.#components = components
    this.#options = { ...defaultSupervisor, ...options }
    this.#load = load
    this.#backoffMs = this.#options.backoffMs
    this.#watchdog = new Watchdog(components.clock, (silentMs) => {
      this.kill(`it said nothing for ${Math.round(silentMs / 1000)} s with work at hand`)
    })
  }

  get state(): ModelState {
    return this.#state
  }

  /** Why it failed for good. */
  get failure(): PeerError | undefined {
    return this.#failure
  }

  /** What the process last said about itself when it was ready. */
  get loaded(): Loaded | undefined {
    return this.#loaded
  }

  /** Part of the file that is read, while it loads. */
  get progress(): number | undefined {
    return this.#progress
  }

  get pid(): number | undefined {
    return this.#process?.pid
  }

  listen(listener: SupervisorListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** How the model is loaded from the next start of its process on. */
  loadWith(load: LoadOptions): void {
    this.#load = load
  }

  start(): void {
    if (this.#state !== 'waiting' || this.#stopped) return
    this.#enter('loading')
    this.#launch()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#cancelTimer?.()
    this.#watchdog.clear()
    await this.#process?.stop()
    await this.#leaving
  }

  /** Ends the process and gives back its memory, until it is started again. Only while `ready`. */
  async unload(): Promise<void> {
    const process = this.#process
    if (this.#state !== 'ready' || process === undefined || this.#stopped) return
    this.#process = undefined
    this.#cancelTimer?.()
    this.#watchdog.clear()
    this.#enter('waiting')
    for (const listener of this.#listeners) listener.onLost?.()
    this.#leaving = process.stop()
    await this.#leaving
  }

  /** Only while `ready`; a message to a process that dies meanwhile is lost, and `onLost` follows. */
  send(message: Exclude<ToEngine, { type: 'load' }>): void {
    if (message.type === 'run') this.#watchdog.begin(message.run, this.#options.runSilenceMs)
    if (message.type === 'calibrate') {
      this.#watchdog.begin(message.type, this.#options.calibrateSilenceMs)
    }
    this.#process?.send(message)
  }

  /** Ends the process; it is started again. */
  kill(why: string): void {
    this.#components.logger.warn('engine process is ended', { why, pid: this.pid })
    this.#process?.kill()
  }

  #launch(): void {
    this.#progress = 0
    this.#watchdog.begin('load', this.#options.loadSilenceMs)
    const process = this.#components.launch({
      // What was unloaded has nothing to say any more.
      onMessage: (message) => this.#process === process && this.#onMessage(message),
      onExit: (exit) => this.#process === process && this.#onExit(exit),
    })
    this.#process = process
    process.send({ type: 'load', options: this.#load })
  }

  #onMessage(value: unknown): void {
    const message = checkMessage(value)
    if (message === undefined) {
      this.kill('it sent a message of an unknown shape')
      return
    }
    this.#watchdog.heard()
    switch (message.type) {
      case 'load-progress':
        this.#progress = message.fraction
        return
      case 'ready':
        this.#onReady(message)
        return
      case 'load-failed':
        this.#onRefusal(new PeerError(message.code, this.#withoutPath(message.message)))
        return
      case 'chunks':
        for (const [run, chunk] of message.chunks) {
          if (chunk.type === 'done') this.#watchdog.end(run)
        }
        break
      case 'run-failed':
        this.#watchdog.end(message.run)
        break
      case 'calibrated':
      case 'calibration-stopped':
        this.#watchdog.end('calibrate')
        break
    }
    for (const listener of this.#listeners) listener.onMessage?.(message)
  }

  #onReady(message: Loaded): void {
    this.#watchdog.end('load')
    this.#loaded = message
    this.#progress = undefined
    this.#loadDeaths = 0
    this.#cancelTimer = this.#components.clock.after(this.#options.healthyMs, () => {
      this.#backoffMs = this.#options.backoffMs
    })
    this.#enter('ready')
  }

  #onRefusal(reason: PeerError): void {
    // A file that was good once is good still: another program may hold the memory just now.
    if (this.#loaded !== undefined) this.kill(`it cannot load the model again: ${reason.message}`)
    else this.#giveUp(reason)
  }

  #onExit(exit: EngineExit): void {
    this.#process = undefined
    this.#progress = undefined
    this.#cancelTimer?.()
    this.#watchdog.clear()
    if (!this.#stopped && this.#state !== 'failed') this.#recover(exit)
    for (const listener of this.#listeners) listener.onLost?.()
  }

  #recover(exit: EngineExit): void {
    this.#components.logger.warn('engine process stopped', { ...exit, state: this.#state })
    this.#loadDeaths++
    // Once it was ready the file is known to be good, and what kills it may pass.
    if (this.#loaded === undefined && this.#loadDeaths >= this.#options.loadDeathsMax) {
      this.#giveUp(
        new PeerError(
          'model_crashes_engine',
          `The engine process stopped ${this.#loadDeaths} times while it loaded this model. ` +
            'The file is damaged or of a kind this engine cannot read, or memory is too short. ' +
            'Fetch the file again, or serve a smaller model.',
        ),
      )
      return
    }
    if (this.#loaded !== undefined) this.#enter('restarting')
    this.#cancelTimer = this.#components.clock.after(this.#backoffMs, () => this.#launch())
    this.#backoffMs = Math.min(this.#backoffMs * 2, this.#options.backoffMsMax)
  }

  #giveUp(failure: PeerError): void {
    this.#components.logger.error('model cannot be loaded', { code: failure.code })
    this.#failure = failure
    this.#enter('failed')
    this.#process?.kill()
  }

  #enter(state: ModelState): void {
    if (this.#state === state) return
    this.#state = state
    for (const listener of this.#listeners) listener.onState?.(state)
  }

  /** Messages reach clients; where files lie on this machine does not concern them. */
  #withoutPath(message: string): string {
    const { modelPath } = this.#load
    return message.replaceAll(modelPath, basename(modelPath))
  }
}
