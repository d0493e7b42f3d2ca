import { backoffMs } from '../../base/backoff.ts'
import { unlessAborted } from '../../base/deadline.ts'
import { messageOf, PeerError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { ModelStatus } from '../engine.ts'
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
  }

  models(): UpstreamModel[] {
    return [...this.#models.values()]
  }

  /** By its name here, or by what its server calls it. */
  find(name: string): UpstreamModel | undefined {
    return this.#models.get(name) ?? this.#models.get(`${this.name}/${name}`)
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
    const known = JSON.stringify(listed)
    const isReady = this.models().every(({ state }) => state === 'ready')
    if (known === this.#known && isReady) return
    this.#found(await examine(parts, listed))
    this.#known = known
  }

  #wanted(listed: readonly Listed[]): readonly Listed[] {
    const { model } = this.#spec
    if (listed.length === 0) {
      throw new PeerError('upstream_empty', 'The server behind it has no model. Load one there.')
    }
    if (model === undefined) return listed.slice(0, MODELS_MAX)
    const wanted = listed.filter(({ id }) => id === model)
    if (wanted.length > 0) return wanted
    throw new PeerError(
      'upstream_model_missing',
      'The server behind it does not list the model behind # in --upstream. Check its name there.',
    )
  }

  #found({ server, models }: Found): void {
    const isOnly = models.length === 1 && this.#spec.model === undefined
    const now = new Map<string, UpstreamModel>()
    const news: UpstreamModel[] = []
    for (const found of models) {
      const name =
        isOnly || this.#spec.model !== undefined ? this.name : nameOf(this.name, found.id)
      if (name === undefined || now.has(name)) continue
      const model = this.#models.get(name) ?? this.#make(name)
      now.set(name, model)
      if (model.found(found, server)) news.push(model)
    }
    // The name of the server itself stood for models that nobody knew yet.
    const gone = [...this.#models.values()].filter(({ name, isKnown }) => isKnown && !now.has(name))
    this.#models = now
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

/** `NAME/<its id>`, of the characters that a name may have; undefined where nothing is left of it. */
function nameOf(upstream: string, id: string): string | undefined {
  const plain = id.replace(/[^A-Za-z0-9._:/-]+/g, '-').replace(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, '')
  const parts = plain.split('/').filter((part) => !/^\.{0,2}$/.test(part))
  const name = [upstream, ...parts].join('/')
  return parts.length === 0 || name.length > NAME_CHARS_MAX ? undefined : name
}

const NAME_CHARS_MAX = 128

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
