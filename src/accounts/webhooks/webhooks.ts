import { BusyError, messageOf } from '../../base/errors.ts'
import type { Service } from '../../base/lifecycle.ts'
import type { Logger } from '../../base/logger.ts'
import type { Metrics } from '../../base/metrics.ts'
import type { Random } from '../../base/random.ts'
import { Underway } from '../../base/underway.ts'
import type { Batch } from '../../storage/batch.ts'
import type { Store } from '../../storage/store.ts'
import type { Range } from '../../storage/table.ts'
import type { AccountEvent, Emit } from '../events.ts'
import { type AttemptComponents, afterAttempt, attempt, givenUp } from './attempt.ts'
import { Courier, type CourierOptions } from './courier.ts'
import { checkName, type Endpoint } from './endpoint-record.ts'
import { type EndpointChoices, type EndpointOptions, Endpoints } from './endpoints.ts'
import { EventLog } from './event-log.ts'
import { type DeliveryRow, type Due, type EventRow, TEST_EVENT } from './event-record.ts'
import { Poster, type PosterComponents, type PosterOptions } from './post.ts'
import { Sweeper, type SweeperOptions } from './sweeper.ts'

export interface WebhookComponents extends PosterComponents {
  /** Default: over HTTP. */
  poster?: Pick<Poster, 'check' | 'post'>
  store: Store
  random: Random
  logger: Logger
  metrics: Metrics
}

export interface WebhookOptions {
  userAgent: string
  poster?: Partial<PosterOptions>
  endpoints?: Partial<EndpointOptions>
  courier?: Partial<CourierOptions>
  sweeper?: Partial<SweeperOptions>
}

/** Asked for by hand, and answered at once: beside the deliveries, not among them. */
const TESTS_MAX = 16
/** Each may take ten seconds: so many of one account leave places for others. */
const ACCOUNT_TESTS_MAX = 4

/** What the holders of accounts are told of what happens in them, over HTTP. */
export class Webhooks implements Service {
  readonly #components: WebhookComponents
  readonly #poster: Pick<Poster, 'check' | 'post'>
  readonly #endpoints: Endpoints
  readonly #log: EventLog
  readonly #courier: Courier
  readonly #sweeper: Sweeper
  readonly #attempting: AttemptComponents
  /** Commits of events that came without a batch of their own. */
  readonly #keeping = new Underway<Promise<void>>()
  readonly #testing = new Set<string>()

  private constructor(
    components: WebhookComponents,
    endpoints: Endpoints,
    options: WebhookOptions,
  ) {
    const { userAgent } = options
    const log = new EventLog(components)
    const poster = components.poster ?? new Poster(components, options.poster)
    const attempting = { ...components, post: poster.post, userAgent }
    const attempts = components.metrics.counter(
      'pinaivu_webhook_attempts_total',
      'Requests to webhook endpoints, by how they ended.',
      ['result'],
    )
    const courier = { ...attempting, endpoints, log, attempts }
    this.#components = components
    this.#poster = poster
    this.#attempting = attempting
    this.#endpoints = endpoints
    this.#log = log
    this.#courier = new Courier(courier, options.courier)
    this.#sweeper = new Sweeper({ ...components, endpoints, log }, options.sweeper)
  }

  /** Nothing is sent before `start`; events are kept from now on. */
  static async open(components: WebhookComponents, options: WebhookOptions): Promise<Webhooks> {
    const endpoints = await Endpoints.open(components, options.endpoints)
    const webhooks = new Webhooks(components, endpoints, options)
    const due: Due[] = []
    for await (const each of webhooks.#log.pending()) due.push(each)
    webhooks.#courier.add(due)
    return webhooks
  }

  async start(): Promise<void> {
    this.#courier.start()
    this.#sweeper.start()
  }

  async stop(): Promise<void> {
    await Promise.all([this.#courier.stop(), this.#sweeper.stop(), ...this.#keeping.all()])
  }

  /** Events of an account without any endpoint are not kept: nobody there asks for them. */
  readonly emit: Emit = (event, rows) => {
    try {
      this.#emit(event, rows)
    } catch (error) {
      this.#lost(event, error)
    }
  }

  #emit(event: AccountEvent, rows: Batch | undefined): void {
    const { account, type } = event
    const { store } = this.#components
    const endpointIds = this.#endpoints.wanting(account, type)
    if (endpointIds === undefined) return
    const own = store.batch()
    const { deliveries } = this.#log.record(event, endpointIds, own)
    const room = this.#courier.hasRoom(account, deliveries.length)
    const due = deliveries.flatMap((delivery) => {
      const row = room ? delivery : givenUp(delivery, 'backlog_full')
      return this.#log.keep(account, row, own) ?? []
    })
    own.onWritten(() => {
      this.#courier.add(due)
      this.#sweeper.added(account, endpointIds)
    })
    if (rows !== undefined) rows.add(own)
    else {
      const leave = this.#keeping.add(
        store
          .commit(own)
          .catch((error: unknown) => this.#lost(event, error))
          .finally(() => leave()),
      )
    }
  }

  #lost({ type }: AccountEvent, error: unknown): void {
    this.#components.logger.error('an event was lost', { type, error: messageOf(error) })
  }

  /** Throws `webhook_url_rejected`, `too_many_webhooks`. */
  async create(
    account: string,
    choices: EndpointChoices,
    { signal }: { signal: AbortSignal },
  ): Promise<Endpoint> {
    const name = checkName(choices.name)
    await this.#poster.check(choices.url, signal)
    return this.#endpoints.create(account, { ...choices, name })
  }

  /** Of an account, oldest first. */
  list(account: string): Endpoint[] {
    return this.#endpoints.of(account)
  }

  /** Throws `webhook_not_found`, also for another account's; and so do those below. */
  get(account: string, id: string): Endpoint {
    return this.#endpoints.get(account, id)
  }

  async update(
    account: string,
    id: string,
    choices: Partial<EndpointChoices>,
    { signal }: { signal: AbortSignal },
  ): Promise<Endpoint> {
    this.#endpoints.get(account, id)
    const { name, url } = choices
    const checked = name === undefined ? choices : { ...choices, name: checkName(name) }
    if (url !== undefined) await this.#poster.check(url, signal)
    return this.#endpoints.update(account, id, checked)
  }

  /** What is still to be delivered to it is dropped. */
  async remove(account: string, id: string): Promise<void> {
    await this.#endpoints.remove(account, id)
  }

  async rotate(account: string, id: string): Promise<Endpoint> {
    return this.#endpoints.rotate(account, id)
  }

  /** Sends an event at once, once, whatever the endpoint asks for; resolves with how it went. */
  async test(
    account: string,
    id: string,
    { signal }: { signal: AbortSignal },
  ): Promise<DeliveryRow> {
    const endpoint = this.#endpoints.get(account, id)
    const own = this.#endpoints.of(account).filter((each) => this.#testing.has(each.id))
    const isFull = this.#testing.size >= TESTS_MAX || own.length >= ACCOUNT_TESTS_MAX
    if (isFull || this.#testing.has(id)) {
      throw new BusyError('Tests of webhooks are under way already. Ask again when they are over.')
    }
    const { store, clock, random } = this.#components
    const { name, url } = endpoint
    const rows = store.batch()
    const data = { object: { id, object: 'webhook_endpoint', name, url } }
    const { event, deliveries } = this.#log.record({ account, type: TEST_EVENT, data }, [id], rows)
    const [delivery] = deliveries
    if (delivery === undefined) throw new Error('a delivery is missing')
    this.#testing.add(id)
    try {
      const posted = await attempt(this.#attempting, endpoint, event, signal)
      const after = afterAttempt(delivery, posted, { now: clock.now(), random })
      const last = after.fault === null ? after : givenUp(after, after.fault)
      this.#log.keep(account, last, rows)
      rows.onWritten(() => this.#sweeper.added(account, [id]))
      await store.commit(rows)
      return last
    } finally {
      this.#testing.delete(id)
    }
  }

  /** To one endpoint; ids of deliveries bound the range. */
  deliveries(account: string, id: string, range: Range<string>): AsyncIterable<DeliveryRow> {
    this.#endpoints.get(account, id)
    return this.#log.deliveriesOf(id, range)
  }

  /** With the number of deliveries that are pending; ids of events bound the range. */
  async *events(
    account: string,
    range: Range<string>,
    type?: string,
  ): AsyncGenerator<EventRow & { pending: number }> {
    for await (const event of this.#log.eventsOf(account, range, type)) {
      yield { ...event, pending: await this.#log.pendingOf(event) }
    }
  }
}
