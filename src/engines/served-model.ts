import { stat } from 'node:fs/promises'
import type { Clock } from '../base/clock.ts'
import type { PeerError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { Generate } from '../wire/chunk.ts'
import type { FindDrafting } from '../wire/drafter.ts'
import type { Hardware, ModelState, ModelStatus } from './engine.ts'
import type { EngineMetrics } from './engine-metrics.ts'
import type { LaunchEngine } from './llama/child-process.ts'
import type { Calibration, LoadOptions } from './llama/ipc.ts'
import { LlamaEngine } from './llama/llama-engine.ts'
import { type Loaded, Supervisor } from './llama/supervisor.ts'
import { modelShards } from './model-shards.ts'
import type { ModelFile } from './model-store.ts'
import { type Scheduled, type SchedulerLoad, scheduled } from './scheduler.ts'

/** With the graphics cards it was measured with: other cards, other result. */
export interface RememberedCalibration extends Calibration {
  gpu: string[]
}

export interface ServedModelComponents {
  launch: LaunchEngine
  clock: Clock
  logger: Logger
  metrics: EngineMetrics
  /** Who drafts elsewhere for a job. */
  findDrafting?: FindDrafting | undefined
}

export interface ServedModelOptions extends Omit<LoadOptions, 'modelPath'> {
  queueMax?: number
  scopeMax?: number
}

export interface ServedModelListener {
  /** A state or an id. */
  onChange(status: ModelStatus): void
  onLoad(model: ServedModel): void
  /** Somebody asks for it. */
  onWanted(model: ServedModel): void
}

/** One model of this machine: its process, the engine over that, and the queue before both. */
export class ServedModel {
  readonly name: string
  readonly path: string
  /** What the user fixed, as far as it changes what measuring finds. */
  readonly fixed: string
  readonly generate: Generate
  readonly #file: ModelFile
  readonly #created: number
  readonly #load: LoadOptions
  readonly #supervisor: Supervisor
  readonly #engine: LlamaEngine
  readonly #scheduled: Scheduled
  readonly #listener: ServedModelListener
  #id: string | undefined
  #calibration: RememberedCalibration | undefined
  #calibrationWanted: boolean

  constructor(
    components: ServedModelComponents,
    file: ModelFile,
    options: ServedModelOptions,
    listener: ServedModelListener,
  ) {
    const { queueMax, scopeMax, ...load } = options
    this.name = file.name
    this.path = file.path
    this.fixed = `gpu:${load.gpu} slots:${load.slots} threads:${load.threads} batches`
    this.#file = file
    this.#created = Math.floor(components.clock.now() / 1000)
    const { path: modelPath, draft: draftPath } = file
    this.#load = { ...load, modelPath, ...(draftPath !== undefined && { draftPath }) }
    // There nothing is measured, so that nothing differs by it.
    this.#calibrationWanted = load.reproducible !== true
    this.#listener = listener
    this.#supervisor = new Supervisor(components, this.#load)
    const { clock, findDrafting } = components
    this.#engine = new LlamaEngine({ supervisor: this.#supervisor, clock, findDrafting })
    const onLoad = () => listener.onLoad(this)
    this.#scheduled = scheduled(
      this.#engine.generate,
      { ...components, onLoad },
      {
        ...(queueMax === undefined ? {} : { queueMax }),
        ...(scopeMax === undefined ? {} : { scopeMax }),
        ...(load.slots === undefined ? {} : { slots: load.slots }),
      },
    )
    this.generate = (job, options) => {
      listener.onWanted(this)
      return this.#scheduled(job, options)
    }
    this.#supervisor.listen({ onState: (state) => this.#onState(state) })
    this.#count(components.metrics)
  }

  get load(): SchedulerLoad {
    return this.#scheduled.load()
  }

  /** What its process found it computes with, when it had last loaded. */
  get hardware(): Hardware | undefined {
    return this.#supervisor.loaded?.hardware
  }

  get id(): string | undefined {
    return this.#id
  }

  /** As the store has it, where the file came by it. */
  get storedId(): string | undefined {
    return this.#file.id
  }

  /** Why it cannot be served. */
  get failure(): PeerError | undefined {
    return this.#supervisor.failure
  }

  get isReady(): boolean {
    return this.#supervisor.state === 'ready'
  }

  /** It takes memory, or is about to. */
  get isLoaded(): boolean {
    return ['loading', 'ready', 'restarting'].includes(this.#supervisor.state)
  }

  /** It was loaded, and is loaded again when it is wanted. */
  get isUnloaded(): boolean {
    return this.#supervisor.state === 'waiting' && this.#supervisor.loaded !== undefined
  }

  /** What it takes in memory; before it was loaded, what its files let expect. */
  async memoryBytes(): Promise<number> {
    const { loaded } = this.#supervisor
    if (loaded?.memoryBytes !== undefined) return loaded.memoryBytes
    const paths = [this.path, this.#file.draft ?? []].flat().flatMap(modelShards)
    const sizes = await Promise.all(paths.map(sizeOf))
    return sizes.reduce((sum, size) => sum + size, 0)
  }

  /** Once what it is at has ended. */
  async unload(signal?: AbortSignal): Promise<void> {
    await this.#engine.drain(signal)
    await this.#supervisor.unload()
  }

  get needsCalibration(): boolean {
    if (this.isUnloaded) return false
    const { state, loaded } = this.#supervisor
    // An embedding model takes all inputs of a job in one pass: there is nothing to choose.
    return this.#calibrationWanted && state !== 'failed' && loaded?.facts.kind !== 'embedding'
  }

  status(): ModelStatus {
    const { state, failure, progress, loaded } = this.#supervisor
    const { slots, running, queued } = this.load
    const { tokensPerSecond } = this.#engine
    return {
      name: this.name,
      ...(this.#id !== undefined && { id: this.#id }),
      state,
      ...(this.isUnloaded && { unloaded: true }),
      created: this.#created,
      demo: this.#file.demo,
      running,
      queued,
      ...(loaded && {
        facts: loaded.facts,
        slots,
        threads: this.#calibration?.threads ?? loaded.threads,
      }),
      ...(loaded && loadedHow(loaded)),
      ...(tokensPerSecond !== undefined && { tokensPerSecond }),
      ...(state === 'loading' && progress !== undefined && { progress }),
      ...(failure && { error: { code: failure.code, message: failure.message } }),
    }
  }

  start(): void {
    this.#supervisor.start()
  }

  useId(id: string): void {
    this.#id = id
    this.#listener.onChange(this.status())
  }

  /** Resolves once it is ready or failed, or the signal aborts. */
  async settled(signal: AbortSignal): Promise<void> {
    const isSettled = () => ['ready', 'failed'].includes(this.#supervisor.state)
    if (isSettled() || signal.aborted) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const unlisten = this.#supervisor.listen({ onState: () => isSettled() && resolve() })
    signal.addEventListener('abort', () => resolve(), { once: true })
    await promise
    unlisten()
  }

  async stop(): Promise<void> {
    this.#engine.stop()
    await this.#supervisor.stop()
  }

  /** For the next load of the model. */
  useCalibration(calibration: RememberedCalibration): void {
    if (!this.#calibrationWanted) return
    this.#calibrationWanted = false
    this.#calibration = calibration
    const { slots, threads, batchTimes = [] } = calibration
    this.#supervisor.loadWith({ ...this.#load, slots, threads, batchTimes })
  }

  /** Undefined when work came in between, or it cannot be done. */
  async calibrate(): Promise<RememberedCalibration | undefined> {
    if (this.#supervisor.state !== 'ready') return undefined
    const before = this.load.admitted
    const result = await this.#engine.calibrate()
    if (result === undefined) {
      // No work stopped it, so it would end, or even end the process, in the same way again.
      if (this.load.admitted === before) this.#calibrationWanted = false
      return undefined
    }
    // What the user fixed is not ours to find out.
    const { slots = result.slots, threads = result.threads } = this.#load
    const gpu = this.#supervisor.loaded?.hardware.gpu ?? []
    const calibration = { ...result, slots, threads, gpu }
    this.useCalibration(calibration)
    this.#scheduled.resize(slots)
    this.#listener.onChange(this.status())
    return calibration
  }

  #onState(state: ModelState): void {
    const { loaded } = this.#supervisor
    if (state === 'ready' && loaded) {
      this.#scheduled.resize(loaded.slots)
      this.#checkCalibration(loaded.hardware.gpu)
    }
    this.#listener.onChange(this.status())
  }

  /** What was measured with other graphics cards is forgotten, and the model loaded without it. */
  #checkCalibration(gpu: string[]): void {
    if (!this.#calibration || this.#calibration.gpu.join() === gpu.join()) return
    this.#calibration = undefined
    this.#calibrationWanted = true
    this.#supervisor.loadWith(this.#load)
    this.#supervisor.kill('it was loaded for other graphics cards')
  }

  #count(metrics: EngineMetrics): void {
    const labels = { model: this.name }
    this.#supervisor.listen({
      onState: (state) => state === 'restarting' && metrics.restarts.add(1, labels),
      onMessage(message) {
        if (message.type !== 'chunks') return
        for (const [, chunk] of message.chunks) {
          if (chunk.type !== 'done') continue
          metrics.inputTokens.add(chunk.usage.inputTokens, labels)
          metrics.outputTokens.add(chunk.usage.outputTokens, labels)
        }
      },
    })
  }
}

function loadedHow({ facts, trainedContext, gpuLayers, hardware }: Loaded) {
  const isShort = trainedContext !== undefined && trainedContext > facts.contextLength
  return {
    ...(isShort && { trainedContext }),
    ...(gpuLayers !== undefined && hardware.backend !== 'cpu' && { gpuLayers }),
  }
}

const sizeOf = (path: string): Promise<number> =>
  stat(path).then(
    ({ size }) => size,
    () => 0,
  )
