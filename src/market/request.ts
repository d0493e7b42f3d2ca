import type { Payment } from '../accounts/payment.ts'
import { type Capability, needsOf } from '../wire/capability.ts'
import type { Job, Price, Wishes } from '../wire/job.ts'
import type { Exclusion } from './choose/choice.ts'
import type { Engagement } from './choose/providers.ts'
import type { Handover } from './failover/handover.ts'
import type { MarketModel } from './market.ts'
import { type Bounds, boundsOf, dearer, FREE, isFree, quote } from './quote.ts'
import type { WrittenJob } from './remote/job-writer.ts'
import type { ProviderError } from './remote/provider-error.ts'
import { RouteReport } from './route-report.ts'

/** Of a model that was not loaded here yet. */
const CONTEXT_LENGTH = 131_072

/** Of proven providers, that a request is at fault: a single one may be wrong. */
const OPINIONS_MIN = 2
/** Nor are so many of the best all liars; and whoever sends nonsense is not to keep a crowd busy. */
const OPINIONS_MAX = 5

/** Whoever is given up was silent for so long before, or longer. */
const UNHEARD_MS = 2_000

/** By `clock.elapsed()`. */
export interface Times {
  beganAt: number
  firstTokenBy: number
  doneBy: number
}

export interface RequestParts {
  job: Job
  model: MarketModel
  modelId: string
  write(job: Job): WrittenJob
  /** Names of models that can do this. */
  whoCan(needs: readonly Capability[]): string[]
  payment: Payment | undefined
  ownPrice: Price
}

/** Somebody found fault with the request itself. */
export interface Declined {
  engagement: Engagement
  /** Wrongly, if a provider with a context of no more tokens does it. */
  contextLength: number
}

/** One job on its way to an answer: what is known of it beside what the caller said. */
export class Request {
  readonly job: Job
  readonly model: MarketModel
  /** Under which the network knows it. Where that is only declared, another may take its place. */
  modelId: string
  /** Ids that were taken for what the name means, that one among them. */
  readonly meant = new Set<string>()
  readonly wishes: Wishes
  /** What its model must be able to do, beside what all of its kind do. */
  readonly needs: readonly Capability[]
  /** Undefined: nobody pays for it. */
  readonly payment: Payment | undefined
  /** What this peer asks for it itself, whatever it asks for others that come later. */
  readonly ownPrice: Price
  readonly beganAt: number
  readonly doneBy: number
  readonly report = new RouteReport()
  /** Peers that were tried and need not be again. */
  readonly tried = new Set<string>()
  /** Of those, the last that was not heard of: that may be the cable's fault. */
  unheard: string | undefined
  /** So many of those that were asked last were not heard of, the first of them since then. */
  #unheard = { count: 0, since: Number.NEGATIVE_INFINITY }
  /** Who is asked for the second time, nobody else being left. */
  askedAgain: string | undefined
  /** Contexts of this length and below were too small. */
  contextTooSmall = 0
  attempts = 0
  /** Candidates that had proved themselves when the first was asked. */
  known = 0
  /** Attempts before a provider was lost behind its first token. */
  attemptsBefore = 0
  /** So many of them cost no time. */
  refusedAtOnce = 0
  /** This peer has tried itself. */
  isTriedHere = false
  /** Why this peer does not do it, although it serves the model. */
  selfExcluded: Exclusion | undefined
  lastError: ProviderError | undefined
  /** What the first of those said who found fault with it. */
  declinedFor: ProviderError | undefined
  readonly declined: Declined[] = []
  /** Of the prompt; 0 before a provider has counted them. */
  inputTokens = 0
  /** Set once a provider was lost in the middle of the answer. */
  handover: Handover | undefined
  #firstTokenBy: number
  readonly #firstTokenMs: number
  readonly #write: (job: Job) => WrittenJob
  readonly #whoCan: RequestParts['whoCan']
  #bounds: Bounds | undefined
  /** Of those who were asked. */
  #dearest: Price = FREE
  #written: WrittenJob | undefined

  constructor(
    { job, model, modelId, write, whoCan, payment, ownPrice }: RequestParts,
    { beganAt, firstTokenBy, doneBy }: Times,
  ) {
    this.job = job
    this.model = model
    this.modelId = modelId
    this.meant.add(modelId)
    this.wishes = job.wishes ?? {}
    this.payment = payment
    this.ownPrice = ownPrice
    this.beganAt = beganAt
    this.#firstTokenBy = firstTokenBy
    this.#firstTokenMs = firstTokenBy - beganAt
    this.doneBy = doneBy
    this.#write = write
    this.#whoCan = whoCan
    this.needs = needsOf(job.work)
  }

  /** Nothing came of it yet, and so it may as well be another's model of this name. */
  means(modelId: string): void {
    this.modelId = modelId
    this.meant.add(modelId)
  }

  /** By then the provider that is asked must have begun. */
  get firstTokenBy(): number {
    return this.#firstTokenBy
  }

  /** Another is to go on with the answer: there is as much time for that as for its beginning. */
  goesOn(now: number): void {
    this.#firstTokenBy = Math.min(this.doneBy, now + this.#firstTokenMs)
    this.attemptsBefore = this.attempts
    this.refusedAtOnce = 0
  }

  /** This one was asked, and not heard of. */
  unheardOf(peerId: string, now: number): void {
    this.unheard = peerId
    const { count, since } = this.#unheard
    this.#unheard = { count: count + 1, since: count === 0 ? now - UNHEARD_MS : since }
  }

  /** Whoever is asked now was heard of. */
  heard(): void {
    this.#unheard.count = 0
  }

  /**
   * Two that were not heard of, one after the other, are hardly lost by chance: a part of the
   * network is out of reach. Whoever was heard of since then is not in it.
   */
  get doubtedSince(): number {
    const { count, since } = this.#unheard
    return count < 2 ? Number.NEGATIVE_INFINITY : since
  }

  /** Some models that could do it, where its own can't. */
  get others(): string[] {
    return this.#whoCan(this.needs)
  }

  /** In a word, for the log. */
  get work(): string {
    return this.job.work.kind
  }

  get kind(): 'chat' | 'embedding' {
    return this.job.work.kind === 'embedding' ? 'embedding' : 'chat'
  }

  /** Most of those who proved themselves find fault with it; others are not believed. */
  get isDeclined(): boolean {
    const most = Math.floor(this.known / 2) + 1
    return this.provenDeclines >= Math.min(OPINIONS_MAX, Math.max(OPINIONS_MIN, most))
  }

  /** Who found fault with it and proved itself before. */
  get provenDeclines(): number {
    return this.declined.filter(({ engagement }) => engagement.isProven).length
  }

  /** Who served this account with this model last may have its prompt in the cache. */
  get familiarity(): string {
    return `${this.job.cacheScope} ${this.modelId}`
  }

  /** What it can come to. */
  get bounds(): Bounds {
    this.#bounds ??= boundsOf(this.job.work, this.model.contextLength ?? CONTEXT_LENGTH)
    return this.#bounds
  }

  /** Whether it can be paid if somebody works on it at this price, too. */
  affords(price: Price): boolean {
    if (this.payment === undefined || isFree(price)) return true
    return this.#costOf(price) <= this.payment.affordable
  }

  /** Sets aside what it costs then; false where there is not so much. */
  covers(price: Price): boolean {
    if (this.payment === undefined || isFree(price)) return true
    if (!this.affords(price)) return false
    this.payment.reserve(this.#costOf(price))
    this.#dearest = dearer(this.#dearest, price)
    return true
  }

  /**
   * What a provider that advertises this price may ask. It is what was promised to the client, unless
   * that allows more; and where somebody pays, what was set aside.
   */
  priceMax(advertised: Price): Price {
    return this.payment === undefined ? (this.wishes.maxPrice ?? advertised) : advertised
  }

  /** The tokens are paid to whoever wrote them, the prompt to whoever ends the answer. */
  #costOf(price: Price): number {
    return quote(this.bounds, dearer(this.#dearest, price))
  }

  /** What is hashed in front of the answer, where nobody is to guess it. */
  get salt(): Uint8Array | undefined {
    return this.wishes.receiptPrivacy === 'salted' ? this.written.promptNonce : undefined
  }

  /** For the wire: made when it is needed, and once. */
  get written(): WrittenJob {
    this.#written ??= this.#write(this.job)
    return this.#written
  }
}
