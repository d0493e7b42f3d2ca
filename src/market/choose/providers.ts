import type { Clock } from '../../base/clock.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { Random } from '../../base/random.ts'
import { Breaker } from './breaker.ts'
import { type JobTimes, Measurement } from './measurements.ts'
import type { Venture } from './ventures.ts'
import { type Waiting, Waits } from './waits.ts'

/** Pairs of peer and model, some 300 bytes each: more than one coordinator gives work to in hours. */
const PAIRS_MAX = 4_096
const PEERS_MAX = 4_096
/** What a provider grants a coordinator that it does not know. */
const FIRST_ALLOWANCE = 1
/** Streams a second to one peer, after a burst of as many: it takes 256 for a flood. */
const OPENS_PER_SECOND = 200
/** After the first refusal; twice as long after each further one in a row. */
const BUSY_MS_MIN = 250
/** A provider that says "ask in an hour" is asked again sooner: it may be wrong, and others wait. */
const BUSY_MS_MAX = 10_000

/** Refusals in a row after which its word is not taken for it that there is room. */
const BELIEVED_REFUSALS = 3

/** A provider that published nothing may have changed its mind since. */
const HIDDEN_MS = 3_600_000

/** What this peer knows of a provider with one model from having worked with it. */
class Pair {
  readonly measurement = new Measurement()
  readonly breaker: Breaker
  /** It refused for want of room, and asked not to be asked again before. */
  busyUntil = 0
  /** Refusals of that kind in a row. */
  refusals = 0
  /** Jobs of this peer there. */
  open = 0
  readonly waits = new Waits()

  constructor(random: Random) {
    this.breaker = new Breaker(random)
  }

  /** How long nothing has come of what is open there. */
  quietMs(now: number): number {
    return now - (this.waits.since(this.open) ?? now)
  }
}

/** With all its models. */
class Account {
  open = 0
  /** Jobs that this peer may have open there. */
  allowance = FIRST_ALLOWANCE
  /** Until then nothing of its work is to be published. */
  hiddenUntil = 0
  #opens = OPENS_PER_SECOND
  #countedAt = 0

  /** Jobs that may be opened now. */
  room(now: number): number {
    const opens = this.#opens + ((now - this.#countedAt) * OPENS_PER_SECOND) / 1000
    this.#opens = Math.min(OPENS_PER_SECOND, opens)
    this.#countedAt = now
    return Math.max(0, Math.min(this.allowance - this.open, Math.floor(this.#opens)))
  }

  enter(): void {
    this.open++
    this.#opens--
  }
}

export interface ProvidersComponents {
  clock: Clock
  random: Random
}

/** What this peer knows of providers from having worked with them; in memory, and bounded. */
export class Providers {
  readonly #clock: Clock
  readonly #random: Random
  readonly #pairs = new LruMap<string, Pair>(PAIRS_MAX)
  readonly #accounts = new LruMap<string, Account>(PEERS_MAX)

  constructor({ clock, random }: ProvidersComponents) {
    this.#clock = clock
    this.#random = random
  }

  /** Undefined where there is nothing to know yet. */
  about(peerId: string, modelId: string): Pair | undefined {
    return this.#pairs.get(keyOf(peerId, modelId))
  }

  /** It says itself that it has room: whoever waits for that may ask, if that is to be believed. */
  freed(peerId: string, modelId: string): boolean {
    const pair = this.about(peerId, modelId)
    if (pair === undefined) return true
    if (pair.refusals > BELIEVED_REFUSALS) return false
    pair.busyUntil = 0
    return true
  }

  /** Jobs that may be opened there besides those that are. */
  roomAt(peerId: string): number {
    const account = this.#accounts.get(peerId)
    return account === undefined ? FIRST_ALLOWANCE : account.room(this.#clock.elapsed())
  }

  /** It finished jobs of this model lately, and more of them than it lost. */
  isGood(peerId: string, modelId: string): boolean {
    const pair = this.about(peerId, modelId)
    const now = this.#clock.elapsed()
    const measured = pair?.measurement.at(now)
    if (pair === undefined || measured === undefined) return false
    return measured.failureRate < 0.5 && pair.breaker.state(now) !== 'open'
  }

  /** A job goes there, perhaps as a venture; whoever sends it says how it ends. */
  engage(peerId: string, modelId: string, venture?: Venture): Engagement {
    const pair = this.about(peerId, modelId) ?? new Pair(this.#random)
    this.#pairs.set(keyOf(peerId, modelId), pair)
    const account = this.#accounts.get(peerId) ?? new Account()
    this.#accounts.set(peerId, account)
    return new Engagement({ pair, account, venture }, this.#clock)
  }
}

/** One job at one provider, from the books' side. The first of its ends counts. */
export class Engagement implements Waiting {
  since = 0
  before: Waiting | undefined
  after: Waiting | undefined
  isWaiting = false
  readonly #pair: Pair
  readonly #account: Account
  readonly #venture: Venture | undefined
  readonly #clock: Clock
  readonly #beganAt: number
  #closed = false

  constructor(
    { pair, account, venture }: { pair: Pair; account: Account; venture: Venture | undefined },
    clock: Clock,
  ) {
    this.#pair = pair
    this.#account = account
    this.#venture = venture
    this.#clock = clock
    this.#beganAt = clock.elapsed()
    pair.open++
    pair.waits.begin(this, this.#beganAt)
    account.enter()
    pair.breaker.enter(this.#beganAt)
  }

  /** It has finished jobs of this model, and not too long ago. */
  get isProven(): boolean {
    return this.#pair.measurement.at(this.#clock.elapsed()) !== undefined
  }

  /** No other job of this peer is open there. */
  get isAlone(): boolean {
    return this.#account.open <= 1
  }

  /** Nothing of what it does is to be published. */
  get isHidden(): boolean {
    return this.#clock.elapsed() < this.#account.hiddenUntil
  }

  /** It takes the job only if nothing of it is published. */
  hidden(): void {
    this.#account.hiddenUntil = this.#clock.elapsed() + HIDDEN_MS
    this.left()
  }

  /** It took the job, and says how many of them this peer may have open. */
  accepted(allowance: number): void {
    this.#pair.refusals = 0
    this.#account.allowance = Math.max(1, allowance)
  }

  /** A token or vector came; until the next one is awaited, it is not the provider who is slow. */
  heard(): void {
    this.#pair.waits.end(this)
  }

  /** The next one is awaited. */
  waits(): void {
    if (!this.#closed) this.#pair.waits.begin(this, this.#clock.elapsed())
  }

  succeeded(times: JobTimes): void {
    if (!this.#close(times)) return
    this.#pair.breaker.succeeded()
    this.#pair.measurement.succeeded(times, this.#clock.elapsed())
  }

  /** `surely`: it was the provider, not the job. Who never did one has no such excuse. */
  failed(surely: boolean): void {
    if (!this.#close()) return
    const now = this.#clock.elapsed()
    this.#pair.breaker.failed(now, surely || !this.isProven)
    this.#pair.measurement.failed(now)
  }

  /** It takes no such job. That loses none, but others are asked first the next time. */
  unwilling(): void {
    if (!this.#close()) return
    this.#pair.breaker.failed(this.#clock.elapsed(), !this.isProven)
  }

  /** It has no room for this job now, which is no fault. */
  refused(code: string, retryAfterMs: number): void {
    if (!this.#close()) return
    this.#pair.breaker.left()
    // Room comes with the end of one of those that are open there.
    if (code === 'allowance') this.#account.allowance = Math.max(1, this.#account.open)
    if (code === 'allowance' && this.#account.open > 0) return
    const ms = Math.max(retryAfterMs, BUSY_MS_MIN * 2 ** Math.min(10, this.#pair.refusals++))
    this.#pair.busyUntil = this.#clock.elapsed() + Math.min(BUSY_MS_MAX, ms)
  }

  /** It ended in a way that says nothing of the provider. */
  left(): void {
    if (this.#close()) this.#pair.breaker.left()
  }

  /** After its end: another peer did the job that this one called impossible. */
  refuted(): void {
    const now = this.#clock.elapsed()
    this.#pair.breaker.failed(now, true)
    this.#pair.measurement.failed(now)
  }

  /** False where it has ended before. */
  #close(times?: JobTimes): boolean {
    if (this.#closed) return false
    this.#closed = true
    this.#venture?.ended(this.#clock.elapsed() - this.#beganAt, times)
    this.#pair.open--
    this.#pair.waits.end(this)
    this.#account.open--
    return true
  }
}

const keyOf = (peerId: string, modelId: string): string => `${peerId} ${modelId}`
