import type { Clock } from '../../base/clock.ts'
import { PeerError } from '../../base/errors.ts'
import type { Service } from '../../base/lifecycle.ts'
import type { Logger } from '../../base/logger.ts'
import type { Metrics } from '../../base/metrics.ts'
import type { HardwareFacts } from '../../wire/advert.ts'
import type { Chunk, Generate } from '../../wire/chunk.ts'
import type { Engine, ModelStatus } from '../engine.ts'
import { hardwareFacts, readSystem } from '../hardware.ts'
import { ModelListeners } from '../model-listeners.ts'
import type { GivenNamesStore } from './given-names.ts'
import { defaultLanePatience, type LanePatience } from './lane-run.ts'
import {
  defaultUpstreamPatience,
  Upstream,
  type UpstreamPatience,
  type UpstreamSpec,
} from './upstream.ts'
import type { UpstreamModel } from './upstream-model.ts'

export interface UpstreamEngineComponents {
  names: GivenNamesStore
  clock: Clock
  logger: Logger
  metrics: Metrics
}

export interface UpstreamEngineOptions extends UpstreamPatience, LanePatience {
  upstreams: readonly UpstreamSpec[]
  peerId: string
  /** Kept; nobody else has it. */
  secret: Uint8Array
  /** Answers at once for each model; undefined: as many as its kind of server does well. */
  slots?: number | undefined
}

/** The models of servers that somebody else runs: what is asked here is asked there. */
export class UpstreamEngine implements Engine, Service {
  readonly #upstreams: readonly Upstream[]
  readonly #changes = new ModelListeners()
  readonly #loads = new ModelListeners()

  constructor(
    { names, clock, logger, metrics }: UpstreamEngineComponents,
    options: Pick<UpstreamEngineOptions, 'upstreams' | 'peerId' | 'secret'> &
      Partial<UpstreamEngineOptions>,
  ) {
    const { upstreams, peerId, secret, slots, ...rest } = options
    const patience = { ...defaultUpstreamPatience, ...defaultLanePatience, ...rest }
    const parts = {
      ...{ names, clock, logger: logger.child('upstream'), peerId, secret, patience },
      metrics: countersOf(metrics),
      queue: slots === undefined ? {} : { slots },
      onChange: (status: ModelStatus) => this.#changes.tell(status),
      onLoad: (status: ModelStatus) => this.#loads.tell(status),
    }
    this.#upstreams = upstreams.map((spec) => new Upstream(parts, spec, patience))
  }

  status(): ModelStatus[] {
    return this.#models().map((model) => model.status())
  }

  resolve(name: string): ModelStatus | undefined {
    return this.#find(name)?.status()
  }

  generate: Generate = (job, options) => {
    const model = this.#find(job.model)
    if (model === undefined) return failing(job.model)
    return model.generate(job, options)
  }

  /** What computes is elsewhere. */
  hardware(): HardwareFacts {
    return hardwareFacts(readSystem(), [])
  }

  onChange(listener: (status: ModelStatus) => void): () => void {
    return this.#changes.add(listener)
  }

  onLoad(listener: (status: ModelStatus) => void): () => void {
    return this.#loads.add(listener)
  }

  /** Returns before any of them has answered: whoever asks meanwhile waits. */
  async start({ signal }: { signal: AbortSignal }): Promise<void> {
    signal.throwIfAborted()
    for (const upstream of this.#upstreams) upstream.start()
  }

  async stop(): Promise<void> {
    await Promise.all(this.#upstreams.map((upstream) => upstream.stop()))
  }

  #models(): UpstreamModel[] {
    return this.#upstreams.flatMap((upstream) => upstream.models())
  }

  /** A name here is meant before one there; of two servers that have a model of one name, the first. */
  #find(name: string): UpstreamModel | undefined {
    return (
      firstOf(this.#upstreams, (upstream) => upstream.find(name)) ??
      firstOf(this.#upstreams, (upstream) => upstream.findById(name))
    )
  }
}

function firstOf<T, U>(all: readonly T[], find: (each: T) => U | undefined): U | undefined {
  for (const each of all) {
    const found = find(each)
    if (found !== undefined) return found
  }
  return undefined
}

function countersOf(metrics: Metrics) {
  const counter = (name: string, help: string, labels: string[]) =>
    metrics.counter(`pinaivu_upstream_${name}_total`, help, labels)
  return {
    inputTokens: counter('input_tokens', 'Tokens of prompts that other servers read.', ['model']),
    outputTokens: counter('output_tokens', 'Tokens of answers that other servers wrote.', [
      'model',
    ]),
    failures: counter('failures', 'Jobs that other servers did not end well.', ['model', 'code']),
  }
}

function failing(name: string): AsyncIterable<Chunk> {
  const message =
    `The model "${name.slice(0, 200)}" does not exist here. ` +
    'GET /v1/models lists those that do.'
  const error = new PeerError('model_not_found', message, { param: 'model' })
  return { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(error) }) }
}
