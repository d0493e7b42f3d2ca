import type { Clock } from '../../base/clock.ts'
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Counter } from '../../base/metrics.ts'
import type { Random } from '../../base/random.ts'
import { Underway } from '../../base/underway.ts'
import type { Store } from '../../storage/store.ts'
import { type AttemptComponents, afterAttempt, attempt, givenUp } from './attempt.ts'
import { Backlog } from './backlog.ts'
import type { Endpoints } from './endpoints.ts'
import type { EventLog } from './event-log.ts'
import type { DeliveryRow, Due } from './event-record.ts'

export interface CourierComponents extends AttemptComponents {
  clock: Clock
  random: Random
  logger: Logger
  store: Store
  endpoints: Endpoints
  log: EventLog
  /** Attempts, by `result`. */
  attempts: Counter
}

export const defaultCourier = {
  /** Connections at once: sockets and name look-ups that others of this process do without. */
  atWorkMax: 64,
  atWorkPerAccount: 8,
  atWorkPerEndpoint: 4,
  /** In memory, 200 bytes each. What comes beyond is kept as a failed delivery. */
  pendingMax: 200_000,
  pendingPerAccount: 10_000,
  /** Those at work when the peer stops get so long; the rest is sent after the next start. */
  stopMs: 2_000,
}

export type CourierOptions = typeof defaultCourier

/** Sooner than that nothing is tried again that the disk refused to tell of. */
const STORAGE_RETRY_MS = 60_000
/** Timers hold 24 days at most, and the wall clock may be set meanwhile. */
const NAP_MS_MAX = 3_600_000

/** Brings events to endpoints: at least once, in no order, until each has it or the attempts are over. */
export class Courier {
  readonly #components: CourierComponents
  readonly #options: CourierOptions
  readonly #backlog: Backlog
  readonly #atWork = new Underway<Promise<void>>()
  readonly #end = new AbortController()
  #running = false
  #cancelNap: (() => void) | undefined

  constructor(components: CourierComponents, options: Partial<CourierOptions> = {}) {
    this.#components = components
    this.#options = { ...defaultCourier, ...options }
    const { atWorkPerAccount, atWorkPerEndpoint } = this.#options
    this.#backlog = new Backlog({
      atWorkPerAccount,
      // One that fails is asked by one at a time: it may never answer.
      atWorkPerEndpoint: (id) => (components.endpoints.failing(id) ? 1 : atWorkPerEndpoint),
    })
  }

  /** Whether so many more deliveries of the account may wait. */
  hasRoom(account: string, more: number): boolean {
    const { pendingMax, pendingPerAccount } = this.#options
    const { size } = this.#backlog
    return size + more <= pendingMax && this.#backlog.sizeOf(account) + more <= pendingPerAccount
  }

  /** Once its rows are written. */
  add(dues: readonly Due[]): void {
    for (const due of dues) this.#backlog.add(due)
    this.#pump()
  }

  start(): void {
    this.#running = true
    this.#pump()
  }

  /** What is at work may end; what does not in time is pending still. */
  async stop(): Promise<void> {
    this.#running = false
    this.#cancelNap?.()
    const { clock } = this.#components
    const reason = new Error('the peer stops')
    const cancel = clock.after(this.#options.stopMs, () => this.#end.abort(reason))
    await Promise.all(this.#atWork.all())
    cancel()
  }

  #pump(): void {
    if (!this.#running) return
    this.#cancelNap?.()
    const now = this.#components.clock.now()
    while (this.#atWork.size < this.#options.atWorkMax) {
      const due = this.#backlog.take(now)
      if (due === undefined) break
      this.#send(due)
    }
    const at = this.#backlog.nextAt()
    if (at === undefined || at <= now) return
    const nap = Math.min(at - now, NAP_MS_MAX)
    this.#cancelNap = this.#components.clock.after(nap, () => this.#pump())
  }

  #send(due: Due): void {
    const { clock, logger } = this.#components
    const work = this.#attempt(due)
      .catch((error: unknown): Due | undefined => {
        if (this.#end.signal.aborted) return due
        logger.error('a webhook was not delivered', { id: due.id, error: messageOf(error) })
        return { ...due, at: clock.now() + STORAGE_RETRY_MS }
      })
      .then((next) => {
        leave()
        if (next === undefined) this.#backlog.done(due)
        else this.#backlog.back(next)
        this.#pump()
      })
    const leave = this.#atWork.add(work)
  }

  /** Resolves with when to try again; undefined: never. */
  async #attempt(due: Due): Promise<Due | undefined> {
    const { log, endpoints, store, clock, random, attempts } = this.#components
    // Nothing is sent that could not be said to be: it would be sent again and again.
    if (store.failure !== undefined) throw store.failure
    const endpoint = endpoints.find(due.endpointId)
    const { event, delivery } = await log.read(due)
    const rows = store.batch()
    if (endpoint === undefined || delivery === undefined) {
      log.drop(due, rows)
      await store.write(rows)
      return undefined
    }
    const keep = async (row: DeliveryRow) => {
      const next = log.keep(due.account, row, rows)
      await store.write(rows)
      return next
    }
    if (endpoint.disabledAt !== null) return keep(givenUp(delivery, 'endpoint_disabled'))
    if (event === undefined) return keep(givenUp(delivery, 'event_expired'))
    const posted = await attempt(this.#components, endpoint, event, this.#end.signal)
    const after = afterAttempt(delivery, posted, { now: clock.now(), random })
    const { giveUp } = endpoints.fared(endpoint.id, after.fault === null, rows)
    attempts.add(1, { result: after.fault ?? 'succeeded' })
    // First: after a crash in between, the delivery is tried again and says so once more.
    if (giveUp || after.fault === 'gone') await endpoints.disable(endpoint.id)
    return keep(after)
  }
}
