import { jsonValue, textKey } from '../../storage/codec.ts'
import { type AccountEventType, accountEventTypes } from '../events.ts'
import type { PostFault } from './post.ts'

/** What an endpoint is sent when its holder asks for a test; nobody can ask for it otherwise. */
export const TEST_EVENT = 'webhook.test'
export type EventType = AccountEventType | typeof TEST_EVENT
export const eventTypes: readonly EventType[] = [...accountEventTypes, TEST_EVENT]

/** An event, kept for its account. */
export interface EventRow {
  /** `evt_…`, the same in each delivery and attempt. */
  id: string
  type: EventType
  createdAt: number
  /** What it happened to. */
  object: unknown
  /** The ids of its deliveries, one for each endpoint that wanted it. */
  deliveries: string[]
}

/** Why an attempt, or all of a delivery, came to nothing. */
export type DeliveryFault =
  | PostFault
  | 'redirected'
  | 'refused'
  | 'gone'
  | 'endpoint_disabled'
  | 'event_expired'
  | 'backlog_full'

const faults: readonly DeliveryFault[] = [
  'url_rejected',
  'dns_failed',
  'connection_failed',
  'tls_failed',
  'bad_answer',
  'timeout',
  'redirected',
  'refused',
  'gone',
  'endpoint_disabled',
  'event_expired',
  'backlog_full',
]

/** One event on its way to one endpoint. */
export interface DeliveryRow {
  /** `whdel_…` */
  id: string
  endpointId: string
  eventId: string
  eventType: EventType
  /** Attempts so far. */
  attempts: number
  status: 'pending' | 'succeeded' | 'failed'
  /** Of the last attempt. */
  responseStatus: number | null
  responseMs: number | null
  fault: DeliveryFault | null
  nextAttemptAt: number | null
  createdAt: number
}

/** A delivery that is pending, as far as it must be known to send it in time. */
export interface Due {
  id: string
  account: string
  endpointId: string
  eventId: string
  /** When to try next. */
  at: number
}

/** The rows of one account, or of one endpoint, stand together and in order of time. */
export const within = (group: string, id: string): string => `${group}/${id}`

const isText = (value: unknown): value is string => typeof value === 'string'
const isCount = (value: unknown): boolean => Number.isSafeInteger(value)
const isCountOrNull = (value: unknown): boolean => value === null || isCount(value)
const isOf = (list: readonly string[], value: unknown): boolean =>
  isText(value) && list.includes(value)

function checkEvent(value: unknown): EventRow {
  const row = value as Partial<Record<keyof EventRow, unknown>>
  const deliveries = Array.isArray(row.deliveries) && row.deliveries.every(isText)
  if (!isText(row.id) || !isOf(eventTypes, row.type) || !isCount(row.createdAt) || !deliveries) {
    throw new TypeError('not an event')
  }
  return value as EventRow
}

function checkDelivery(value: unknown): DeliveryRow {
  const row = value as Partial<Record<keyof DeliveryRow, unknown>>
  const sound =
    [row.id, row.endpointId, row.eventId].every(isText) &&
    isOf(eventTypes, row.eventType) &&
    [row.attempts, row.createdAt].every(isCount) &&
    isOf(['pending', 'succeeded', 'failed'], row.status) &&
    [row.responseStatus, row.responseMs, row.nextAttemptAt].every(isCountOrNull) &&
    (row.fault === null || isOf(faults, row.fault))
  if (!sound) throw new TypeError('not a delivery')
  return value as DeliveryRow
}

function checkDue(value: unknown): Due {
  const row = value as Partial<Record<keyof Due, unknown>>
  const texts = [row.id, row.account, row.endpointId, row.eventId]
  if (!texts.every(isText) || !isCount(row.at)) throw new TypeError('not a pending delivery')
  return value as Due
}

/** By account and event id. */
export const eventRows = { key: textKey, value: jsonValue(checkEvent) }
/** By endpoint and delivery id. */
export const deliveryRows = { key: textKey, value: jsonValue(checkDelivery) }
/** By delivery id. */
export const dueRows = { key: textKey, value: jsonValue(checkDue) }
