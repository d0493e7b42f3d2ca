import type { Clock } from '../../base/clock.ts'
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Store } from '../../storage/store.ts'
import type { Endpoints } from './endpoints.ts'
import type { EventLog } from './event-log.ts'
import { Shelf } from './shelf.ts'

export interface SweeperComponents {
  store: Store
  clock: Clock
  logger: Logger
  endpoints: Endpoints
  log: EventLog
}

export const defaultSweeper = {
  keepMs: 30 * 24 * 60 * 60 * 1000,
  /** Of one account: at 64 KB each, 320 MB at the very most. */
  eventsMax: 5_000,
  /** Of one endpoint. */
  deliveriesMax: 5_000,
  everyMs: 60 * 60 * 1000,
  /** After a start there is enough else to do. */
  firstMs: 60 * 1000,
}

export type SweeperOptions = typeof defaultSweeper

/** Keeps events and deliveries for a month, and of each account and endpoint the newest alone. */
export class Sweeper {
  readonly #components: SweeperComponents
  readonly #options: SweeperOptions
  readonly #events: Shelf
  readonly #deliveries: Shelf
  readonly #end = new AbortController()
  /** One piece of work after the other. */
  #work: Promise<void> = Promise.resolve()
  #cancel: (() => void) | undefined

  constructor(components: SweeperComponents, options: Partial<SweeperOptions> = {}) {
    const { log } = components
    this.#components = components
    this.#options = { ...defaultSweeper, ...options }
    const { keepMs, eventsMax, deliveriesMax } = this.#options
    this.#events = new Shelf(log.events, components, { kind: 'evt', keepMax: eventsMax, keepMs })
    this.#deliveries = new Shelf(log.deliveries, components, {
      ...{ kind: 'whdel', keepMax: deliveriesMax, keepMs },
    })
  }

  start(): void {
    this.#sweepAfter(this.#options.firstMs)
  }

  async stop(): Promise<void> {
    this.#cancel?.()
    this.#end.abort(new Error('the peer stops'))
    await this.#work
  }

  /** An event of the account was kept, with a delivery to each of these. */
  added(account: string, endpointIds: readonly string[]): void {
    if (this.#events.added(account)) this.#trim(this.#events, account)
    for (const id of endpointIds) {
      if (this.#deliveries.added(id)) this.#trim(this.#deliveries, id)
    }
  }

  #trim(shelf: Shelf, group: string): void {
    this.#do(() => shelf.trim(group, this.#end.signal))
  }

  #sweepAfter(ms: number): void {
    this.#cancel = this.#components.clock.after(ms, () => {
      this.#do(() => this.#sweep())
      this.#sweepAfter(this.#options.everyMs)
    })
  }

  async #sweep(): Promise<void> {
    const { endpoints } = this.#components
    const { signal } = this.#end
    await this.#deliveries.sweep((id) => endpoints.find(id) !== undefined, signal)
    await this.#events.sweep(() => true, signal)
  }

  #do(work: () => Promise<void>): void {
    if (this.#end.signal.aborted) return
    this.#work = this.#work.then(work).catch((error: unknown) => {
      if (this.#end.signal.aborted) return
      const { logger } = this.#components
      logger.warn('old webhook events were not removed', { error: messageOf(error) })
    })
  }
}
