import { InvalidError } from '../../base/errors.ts'
import { jsonValue, textKey } from '../../storage/codec.ts'
import { type AccountEventType, accountEventTypes } from '../events.ts'

/** What an endpoint can ask for. */
export const webhookEventTypes = [...accountEventTypes, 'key.*'] as const
export type WebhookEventType = (typeof webhookEventTypes)[number]

/** What its holder says of an endpoint, and what became of it. */
export interface EndpointRow {
  /** `whend_…` */
  id: string
  account: string
  name: string
  url: string
  eventTypes: WebhookEventType[]
  secret: string
  /** The one before, which signs too until then. */
  previous: { secret: string; until: number } | null
  /** Milliseconds since the epoch, like the other times. */
  createdAt: number
  updatedAt: number
  /** Not null: nothing is sent to it. */
  disabledAt: number | null
}

/** How an endpoint fared. Written without waiting for the disk: a crash may take the last back. */
export interface EndpointHealth {
  lastSuccessAt: number | null
  lastFailureAt: number | null
  /** Attempts in a row that failed, and when the first of them was. */
  failureCount: number
  failingSince: number | null
}

export const newHealth: EndpointHealth = {
  lastSuccessAt: null,
  lastFailureAt: null,
  failureCount: 0,
  failingSince: null,
}

export type Endpoint = EndpointRow & EndpointHealth

export const wants = ({ eventTypes, disabledAt }: EndpointRow, type: AccountEventType): boolean =>
  disabledAt === null &&
  eventTypes.some((each) => each === type || (each === 'key.*' && type.startsWith('key.')))

export const secretsOf = ({ secret, previous }: EndpointRow, now: number): string[] =>
  previous !== null && now < previous.until ? [secret, previous.secret] : [secret]

export function checkName(text: string): string {
  const name = text.trim()
  if (/^[^\p{C}]{0,128}$/u.test(name)) return name
  throw new InvalidError('name', "A webhook's name has up to 128 characters, on one line.")
}

const isTime = (value: unknown): boolean => Number.isSafeInteger(value)
const isTimeOrNull = (value: unknown): boolean => value === null || isTime(value)

function checkRow(value: unknown): EndpointRow {
  const row = value as Partial<Record<keyof EndpointRow, unknown>>
  const texts = [row.id, row.account, row.name, row.url, row.secret]
  const previous = row.previous as Partial<{ secret: unknown; until: unknown }> | null | undefined
  const sound =
    texts.every((text) => typeof text === 'string') &&
    Array.isArray(row.eventTypes) &&
    row.eventTypes.every((type) => webhookEventTypes.includes(type)) &&
    (previous === null || (typeof previous?.secret === 'string' && isTime(previous.until))) &&
    [row.createdAt, row.updatedAt].every(isTime) &&
    isTimeOrNull(row.disabledAt)
  if (!sound) throw new TypeError('not a webhook endpoint')
  return value as EndpointRow
}

function checkHealth(value: unknown): EndpointHealth {
  const row = value as Partial<Record<keyof EndpointHealth, unknown>>
  const times = [row.lastSuccessAt, row.lastFailureAt, row.failingSince]
  if (!times.every(isTimeOrNull) || !isTime(row.failureCount)) {
    throw new TypeError("not an endpoint's health")
  }
  return value as EndpointHealth
}

/** By endpoint id. */
export const endpointRows = { key: textKey, value: jsonValue(checkRow) }
export const healthRows = { key: textKey, value: jsonValue(checkHealth) }
