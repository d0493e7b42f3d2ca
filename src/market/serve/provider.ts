import type { Clock } from '../../base/clock.ts'
import { DeadlineError, PeerError } from '../../base/errors.ts'
import { hexName } from '../../base/hex.ts'
import type { Service } from '../../base/lifecycle.ts'
import type { Logger } from '../../base/logger.ts'
import type { Metrics } from '../../base/metrics.ts'
import { Underway } from '../../base/underway.ts'
import type { Engine } from '../../engines/engine.ts'
import type { Identity } from '../../identity/identity.ts'
import type { FrameStream, Network } from '../../network/network.ts'
import { DraftRecord } from '../../receipts/draft-record.ts'
import type { Commission } from '../../receipts/execution.ts'
import type { OwnFeed } from '../../receipts/feeds/own-feed.ts'
import { WorkRecord } from '../../receipts/issue.ts'
import type { LiveReceipts } from '../../receipts/live.ts'
import type { Store } from '../../storage/store.ts'
import type { Generate } from '../../wire/chunk.ts'
import type { SealedEntry } from '../../wire/entry.ts'
import type { WireJob } from '../../wire/generate.ts'
import { openJob } from '../../wire/generate-codec.ts'
import type { Job, Price } from '../../wire/job.ts'
import { publicKeyOf } from '../../wire/peer-id.ts'
import { protocols } from '../../wire/protocols.ts'
import type { Verify } from '../../wire/signed.ts'
import { Admission, type AdmissionLimits } from './admission.ts'
import { ALLOWANCE_MAX, type Settlement } from './allowance.ts'
import { AnswerWriter } from './answer-writer.ts'
import { DraftClaims } from './draft-claims.ts'
import { DraftServing } from './draft-serving.ts'
import { Dues, type JobDue } from './dues.ts'
import { Incoming } from './incoming.ts'
import { contentBytes, openContent } from './job-content.ts'
import { draining, faultOf } from './refusal.ts'
import { type ServeMetrics, serveMetrics } from './serve-metrics.ts'
import { type AdmittedJob, type Served, Serving } from './serving.ts'
import { checkTerms, modelOf, priceOf, type Terms } from './terms.ts'

export interface ProviderComponents {
  network: Network
  engine: Pick<Engine, 'status' | 'generate'>
  identity: Pick<Identity, 'peerId' | 'publicKey' | 'sign' | 'signLater'>
  store: Pick<Store, 'failure' | 'table' | 'batch' | 'commit'>
  log: Pick<OwnFeed, 'append'>
  live: LiveReceipts
  verify: Verify
  clock: Clock
  logger: Logger
  metrics: Metrics
}

export interface ProviderOptions extends Terms {
  /** The network's name: signatures of another one count for nothing here. */
  network: string
  /** How long running jobs may go on once a stop has begun. */
  drainMs: number
  admission?: Partial<AdmissionLimits>
  /** Micro-credits that one coordinator may owe this peer; undefined: any number. */
  creditLimit?: number | undefined
}

/** All that a coordinator is allowed it may open at once. */
const streamLimits = { streamsMax: ALLOWANCE_MAX, opensPerSecond: ALLOWANCE_MAX }
/**
 * Who has not acknowledged anything yet waits in one line with all others of the kind: anybody can
 * have a thousand names, and with a turn for each there would be none left for those we know.
 */
const NEWCOMERS = 'newcomers'
/** Their answers could be as long as there is time: the others do not wait for those to end. */
const NEWCOMERS_SHARE = 0.25
/** Of a model that was not loaded yet. */
const CONTEXT_LENGTH = 131_072
/** For the last frame to arrive before the stream is reset. */
const LINGER_MS = 1000

/** Does jobs of other peers with the models of this machine. Made before the network starts. */
export class Provider implements Service {
  readonly #components: ProviderComponents
  #options: ProviderOptions
  readonly #admission: Admission
  readonly #claims: DraftClaims
  readonly #dues: Dues
  readonly #metrics: ServeMetrics
  readonly #logger: Logger
  readonly #draining = new AbortController()
  #drainBy = Number.POSITIVE_INFINITY
  readonly #stopped = new AbortController()
  readonly #streams = new Underway<Promise<void>>()

  constructor(components: ProviderComponents, options: ProviderOptions) {
    this.#components = components
    this.#options = options
    this.#admission = new Admission(components, options.admission)
    this.#claims = new DraftClaims(components)
    this.#dues = new Dues(components, options)
    this.#metrics = serveMetrics(components.metrics)
    this.#logger = components.logger.child('serve')
    components.network.handle(protocols.generate, (stream) => this.#handle(stream), streamLimits)
  }

  /** For jobs that come from now on: what was accepted is done at the price it was accepted at. */
  adopt(options: Pick<ProviderOptions, 'price' | 'creditLimit'>): void {
    this.#options = { ...this.#options, ...options }
    this.#dues.adopt(options)
  }

  /** `open`: jobs; `coordinators`: those that are remembered. */
  status(): { open: number; coordinators: number; draining: boolean } {
    const { open, coordinators } = this.#admission
    return { open, coordinators, draining: this.#draining.signal.aborted }
  }

  async start(): Promise<void> {}

  /** Refuses new jobs from now on; those that are at work go on. */
  drain(): void {
    const { clock } = this.#components
    this.#drainBy = Math.min(this.#drainBy, clock.elapsed() + this.#options.drainMs)
    this.#draining.abort(draining())
  }

  async stop(): Promise<void> {
    this.drain()
    const message = 'This peer stopped before the answer was whole. Ask another one.'
    const { clock } = this.#components
    // Counted from when it began: the stop may have waited for others since.
    const cut = clock.after(Math.max(0, this.#drainBy - clock.elapsed()), () => {
      this.#logger.warn('jobs cut short by the stop', { jobs: this.#admission.open })
      this.#stopped.abort(new PeerError('shutting_down', message))
    })
    await Promise.all(this.#streams.all())
    cut()
  }

  async #handle(stream: FrameStream): Promise<void> {
    const handled = this.#serve(stream)
    const leave = this.#streams.add(handled)
    await handled
    leave()
  }

  async #serve(stream: FrameStream): Promise<void> {
    let served: Served
    try {
      served = await this.#answer(stream)
    } catch (error) {
      served = this.#refuse(stream, error)
    }
    this.#note(stream.peerId, served)
    await this.#close(stream)
  }

  /** Throws what the job is refused with. */
  async #answer(stream: FrameStream): Promise<Served> {
    const { clock, engine, store } = this.#components
    // What can't come into the log would be done in vain.
    if (store.failure !== undefined) throw store.failure
    const incoming = new Incoming(stream, clock)
    const { wire, price } = await this.#open(stream, incoming)
    await this.#dues.check(stream.peerId)
    const arrivedAt = clock.elapsed()
    if (wire.kind === 'draft') this.#claims.check(stream.peerId)
    const { name: model, facts } = modelOf(engine.status(), wire.model)
    // Each try of a request has the nonce of the first, and with it this root.
    const work = hexName(wire.promptRoot)
    const admitted = this.#admission.enter(stream.peerId, wire.jobId, work)
    let settlement: Settlement = 'nothing-owed'
    try {
      this.#metrics.open.set(this.#admission.open)
      const hold = (bytes: number) => admitted.hold(bytes)
      const wait = { signal: this.#draining.signal }
      const content = await incoming.body(contentBytes(wire), hold, wait)
      const { allowance } = admitted
      const job = jobOf(wire, { model, ...turnOf(wire, allowance), ...openContent(wire, content) })
      const given = { stream, incoming, wire, job, arrivedAt, allowance, price }
      const due = this.#dues.job(stream.peerId, price)
      const served = await this.#work(given, due, facts?.contextLength)
      settlement = served.settlement
      if (served.isAcknowledged) this.#acknowledged(due)
      return served
    } finally {
      admitted.leave(settlement)
      this.#metrics.open.set(this.#admission.open)
    }
  }

  async #work(
    given: Omit<AdmittedJob, 'record'>,
    due: JobDue,
    contextLength = CONTEXT_LENGTH,
  ): Promise<Served> {
    const { clock, engine } = this.#components
    const { wire, job, price } = given
    const publish = this.#mayPublish(wire)
    const parts = {
      generate: ((...all) => engine.generate(...all)) satisfies Generate,
      append: (entries: readonly SealedEntry[]) => due.append(entries, { publish }),
      clock,
      stopped: this.#stopped.signal,
    }
    const commission = this.#commission(wire, job, price)
    if (wire.kind === 'draft') {
      const record = new DraftRecord(this.#components, commission)
      const claims = this.#claims
      return await new DraftServing({ ...parts, claims }, { ...given, record, contextLength }).run()
    }
    const record = new WorkRecord(this.#components, { ...commission, work: job.work })
    return await new Serving(parts, { ...given, record }).run()
  }

  #acknowledged(due: JobDue): void {
    due.acknowledged().catch((error: unknown) => {
      this.#logger.warn('an Ack was not written down', { error })
    })
  }

  /** The stricter of both sides holds. */
  #mayPublish({ publish }: WireJob): boolean {
    return publish === 'receipts' && this.#options.publish !== 'none'
  }

  #commission(wire: WireJob, { model: name }: Job, price: Price): Commission {
    const { jobId, promptRoot, promptNonce, model: id, receiptPrivacy } = wire
    const { region } = this.#options
    return {
      jobId,
      promptRoot: () => promptRoot,
      coordinator: publicKeyOf(wire.coordinator),
      model: { id, name },
      price,
      region,
      nonce: receiptPrivacy === 'salted' ? promptNonce : undefined,
      isPublic: this.#mayPublish(wire),
    }
  }

  async #open(stream: FrameStream, incoming: Incoming): Promise<{ wire: WireJob; price: Price }> {
    const signed = await incoming.job({ signal: this.#draining.signal })
    const wire = openJob(signed, {
      network: this.#options.network,
      verify: this.#components.verify,
      coordinator: stream.peerId,
      provider: this.#components.identity.peerId,
    })
    checkTerms(wire, this.#options)
    // It stays at this price, though another may be asked before its prompt is here.
    return { wire, price: priceOf(wire, this.#options.price) }
  }

  #refuse(stream: FrameStream, error: unknown): Served {
    const settlement = 'nothing-owed'
    if (stream.ended.aborted) return { outcome: 'gone', settlement, outputTokens: 0 }
    new AnswerWriter(stream, this.#components.clock).fail(faultOf(error))
    const outcome = error instanceof PeerError ? error.code : 'internal_error'
    return { outcome, settlement, outputTokens: 0, error }
  }

  #note(peerId: string, { outcome, outputTokens, error }: Served): void {
    this.#metrics.jobs.add(1, { outcome })
    this.#metrics.outputTokens.add(outputTokens)
    if (outcome === 'internal_error') this.#logger.error('job failed', { peerId, error })
    else this.#logger.debug('job ended', { peerId, outcome })
    if (!(error instanceof PeerError) || error.action === undefined) return
    if (error.action !== 'ignore') this.#components.network.fault(peerId, error.action, error.code)
  }

  /** What was written arrives; a side that does not end its part is not waited for long. */
  async #close(stream: FrameStream): Promise<void> {
    const ended = Promise.withResolvers<void>()
    stream.ended.addEventListener('abort', () => ended.resolve(), { once: true })
    if (stream.ended.aborted) return
    const cut = this.#components.clock.after(LINGER_MS, () => {
      stream.reset(new DeadlineError('Ending the stream', LINGER_MS))
    })
    // It fails where the stream has ended, which is what is waited for.
    stream.close().catch(() => {})
    await ended.promise
    cut()
  }
}

type JobParts = Pick<Job, 'model' | 'work' | 'resume' | 'queueScope' | 'queueShare'>

function turnOf(
  { coordinator }: WireJob,
  allowance: number,
): Pick<Job, 'queueScope' | 'queueShare'> {
  if (allowance > 1) return { queueScope: coordinator }
  return { queueScope: NEWCOMERS, queueShare: NEWCOMERS_SHARE }
}

function jobOf(wire: WireJob, more: JobParts): Job {
  const { jobId, kind, provisional, drafters } = wire
  const job = { id: jobId, cacheScope: cacheScopeOf(wire), ...more }
  // Nobody drafts for who drafts: of that nothing is shown, and a third one would be paid for it.
  if (kind === 'draft') return job
  return {
    ...job,
    ...(provisional && { watched: true }),
    ...(drafters.length > 0 && { drafters, ...draftWishes(wire) }),
  }
}

/** What is asked of this peer's work is asked of who drafts for it, too. */
function draftWishes({
  jurisdiction,
  receiptPrivacy,
  publish,
}: WireJob): Pick<Job, 'wishes' | 'unpublished'> {
  const place = jurisdiction === '' ? {} : { jurisdiction }
  const privacy = receiptPrivacy === 'salted' ? { receiptPrivacy } : {}
  return {
    wishes: { ...place, ...privacy },
    ...(publish === 'none' && { unpublished: true }),
  }
}

/**
 * Scopes of different coordinators never meet. Without one it is not known whose job this is, so it
 * shares its cache with no other: an account could tell from the time what another one has asked.
 */
function cacheScopeOf({ coordinator, cacheScope, jobId }: WireJob): string {
  const own = cacheScope.length === 0 ? `job/${jobId}` : hexName(cacheScope)
  return `${coordinator}:${own}`
}
