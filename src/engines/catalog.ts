import type { Clock } from '../base/clock.ts'
import { PeerError } from '../base/errors.ts'
import type { Service } from '../base/lifecycle.ts'
import type { Logger } from '../base/logger.ts'
import type { Metrics } from '../base/metrics.ts'
import type { HardwareFacts } from '../wire/advert.ts'
import { needsOf } from '../wire/capability.ts'
import type { Chunk, Generate } from '../wire/chunk.ts'
import type { FindDrafting } from '../wire/drafter.ts'
import { aliasTable } from './aliases.ts'
import { type CalibrationStore, Calibrator } from './calibrator.ts'
import type { Engine, ModelStatus } from './engine.ts'
import { engineMetrics } from './engine-metrics.ts'
import { hardwareFacts, readSystem } from './hardware.ts'
import type { LaunchEngine } from './llama/child-process.ts'
import { modelFailed } from './llama/llama-engine.ts'
import { type ModelIdStore, ModelIds } from './model-ids.ts'
import { ModelListeners } from './model-listeners.ts'
import type { ModelFile } from './model-store.ts'
import { Residence, type ResidenceOptions } from './residence.ts'
import { ServedModel, type ServedModelListener, type ServedModelOptions } from './served-model.ts'
import { unable } from './unable.ts'

export interface CatalogComponents {
  launch: LaunchEngine
  calibrations: CalibrationStore
  modelIds: ModelIdStore
  clock: Clock
  logger: Logger
  metrics: Metrics
  /** Who drafts elsewhere for a job. */
  findDrafting?: FindDrafting | undefined
}

export interface CatalogOptions extends ServedModelOptions {
  /** In the order in which they are loaded. */
  models: readonly ModelFile[]
  idleMs: number
  residence: ResidenceOptions
}

export const defaultCatalog = {
  gpu: 'auto',
  /** Long enough that a person who just started the peer can ask something first. */
  idleMs: 5000,
  residence: {},
} satisfies Partial<CatalogOptions>

/** All models of this machine, each in a process of its own. */
export class Catalog implements Engine, Service {
  readonly #models: Map<string, ServedModel>
  readonly #aliases: ReadonlyMap<string, string>
  readonly #calibrator: Calibrator
  readonly #ids: ModelIds
  readonly #residence: Residence
  readonly #logger: Logger
  readonly #changes = new ModelListeners()
  readonly #loads = new ModelListeners()
  readonly #system = readSystem()
  readonly #stop = new AbortController()
  #background: Promise<void> | undefined

  constructor(
    components: CatalogComponents,
    options: Pick<CatalogOptions, 'models'> & Partial<CatalogOptions>,
  ) {
    const { models, idleMs, residence, ...served } = { ...defaultCatalog, ...options }
    this.#logger = components.logger.child('engines')
    const inner = {
      launch: components.launch,
      clock: components.clock,
      logger: this.#logger,
      metrics: engineMetrics(components.metrics),
      findDrafting: components.findDrafting,
    }
    this.#aliases = aliasTable(models)
    const listener: ServedModelListener = {
      onChange: (status) => this.#onChange(status),
      onLoad: (model) => this.#onLoad(model),
      onWanted: (model) => this.#residence.want(model, this.#stop.signal),
    }
    this.#models = new Map(
      models.map((file) => [file.name, new ServedModel(inner, file, served, listener)]),
    )
    this.#residence = new Residence(inner, [...this.#models.values()], residence)
    this.#ids = new ModelIds({ store: components.modelIds, logger: this.#logger })
    this.#calibrator = new Calibrator(
      { ...inner, store: components.calibrations },
      [...this.#models.values()],
      { idleMs },
    )
  }

  status(): ModelStatus[] {
    return [...this.#models.values()].map((model) => model.status())
  }

  resolve(name: string): ModelStatus | undefined {
    return this.#find(name)?.status()
  }

  generate: Generate = (job, options) => {
    const model = this.#find(job.model)
    if (model === undefined) return failing(modelNotFound(job.model))
    // Said at once, instead of after a wait in its queue.
    if (model.failure) return failing(modelFailed(model.failure))
    const [need] = needsOf(job.work)
    if (need !== undefined) return failing(unable(need))
    return model.generate(job, options)
  }

  hardware(): HardwareFacts {
    const found = [...this.#models.values()].flatMap(({ hardware }) => hardware ?? [])
    return hardwareFacts(this.#system, found)
  }

  onChange(listener: (status: ModelStatus) => void): () => void {
    return this.#changes.add(listener)
  }

  onLoad(listener: (status: ModelStatus) => void): () => void {
    return this.#loads.add(listener)
  }

  /** Returns before the models are loaded: whoever asks meanwhile waits. */
  async start({ signal }: { signal: AbortSignal }): Promise<void> {
    signal.throwIfAborted()
    this.#background ??= this.#work(this.#stop.signal).catch((error: unknown) => {
      this.#logger.error('loading models ended early', { error })
    })
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await Promise.all([...this.#models.values()].map((model) => model.stop()))
    await this.#residence.stop()
    await this.#background
  }

  /** All models are served before anything else is done with the machine. */
  async #work(signal: AbortSignal): Promise<void> {
    await this.#load(signal)
    for (const model of this.#models.values()) await this.#identify(model, signal)
    await this.#calibrator.run(signal)
  }

  /** One after the other, so that the first is there soon. */
  async #load(signal: AbortSignal): Promise<void> {
    for (const model of this.#models.values()) {
      await this.#calibrator.recall(model)
      const id = model.storedId ?? (await this.#ids.recall(model.path))
      if (signal.aborted) return
      if (id !== undefined) model.useId(id)
      const loaded = this.#residence.load(model, signal)
      // A demo model is so small that it is read before its process is up.
      if (model.status().demo) await this.#identify(model, signal)
      await loaded
    }
  }

  async #identify(model: ServedModel, signal: AbortSignal): Promise<void> {
    if (model.id !== undefined || model.failure !== undefined) return
    const id = await this.#ids.find(model.path, signal)
    if (id !== undefined) model.useId(id)
  }

  #find(name: string): ServedModel | undefined {
    return this.#models.get(name) ?? this.#models.get(this.#aliases.get(name) ?? '')
  }

  #onChange(status: ModelStatus): void {
    const { name, id, state, slots, threads, error } = status
    this.#logger.info('model', { name, id, state, slots, threads, error, ...loadedHow(status) })
    this.#changes.tell(status)
  }

  #onLoad(model: ServedModel): void {
    this.#residence.used(model)
    if (!this.#loads.isEmpty) this.#loads.tell(model.status())
  }
}

/** What was chosen for the memory that there is. */
function loadedHow({ state, facts, trainedContext, gpuLayers }: ModelStatus) {
  if (state !== 'ready' || facts === undefined) return {}
  return { contextLength: facts.contextLength, trainedContext, gpuLayers }
}

function modelNotFound(name: string): PeerError {
  const message =
    `The model "${name.slice(0, 200)}" does not exist here. ` +
    'GET /v1/models lists those that do.'
  return new PeerError('model_not_found', message, { param: 'model' })
}

function failing(error: PeerError): AsyncIterable<Chunk> {
  return { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(error) }) }
}
