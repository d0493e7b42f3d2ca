import type { PaidGenerate, Pay, Payment } from '../accounts/payment.ts'
import type { Clock } from '../base/clock.ts'
import { within } from '../base/deadline.ts'
import { BusyError } from '../base/errors.ts'
import type { Service } from '../base/lifecycle.ts'
import type { Logger } from '../base/logger.ts'
import type { Metrics } from '../base/metrics.ts'
import type { Random } from '../base/random.ts'
import { Underway } from '../base/underway.ts'
import { capabilitiesOf } from '../engines/advert-facts.ts'
import type { Engine, ModelStatus } from '../engines/engine.ts'
import type { Identity } from '../identity/identity.ts'
import { emptyDirectory } from '../network/discovery/directory.ts'
import type { Discovery } from '../network/discovery/discovery.ts'
import type { LiveReceipts } from '../receipts/live.ts'
import type { Store } from '../storage/store.ts'
import { type Capability, lacking } from '../wire/capability.ts'
import type { Chunk, Routed } from '../wire/chunk.ts'
import type { Job, Price } from '../wire/job.ts'
import type { Verify } from '../wire/signed.ts'
import { Activity, type ActivityFigures } from './activity.ts'
import { isAnswer, isGhost } from './answer-chunks.ts'
import type { Books } from './books.ts'
import { unwanted } from './choose/choice.ts'
import { Dispatcher } from './choose/dispatcher.ts'
import { withDrafters } from './draft/allowed.ts'
import { type Effort, nodeOf } from './effort.ts'
import { Failover } from './failover/failover.ts'
import type { Handover } from './failover/handover.ts'
import { LocalEffort } from './local-effort.ts'
import type { Market, MarketModel } from './market.ts'
import { type MarketMetrics, marketMetrics } from './market-metrics.ts'
import { ModelList } from './model-list.ts'
import { isCallers, unknownModel } from './no-provider.ts'
import { FREE } from './quote.ts'
import type { RemoteComponents } from './remote/attempt.ts'
import { JobWriter } from './remote/job-writer.ts'
import { RemoteEffort, type RemoteEffortComponents } from './remote-effort.ts'
import { Request } from './request.ts'
import { routedChunk } from './routed.ts'

export interface CoordinatorComponents {
  engine: Engine
  /** Undefined: this peer asks no other one. */
  discovery: Pick<Discovery, 'directory' | 'lookUp' | 'suspect' | 'watch' | 'onChange'> | undefined
  network: RemoteComponents['network']
  identity: Pick<Identity, 'peerId' | 'publicKey' | 'sign' | 'signLater'>
  verify: Verify
  store: Pick<Store, 'failure'>
  live: LiveReceipts
  books: Books
  /** 32 bytes, kept: providers know this peer's accounts by what it makes of them. */
  secret: Uint8Array
  clock: Clock
  random: Random
  logger: Logger
  metrics: Metrics
}

export interface CoordinatorOptions {
  /** The network's name. */
  network: string
  region: string | undefined
  price: Price
  publish: 'receipts' | 'none'
  /** Peers that may see what is asked here, to draft for it. */
  drafters: readonly string[]
  /** Model name → id that it means in the network. */
  pins: Readonly<Record<string, string>>
  /** Model name → name that is meant by it. */
  aliases: Readonly<Record<string, string>>
  /** From the request to the first token or vector. */
  firstByteMs: number
  /** For a whole answer. */
  totalMs: number
}

export const defaultCoordinator = {
  region: undefined,
  price: { input: 0, output: 0 },
  publish: 'receipts',
  drafters: [],
  pins: {},
  aliases: {},
  firstByteMs: 120_000,
  totalMs: 3_600_000,
} satisfies Partial<CoordinatorOptions>

/** A name that nobody is known to serve; `Discovery` itself ends earlier. */
const LOOK_UP_MS = 2_500
/** What is left of the time for the first token, for the error to arrive before the caller's own. */
const MARGIN_MS = 200

/** Sees each job through: on this machine where its model is served here, else at the best peer. */
export class Coordinator implements Market, Service {
  readonly #components: CoordinatorComponents
  #options: CoordinatorOptions
  readonly #models: ModelList
  readonly #dispatcher: Dispatcher
  readonly #writer: JobWriter
  readonly #books: Books
  readonly #failover: Failover
  readonly #activity: Activity
  readonly #metrics: MarketMetrics
  readonly #running = new Underway<AbortController>()
  readonly #partings = new Underway<Promise<void>>()
  readonly #remoteComponents: RemoteEffortComponents
  #unlisten = () => {}

  constructor(
    components: CoordinatorComponents,
    options: Pick<CoordinatorOptions, 'network'> & Partial<CoordinatorOptions>,
  ) {
    const { discovery, engine, clock, random, identity } = components
    this.#components = { ...components, logger: components.logger.child('market') }
    this.#options = { ...defaultCoordinator, ...options }
    const { peerId } = identity
    const { price, pins, aliases, firstByteMs, publish } = this.#options
    const directory = discovery?.directory ?? emptyDirectory
    const watch = (peerIds: readonly string[]) => discovery?.watch(peerIds)
    this.#dispatcher = new Dispatcher({ directory, watch, clock, random }, { peerId, firstByteMs })
    const isGood = (id: string, modelId: string) => this.#dispatcher.providers.isGood(id, modelId)
    const named = { peerId, price, pins, aliases }
    this.#models = new ModelList({ engine, directory, clock, isGood }, named)
    this.#writer = new JobWriter(components, options)
    this.#books = components.books
    const { logger } = this.#components
    const parting = (each: Promise<void>) => this.#part(each)
    this.#failover = new Failover({ books: this.#books, parting, logger })
    this.#activity = new Activity({ clock })
    this.#metrics = marketMetrics(components.metrics)
    this.#remoteComponents = {
      network: components.network,
      dispatcher: this.#dispatcher,
      suspect: (id) => discovery?.suspect(id),
      ...{ books: this.#books, publish, parting },
      identity,
      verify: components.verify,
      live: components.live,
      clock,
      logger,
      metrics: this.#metrics,
    }
  }

  async start({ signal }: { signal: AbortSignal }): Promise<void> {
    signal.throwIfAborted()
    const ending = this.#components.discovery?.onChange((change) => {
      this.#models.changed(change)
      this.#dispatcher.changed(change)
    })
    this.#unlisten = ending ?? this.#unlisten
  }

  /** What still runs is cancelled, and providers are told. */
  async stop(): Promise<void> {
    this.#unlisten()
    this.#dispatcher.stop()
    for (const running of this.#running.all()) running.abort()
    while (this.#partings.size > 0) await Promise.all(this.#partings.all())
  }

  /** From the next request on: what runs keeps the price it began with. */
  adopt(options: Pick<CoordinatorOptions, 'price' | 'aliases'>): void {
    this.#options = { ...this.#options, ...options }
    this.#models.adopt(options)
  }

  models(): MarketModel[] {
    return this.#models.list()
  }

  resolve(name: string): MarketModel | undefined {
    return this.#models.resolve(name)
  }

  async find(name: string, { signal }: { signal: AbortSignal }): Promise<MarketModel> {
    const known = this.resolve(name)
    if (known !== undefined) return known
    const { discovery, clock, logger } = this.#components
    if (discovery !== undefined) {
      const limit = { ms: LOOK_UP_MS, what: 'Looking up the model', signal }
      await within(clock, limit, (ending) =>
        discovery.lookUp(this.#models.idOf(name), { signal: ending }),
      ).catch((error: unknown) => {
        signal.throwIfAborted()
        if (error instanceof BusyError) throw error
        logger.debug('a look-up failed', { error })
      })
    }
    const found = this.resolve(name)
    if (found === undefined) throw unknownModel(name)
    return found
  }

  /** What this peer's own requests came to lately. */
  activity(): ActivityFigures {
    return this.#activity.figures()
  }

  generate: PaidGenerate = (job, { signal, pay }) => this.#generate(job, signal, pay)

  async *#generate(job: Job, caller: AbortSignal, pay?: Pay): AsyncGenerator<Chunk> {
    const { signal, leave } = this.#enter(caller)
    const { clock } = this.#components
    let failed = false
    let isAccepted = false
    let request: Request | undefined
    let openCid: string | undefined
    let payment: Payment | undefined
    try {
      payment = pay?.(job)
      request = await this.#request(job, payment, signal)
      let effort: Effort | undefined = this.#ownEffort(request, request.model.local)
      for (;;) {
        effort ??= await this.#nextEffort(request, signal)
        if (effort === undefined) {
          yield await this.#failover.left(request)
          return
        }
        try {
          for await (const chunk of await effort.chunks({ signal })) {
            const { times } = effort
            if (chunk.type === 'accepted') {
              openCid = chunk.openCid
              // The next provider counts the same prompt.
              if (isAccepted) continue
              isAccepted = true
              request.inputTokens = chunk.inputTokens
            }
            // What comes before an answer is behind nothing.
            if (isGhost(chunk) && !(job.watched && times.begun)) continue
            const begins = !times.begun && isAnswer(chunk)
            this.#note(effort, chunk)
            const { handover } = request
            if (begins && handover !== undefined) this.#resumed(request, handover, effort)
            else if (begins) yield this.#routed(request, effort, openCid)
            const handedOverAt = clock.elapsed()
            if (handover === undefined) yield chunk
            else yield* await this.#failover.passed(request, handover, chunk)
            times.held(clock.elapsed() - handedOverAt)
          }
          return
        } catch (error) {
          const { begun } = effort.times
          effort.failed(error)
          effort = undefined
          openCid = undefined
          if (begun && job.watched) yield* request.handover?.rollbacks ?? []
        } finally {
          effort?.left()
        }
      }
    } catch (error) {
      failed = !caller.aborted && !isCallers(error)
      if (request !== undefined) await this.#failover.givenUp(request)
      throw error
    } finally {
      leave(failed)
      payment?.over(failed)
    }
  }

  /** A request is on until it is left; `stop` ends it. */
  #enter(caller: AbortSignal): { signal: AbortSignal; leave: (failed: boolean) => void } {
    const stop = new AbortController()
    const onAbort = () => stop.abort(caller.reason)
    if (caller.aborted) onAbort()
    else caller.addEventListener('abort', onAbort, { once: true })
    const isOver = this.#running.add(stop)
    this.#activity.began()
    const leave = (failed: boolean) => {
      caller.removeEventListener('abort', onAbort)
      isOver()
      this.#activity.ended(failed ? 'failed' : 'finished')
    }
    return { signal: stop.signal, leave }
  }

  async #request(job: Job, payment: Payment | undefined, signal: AbortSignal): Promise<Request> {
    const { clock, store } = this.#components
    // What can't come into the log would be done in vain.
    if (store.failure !== undefined) throw store.failure
    const beganAt = clock.elapsed()
    const { firstByteMs, totalMs, price: ownPrice } = this.#options
    const firstTokenBy = beganAt + firstByteMs - MARGIN_MS
    const times = { beganAt, firstTokenBy, doneBy: beganAt + totalMs }
    const model = this.resolve(job.model) ?? (await this.find(job.model, { signal }))
    const modelId = model.id ?? this.#models.idOf(job.model)
    const write = (each: Job) => this.#writer.write(each)
    const whoCan = (needs: readonly Capability[]) => this.#models.whoCan(needs)
    const allowed = withDrafters(job, this.#options.drafters)
    return new Request({ job: allowed, model, modelId, write, whoCan, payment, ownPrice }, times)
  }

  /** Undefined where this machine does not serve the model, or must not. */
  #ownEffort(request: Request, local: ModelStatus | undefined): LocalEffort | undefined {
    const { engine, identity, clock, logger, discovery } = this.#components
    const { modelId, wishes } = request
    const { peerId } = identity
    const { region, publish } = this.#options
    if (local === undefined) return undefined
    const price = request.payment === undefined ? undefined : request.ownPrice
    const isUnable = lacking(request.needs, capabilitiesOf(local) ?? request.needs) !== undefined
    const unfit =
      unwanted({ peerId, region, price }, wishes) ?? (isUnable ? 'not_capable' : undefined)
    const reason = unfit ?? (request.covers(price ?? FREE) ? undefined : 'credits')
    if (reason !== undefined) {
      request.selfExcluded = reason
      return undefined
    }
    const isReplaceable = () =>
      discovery?.directory.byModelId(modelId).some((entry) => entry.peerId !== peerId) === true ||
      this.#another(request) !== undefined
    const node = nodeOf(peerId, engine.hardware().gpus, region)
    const work = { node, model: local, isReplaceable, price: price ?? FREE }
    const issue = this.#components
    const parting = (each: Promise<void>) => this.#part(each)
    return new LocalEffort(
      {
        engine,
        issue,
        books: this.#books,
        publish,
        parting,
        clock,
        logger,
        metrics: this.#metrics,
      },
      request,
      work,
    )
  }

  #part(parting: Promise<void>): void {
    const isOver = this.#partings.add(parting)
    parting.then(isOver, isOver)
  }

  /** Undefined after an abort. */
  async #nextEffort(request: Request, signal: AbortSignal): Promise<Effort | undefined> {
    const { handover } = request
    const own = handover && this.#ownEffort(request, this.#localNow(request))
    if (own !== undefined) return own
    try {
      const assignment = await this.#dispatcher.next(request, { signal })
      return assignment && new RemoteEffort(this.#remoteComponents, request, assignment)
    } catch (error) {
      const other = signal.aborted ? undefined : this.#another(request)
      if (other !== undefined) {
        request.means(other)
        return await this.#nextEffort(request, signal)
      }
      // What the client is told is what became of its answer.
      throw handover === undefined ? error : handover.last.told
    }
  }

  #another({ job, meant, handover }: Request): string | undefined {
    return handover === undefined ? this.#models.another(job.model, meant) : undefined
  }

  /** This machine may serve by now what it did not at the beginning. */
  #localNow({ job, modelId, isTriedHere }: Request): ModelStatus | undefined {
    const local = isTriedHere ? undefined : this.resolve(job.model)?.local
    return local?.id === modelId && local.state === 'ready' ? local : undefined
  }

  #note(effort: Effort, chunk: Chunk): void {
    if (chunk.type === 'tokens' || chunk.type === 'vectors') {
      const count = chunk.type === 'tokens' ? chunk.ids.length : 0
      effort.times.received(count, this.#components.clock.elapsed())
      this.#activity.tokens(count, effort.node.country)
      this.#metrics.tokens.add(count, { where: effort.where })
    }
    // Its reader may never ask for what comes after the last chunk.
    if (chunk.type === 'done') {
      this.#activity.answered(chunk.drafting)
      if (chunk.finish.includes('cancelled')) effort.left()
      else effort.succeeded()
    }
  }

  #resumed(request: Request, handover: Handover, effort: Effort): void {
    handover.resumed(request, effort)
    this.#metrics.resumed.add(1, { where: effort.where })
  }

  #routed(request: Request, effort: Effort, openCid: string | undefined): Routed {
    const { report, beganAt } = request
    const now = this.#components.clock.elapsed()
    report.attempted(effort.node.id, 'ok', effort.times.msSince(now))
    this.#activity.firstToken(now - beganAt)
    this.#metrics.firstToken.observe((now - beganAt) / 1000, { where: effort.where })
    return routedChunk(request, effort, openCid)
  }
}
