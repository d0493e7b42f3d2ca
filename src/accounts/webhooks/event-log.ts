import type { Clock } from '../../base/clock.ts'
import { newId } from '../../base/ids.ts'
import type { Random } from '../../base/random.ts'
import type { Batch } from '../../storage/batch.ts'
import type { Store } from '../../storage/store.ts'
import type { Range, Table } from '../../storage/table.ts'
import type { AccountEvent } from '../events.ts'
import {
  type DeliveryRow,
  type Due,
  deliveryRows,
  dueRows,
  type EventRow,
  type EventType,
  eventRows,
  within,
} from './event-record.ts'

export interface EventLogComponents {
  store: Store
  clock: Clock
  random: Random
}

/** A long answer, and small enough that an account's events together stay so. */
const OBJECT_CHARS_MAX = 64 * 1024
const TEXT_CHARS_MAX = 256

/** Events, their deliveries, and which of these are pending: rows, and nothing in memory. */
export class EventLog {
  readonly #components: EventLogComponents
  readonly events: Table<string, EventRow>
  readonly deliveries: Table<string, DeliveryRow>
  readonly #due: Table<string, Due>

  constructor(components: EventLogComponents) {
    const { store } = components
    this.#components = components
    this.events = store.table('webhooks-events', eventRows)
    this.deliveries = store.table('webhooks-deliveries', deliveryRows)
    this.#due = store.table('webhooks-due', dueRows)
  }

  /** Adds the event and a delivery to each of these endpoints to the batch. */
  record(
    { account, type, data }: Omit<AccountEvent, 'type'> & { type: EventType },
    endpointIds: readonly string[],
    rows: Batch,
  ): { event: EventRow; deliveries: DeliveryRow[] } {
    const { clock, random } = this.#components
    const createdAt = clock.now()
    const eventId = newId('evt', clock, random)
    const deliveries = endpointIds.map((endpointId): DeliveryRow => {
      const id = newId('whdel', clock, random)
      return {
        ...{ id, endpointId, eventId, eventType: type, attempts: 0, status: 'pending' },
        ...{ responseStatus: null, responseMs: null, fault: null },
        ...{ nextAttemptAt: createdAt, createdAt },
      }
    })
    const event: EventRow = {
      ...{ id: eventId, type, createdAt, object: bounded(data.object) },
      deliveries: deliveries.map(({ id }) => id),
    }
    rows.put(this.events, within(account, eventId), event)
    return { event, deliveries }
  }

  /** Keeps what became of a delivery; while it is pending, also that it is. */
  keep(account: string, delivery: DeliveryRow, rows: Batch): Due | undefined {
    const { id, endpointId, eventId, nextAttemptAt: at } = delivery
    rows.put(this.deliveries, within(endpointId, id), delivery)
    if (at === null) {
      rows.del(this.#due, id)
      return undefined
    }
    const due = { id, account, endpointId, eventId, at }
    rows.put(this.#due, id, due)
    return due
  }

  /** Of an endpoint that is gone. */
  drop({ id, endpointId }: Due, rows: Batch): void {
    rows.del(this.deliveries, within(endpointId, id)).del(this.#due, id)
  }

  /** What was pending when the peer stopped. */
  async *pending(): AsyncGenerator<Due> {
    for await (const [, due] of this.#due.range()) yield due
  }

  /** What an attempt needs; undefined what is no longer kept. */
  async read(due: Due): Promise<{ event?: EventRow; delivery?: DeliveryRow }> {
    const [event, delivery] = await Promise.all([
      this.events.get(within(due.account, due.eventId)),
      this.deliveries.get(within(due.endpointId, due.id)),
    ])
    return { ...(event && { event }), ...(delivery && { delivery }) }
  }

  async *eventsOf(account: string, range: Range<string>, type?: string): AsyncGenerator<EventRow> {
    const { limit, ...all } = grouped(account, range)
    // A limit counts rows; of one type it is the reader who stops.
    const read = type === undefined && limit !== undefined ? { ...all, limit } : all
    for await (const [, event] of this.events.range(read)) {
      if (type === undefined || event.type === type) yield event
    }
  }

  async *deliveriesOf(endpointId: string, range: Range<string>): AsyncGenerator<DeliveryRow> {
    for await (const [, delivery] of this.deliveries.range(grouped(endpointId, range)))
      yield delivery
  }

  /** How many of the event's deliveries are pending. */
  async pendingOf({ deliveries }: EventRow): Promise<number> {
    const found = await this.#due.getMany(deliveries)
    return found.filter((due) => due !== undefined).length
  }
}

/** A range of ids as one of the rows of a group. `0` is what follows `/`. */
function grouped(group: string, { gt, lt, ...rest }: Range<string>): Range<string> {
  return {
    ...rest,
    gt: within(group, gt ?? ''),
    lt: lt === undefined ? `${group}0` : within(group, lt),
  }
}

/** Something too large is told of by its plain members, `id` among them. */
function bounded(object: unknown): unknown {
  const text = JSON.stringify(object)
  if (text === undefined) return null
  if (text.length <= OBJECT_CHARS_MAX) return object
  const members = Object.entries(JSON.parse(text) as object).filter(
    ([, value]) => typeof value !== 'object' && `${value}`.length <= TEXT_CHARS_MAX,
  )
  return { ...Object.fromEntries(members.slice(0, TEXT_CHARS_MAX)), truncated: true }
}
