import type { Clock } from '../base/clock.ts'
import { PeerError } from '../base/errors.ts'
import type { Service } from '../base/lifecycle.ts'
import type { Logger } from '../base/logger.ts'
import type { Metrics } from '../base/metrics.ts'
import type { Chunk, Generate } from '../wire/chunk.ts'
import { aliasTable } from './aliases.ts'
import { type CalibrationStore, Calibrator } from './calibrator.ts'
import type { Engine, ModelStatus } from './engine.ts'
import { engineMetrics } from './engine-metrics.ts'
import type { LaunchEngine } from './llama/child-process.ts'
import { modelFailed } from './llama/llama-engine.ts'
import type { ModelFile } from './model-store.ts'
import { ServedModel, type ServedModelOptions } from './served-model.ts'

export interface CatalogComponents {
  launch: LaunchEngine
  calibrations: CalibrationStore
  clock: Clock
  logger: Logger
  metrics: Metrics
}

export interface CatalogOptions extends ServedModelOptions {
  /** In the order in which they are loaded. */
  models: readonly ModelFile[]
  /** Other names: alias → name. */
  aliases: Readonly<Record<string, string>>
  idleMs: number
}

export const defaultCatalog = {
  aliases: {},
  gpu: 'auto',
  /** Long enough that a person who just started the peer can ask something first. */
  idleMs: 5000,
} satisfies Partial<CatalogOptions>

/** All models of this machine, each in a process of its own. */
export class Catalog implements Engine, Service {
  readonly #models: Map<string, ServedModel>
  readonly #aliases: ReadonlyMap<string, string>
  readonly #calibrator: Calibrator
  readonly #logger: Logger
  readonly #listeners = new Set<(status: ModelStatus) => void>()
  readonly #stop = new AbortController()
  #background: Promise<void> | undefined

  constructor(
    components: CatalogComponents,
    options: Pick<CatalogOptions, 'models'> & Partial<CatalogOptions>,
  ) {
    const { models, aliases, idleMs, ...served } = { ...defaultCatalog, ...options }
    this.#logger = components.logger.child('engines')
    const inner = {
      launch: components.launch,
      clock: components.clock,
      logger: this.#logger,
      metrics: engineMetrics(components.metrics),
    }
    this.#aliases = aliasTable(models, aliases)
    const onChange = (status: ModelStatus) => this.#onChange(status)
    this.#models = new Map(
      models.map((file) => [file.name, new ServedModel(inner, file, served, onChange)]),
    )
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
    return model.generate(job, options)
  }

  onChange(listener: (status: ModelStatus) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Returns before the models are loaded: whoever asks meanwhile waits. */
  async start({ signal }: { signal: AbortSignal }): Promise<void> {
    signal.throwIfAborted()
    this.#background ??= this.#loadAndCalibrate(this.#stop.signal).catch((error: unknown) => {
      this.#logger.error('loading models ended early', { error })
    })
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await Promise.all([...this.#models.values()].map((model) => model.stop()))
    await this.#background
  }

  /** One after the other, so that the first is there soon. */
  async #loadAndCalibrate(signal: AbortSignal): Promise<void> {
    for (const model of this.#models.values()) {
      await this.#calibrator.recall(model)
      if (signal.aborted) return
      model.start()
      await model.settled(signal)
    }
    await this.#calibrator.run(signal)
  }

  #find(name: string): ServedModel | undefined {
    return this.#models.get(name) ?? this.#models.get(this.#aliases.get(name) ?? '')
  }

  #onChange(status: ModelStatus): void {
    const { name, state, slots, threads, error } = status
    this.#logger.info('model', { name, state, slots, threads, error })
    for (const listener of this.#listeners) listener(status)
  }
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
