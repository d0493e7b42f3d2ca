import { backoffMs } from '../../base/backoff.ts'
import { unlessAborted } from '../../base/deadline.ts'
import { messageOf, PeerError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { ModelStatus } from '../engine.ts'
import { GivenNames, type GivenNamesStore, longName } from './given-names.ts'
import { examine, type Found, type Listed, listModels, MODELS_MAX } from './probe.ts'
import { UpstreamHttp } from './upstream-http.ts'
import { UpstreamModel, type UpstreamModelParts } from './upstream-model.ts'

/** A server that somebody else runs, and the name that it goes by here. */
export interface UpstreamSpec {
  name: string
  /** Without `/v1`, and without a slash at its end. */
  url: string
  /** Of its models, this one alone. */
  model?: string
  /** A function, so that nothing that prints a configuration shows it. */
  key?: () => string
}

export interface UpstreamPatience {
  /** Between two looks at a server that answers. */
  readyMs: number
  /** Between the first and the second look at one that does not; then twice as long each time. */
  againMs: number
  againMsMax: number
}

export const defaultUpstreamPatience: UpstreamPatience = {
  readyMs: 15_000,
  againMs: 1_000,
  againMsMax: 30_000,
}

export interface UpstreamParts extends Omit<UpstreamModelParts, 'http' | 'settled' | 'onSuspect'> {
  logger: Logger
  names: GivenNamesStore
  onChange(status: ModelStatus): void
}

/** One such server: asked what it has, again and again, for as long as this peer runs. */
export class Upstream {
  readonly name: string
  readonly #spec: UpstreamSpec
  readonly #parts: UpstreamParts
  readonly #patience: UpstreamPatience
  readonly #http: UpstreamHttp
  readonly #stop = new AbortController()
  readonly #settled = Promise.withResolvers<void>()
  #models = new Map<string, UpstreamModel>()
  /** The same, by what else they may be asked for. */
  #byId = new Map<string, UpstreamModel>()
  #names: GivenNames
  /** What it listed when it was last examined. */
  #known: string | undefined
  #failures = 0
  #wake = () => {}
  #loop: Promise<void> | undefined

  constructor(parts: UpstreamParts, spec: UpstreamSpec, patience: UpstreamPatience) {
    this.name = spec.name
    this.#spec = spec
    this.#parts = parts
    this.#patience = patience
    const place = { base: new URL(spec.url), key: spec.key?.() }
    this.#http = new UpstreamHttp(parts.clock, place)
    this.#models.set(spec.name, this.#make(spec.name))
    this.#names = new GivenNames(spec.name)
  }

  models(): UpstreamModel[] {
    return [...this.#models.values()]
  }

  find(name: string): UpstreamModel | undefined {
    return this.#models.get(name)
  }

  /** By what its server calls it, with the name of the server before it or without. */
  findById(id: string): UpstreamModel | undefined {
    return this.#byId.get(id)
  }

  start(): void {
    this.#loop ??= this.#look()
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    this.#wake()
    await this.#loop
    this.#http.close()
  }

  async #look(): Promise<void> {
    const { signal } = this.#stop
    await this.#recall()
    while (!signal.aborted) {
      try {
        await this.#lookOnce(signal)
        this.#failures = 0
      } catch (error) {
        if (signal.aborted) break
        this.#failed(error)
      }
      this.#settled.resolve()
      await this.#pause()
    }
    this.#settled.resolve()
  }

  async #lookOnce(signal: AbortSignal): Promise<void> {
    const parts = { http: this.#http, clock: this.#parts.clock, signal }
    const listed = this.#wanted(await listModels(parts))
    const known = JSON.stringify(listed, withoutTheMoment)
    const isReady = this.models().every(({ state }) => state === 'ready')
    if (known === this.#known && isReady) return
    const found = await examine(parts, listed)
    this.#found(found, await this.#give(found.models.map(({ id }) => id)))
    this.#known = known
  }

  #wanted(listed: readonly Listed[]): readonly Listed[] {
    const { model } = this.#spec
    if (listed.length === 0) {
      throw new PeerError('upstream_empty', 'The server behind it has no model. Load one there.')
    }
    if (model === undefined) {
      // Those that have a name stay, in whatever order it tells of them.
      const isNew = ({ id }: Listed) => Number(!this.#names.has(id))
      return listed.toSorted((one, other) => isNew(one) - isNew(other)).slice(0, MODELS_MAX)
    }
    const wanted = listed.filter(({ id }) => id === model)
    if (wanted.length > 0) return wanted
    throw new PeerError(
      'upstream_model_missing',
      'The server behind it does not list the model behind # in --upstream. Check its name there.',
    )
  }

  #found({ server, models }: Found, names: ReadonlyMap<string, string>): void {
    const now = new Map<string, UpstreamModel>()
    const byId = new Map<string, UpstreamModel>()
    const news: UpstreamModel[] = []
    for (const found of models) {
      const name = names.get(found.id)
      if (name === undefined) continue
      const model = this.#models.get(name) ?? this.#make(name)
      now.set(name, model)
      for (const id of [found.id, longName(this.name, found.id)]) {
        if (id !== undefined && !byId.has(id)) byId.set(id, model)
      }
      if (model.found(found, server)) news.push(model)
    }
    // The name of the server itself stood for models that nobody knew yet.
    const gone = [...this.#models.values()].filter(
      ({ name, isKnown }) => (isKnown || name !== this.name) && !now.has(name),
    )
    this.#models = now
    this.#byId = byId
    for (const model of gone) {
      model.failed(new PeerError('upstream_model_missing', 'The server behind it has it no more.'))
      this.#parts.onChange(model.status())
    }
    for (const model of news) this.#parts.onChange(model.status())
    if (news.length > 0) {
      this.#parts.logger.info('upstream', {
        name: this.name,
        server: server.name,
        models: now.size,
      })
    }
  }

  /** Each keeps its name in the next process too, before anybody hears of it. */
  async #give(ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
    if (this.#spec.model !== undefined) return new Map(ids.map((id) => [id, this.name]))
    const before = JSON.stringify(this.#names.all)
    const given = this.#names.give(ids)
    if (JSON.stringify(this.#names.all) !== before) {
      await this.#orNothing(this.#parts.names.put(this.name, this.#names.all))
    }
    return given
  }

  /** Models that the process before this one had: who asks for one waits until it is there. */
  async #recall(): Promise<void> {
    if (this.#spec.model !== undefined) return
    const known = await this.#orNothing(this.#parts.names.get(this.name))
    this.#names = new GivenNames(this.name, known)
    if (this.#names.there.size === 0) return
    const before = this.#models
    const names = [...this.#names.there]
    this.#models = new Map(names.map((name) => [name, before.get(name) ?? this.#make(name)]))
    for (const [name, model] of this.#models) {
      if (!before.has(name)) this.#parts.onChange(model.status())
    }
  }

  async #orNothing<T>(asked: Promise<T>): Promise<T | undefined> {
    try {
      return await asked
    } catch (error) {
      this.#parts.logger.warn('names of models are not kept', { name: this.name, error })
      return undefined
    }
  }

  #failed(error: unknown): void {
    const failure = failureOf(error)
    if (this.#failures++ === 0) {
      // The cause of a refused connection has the address in it, which is nobody's but the owner's.
      const { code } = failure
      this.#parts.logger.warn('upstream failed', { name: this.name, code })
    }
    for (const model of this.#models.values()) {
      if (model.failed(failure)) this.#parts.onChange(model.status())
    }
  }

  /** Until it is time to look again, or somebody has a reason to. */
  async #pause(): Promise<void> {
    const { readyMs, againMs, againMsMax } = this.#patience
    const isWell = this.#failures === 0
    const ms = isWell ? readyMs : backoffMs(this.#failures - 1, againMs, againMsMax)
    const { promise, resolve } = Promise.withResolvers<void>()
    const cancel = this.#parts.clock.after(ms, resolve)
    // A server that is known to be down is left alone until then.
    this.#wake = isWell || this.#stop.signal.aborted ? resolve : () => {}
    const onStop = () => resolve()
    this.#stop.signal.addEventListener('abort', onStop, { once: true })
    if (!this.#stop.signal.aborted) await promise
    cancel()
    this.#stop.signal.removeEventListener('abort', onStop)
    this.#wake = () => {}
  }

  #make(name: string): UpstreamModel {
    const settled = (signal: AbortSignal) => unlessAborted(this.#settled.promise, signal)
    const onSuspect = () => this.#wake()
    return new UpstreamModel(name, { ...this.#parts, http: this.#http, settled, onSuspect })
  }
}

/** What changes each time that a server is asked, and says nothing of its models. */
const OF_THE_MOMENT = new Set(['created', 'permission'])

const withoutTheMoment = (key: string, value: unknown): unknown =>
  OF_THE_MOMENT.has(key) ? undefined : value

function failureOf(error: unknown): PeerError {
  if (error instanceof PeerError && error.code.startsWith('upstream_')) return error
  if (error instanceof PeerError && error.code === 'engine_failed') {
    return new PeerError(
      'upstream_not_openai',
      'The server behind it answers what cannot be read. Check the URL of --upstream.',
      { cause: error },
    )
  }
  return new PeerError(
    'upstream_unreachable',
    'The server behind it cannot be reached. Start it, or check the URL of --upstream.',
    { cause: new Error(messageOf(error)) },
  )
}
