import { createHmac } from 'node:crypto'
import type { Clock } from '../../base/clock.ts'
import { PeerError } from '../../base/errors.ts'
import type { Counter } from '../../base/metrics.ts'
import { lacking, needsOf } from '../../wire/capability.ts'
import type { Chunk, Generate } from '../../wire/chunk.ts'
import type { Job } from '../../wire/job.ts'
import { declaredModelId } from '../../wire/model-id.ts'
import type { ModelState, ModelStatus } from '../engine.ts'
import { cancelledDone } from '../lanes.ts'
import { type Scheduled, scheduled } from '../scheduler.ts'
import { unable } from '../unable.ts'
import { embed } from './embedding-run.ts'
import { checkImages } from './image-check.ts'
import type { LanePatience } from './lane-run.ts'
import type { FoundModel } from './probe.ts'
import type { ServerKind } from './server-kind.ts'
import { TextRun } from './text-run.ts'
import { notGoingOn, unreachable } from './upstream-errors.ts'
import type { UpstreamHttp } from './upstream-http.ts'

/** Weight of the newest answer in the smoothed rate. */
const RATE_SMOOTHING = 0.2

export interface UpstreamModelParts {
  http: UpstreamHttp
  clock: Clock
  /** This peer's: an id of a model whose weights nobody sees has it in it. */
  peerId: string
  /** Of which salts are made that nobody can guess. */
  secret: Uint8Array
  patience: LanePatience
  queue: { queueMax?: number; scopeMax?: number; slots?: number }
  metrics: { inputTokens: Counter; outputTokens: Counter; failures: Counter }
  /** Resolves once it was found out what the server has, or that it can't be. */
  settled(signal: AbortSignal): Promise<void>
  /** A job found it out of reach, or not as it was. */
  onSuspect(): void
  onLoad(status: ModelStatus): void
}

interface Found extends FoundModel {
  server: ServerKind
  /** In the words of an advert. */
  offered: readonly string[]
}

/** One model of a server that somebody else runs, with a queue before it. */
export class UpstreamModel {
  readonly name: string
  readonly generate: Generate
  readonly #id: string
  readonly #parts: UpstreamModelParts
  readonly #scheduled: Scheduled
  readonly #created: number
  #state: ModelState = 'loading'
  #found: Found | undefined
  #failure: PeerError | undefined
  #tokensPerSecond: number | undefined

  constructor(name: string, parts: UpstreamModelParts) {
    this.name = name
    this.#id = declaredModelId(name, parts.peerId)
    this.#parts = parts
    this.#created = Math.floor(parts.clock.now() / 1000)
    const onLoad = () => parts.onLoad(this.status())
    const run: Generate = (job, options) => this.#run(job, options)
    this.#scheduled = scheduled(run, { clock: parts.clock, onLoad }, parts.queue)
    this.generate = this.#scheduled
  }

  get state(): ModelState {
    return this.#state
  }

  /** Its server has told of it. */
  get isKnown(): boolean {
    return this.#found !== undefined
  }

  /** True where something of it is other than it was. */
  found(found: FoundModel, server: ServerKind): boolean {
    const { slots = found.slots } = this.#parts.queue
    const before = JSON.stringify([this.#state, this.#found])
    this.#state = 'ready'
    this.#failure = undefined
    this.#found = { ...found, slots, server, offered: offeredBy(found, server) }
    if (this.#scheduled.load().slots !== slots) this.#scheduled.resize(slots)
    return before !== JSON.stringify([this.#state, this.#found])
  }

  /** True where that is news. */
  failed(failure: PeerError): boolean {
    const isNews = this.#state !== 'failed' || this.#failure?.message !== failure.message
    this.#state = 'failed'
    this.#failure = failure
    return isNews
  }

  status(): ModelStatus {
    const { slots, running, queued } = this.#scheduled.load()
    const { facts } = this.#found ?? {}
    const tokensPerSecond = this.#tokensPerSecond
    const failure = this.#failure
    return {
      name: this.name,
      id: this.#id,
      state: this.#state,
      created: this.#created,
      demo: false,
      running,
      queued,
      ...(facts && { facts, slots }),
      ...(this.#found && { capabilities: this.#found.offered }),
      ...(tokensPerSecond !== undefined && { tokensPerSecond }),
      ...(failure && { error: { code: failure.code, message: failure.message } }),
    }
  }

  async *#run(job: Job, { signal }: { signal: AbortSignal }): AsyncGenerator<Chunk> {
    const { metrics, clock } = this.#parts
    const labels = { model: this.name }
    let tokens = 0
    let firstAt = 0
    let lastAt = 0
    try {
      if (this.#state === 'loading') await this.#parts.settled(signal).catch(() => {})
      if (signal.aborted) {
        yield cancelledDone(job)
        return
      }
      for await (const chunk of this.#chunks(job, signal)) {
        if (chunk.type === 'tokens') {
          if (tokens === 0) firstAt = clock.elapsed()
          else lastAt = clock.elapsed()
          tokens += chunk.ids.length
        }
        if (chunk.type === 'done') {
          metrics.inputTokens.add(chunk.usage.inputTokens, labels)
          metrics.outputTokens.add(chunk.usage.outputTokens, labels)
          this.#noteRate(tokens, lastAt - firstAt)
        }
        yield chunk
      }
    } catch (error) {
      if (!(error instanceof PeerError)) throw error
      metrics.failures.add(1, { ...labels, code: error.code })
      if (error.code === 'model_failed' || error.code === 'engine_failed') this.#parts.onSuspect()
      throw error
    }
  }

  #chunks(job: Job, signal: AbortSignal): AsyncIterable<Chunk> {
    const found = this.#found
    const { work } = job
    if (this.#state === 'failed' || found === undefined) throw unreachable(this.#failure)
    // No token of it is known by its id: nobody can go on with it, or be compared with it.
    if (job.resume !== undefined || job.guesses === true) throw notGoingOn()
    const missing = lacking(needsOf(work), found.capabilities)
    if (missing !== undefined) throw unable(missing)
    checkImages(work)
    const { http, clock, patience } = this.#parts
    const { contextLength } = found.facts
    if (work.kind === 'embedding') {
      const parts = { http, clock, model: found.id, contextLength }
      return embed({ ...parts, patienceMs: patience.firstTokenMs }, job, work, signal)
    }
    const asked = { model: found.id, server: found.server, cacheSalt: () => this.#salt(job) }
    return new TextRun({ http, clock, patience, asked, contextLength }, job, work).chunks(signal)
  }

  #salt({ cacheScope }: Job): string {
    return createHmac('sha256', this.#parts.secret).update(cacheScope).digest('hex')
  }

  #noteRate(tokens: number, ms: number): void {
    if (tokens < 2 || ms <= 0) return
    const rate = ((tokens - 1) * 1000) / ms
    const before = this.#tokensPerSecond ?? rate
    this.#tokensPerSecond = before + RATE_SMOOTHING * (rate - before)
  }
}

function offeredBy({ facts, capabilities }: FoundModel, server: ServerKind): readonly string[] {
  if (facts.kind === 'embedding') return ['embedding']
  const scores = server.givesLogprobs ? ['logprobs'] : []
  return ['chat', 'completion', ...scores, ...capabilities]
}
