import { envelopeOf } from '../../accounts/webhooks/attempt.ts'
import type { Endpoint } from '../../accounts/webhooks/endpoint-record.ts'
import { webhookEventTypes } from '../../accounts/webhooks/endpoint-record.ts'
import {
  type DeliveryFault,
  type DeliveryRow,
  type EventRow,
  eventTypes,
} from '../../accounts/webhooks/event-record.ts'
import { previewOf } from '../../accounts/webhooks/signature.ts'
import {
  anything,
  array,
  boolean,
  closed,
  type Infer,
  integer,
  literal,
  nullable,
  object,
  oneOf,
  optional,
  string,
} from '../schema.ts'

const URL_CHARS_MAX = 2048

const choices = {
  name: optional(string({ maxLength: 128, description: 'To recognise it by.' })),
  url: string({
    maxLength: URL_CHARS_MAX,
    description:
      'https, on port 443 or 8443, of a host on the public internet; it is looked up and checked ' +
      'anew for each attempt, and redirects are not followed.',
    examples: ['https://example.org/hook'],
  }),
  event_types: array(oneOf(webhookEventTypes), { minItems: 1, maxItems: 16 }),
}

export const newWebhookSchema = closed(choices)

export const webhookChangeSchema = closed({
  name: choices.name,
  url: optional(choices.url),
  event_types: optional(choices.event_types),
  status: optional(
    oneOf(['active', 'disabled'], { description: 'Only to an active one is anything sent.' }),
  ),
})

const webhookFields = {
  id: string(),
  object: literal('webhook_endpoint'),
  name: string(),
  url: string(),
  event_types: array(string()),
  status: oneOf(['active', 'disabled']),
  secret_preview: string({ description: 'How the signing secret begins and ends.' }),
  last_success_at: nullable(string()),
  last_failure_at: nullable(string()),
  failure_count: integer({ description: 'Attempts that failed since the last that did not.' }),
  created_at: string(),
  updated_at: string(),
  disabled_at: nullable(string(), {
    description: 'By its holder, by a 410, or after five days in which every attempt failed.',
  }),
  revoked_at: nullable(string()),
}
export const webhookSchema = object(webhookFields)
export const webhookWithSecretSchema = object({
  ...webhookFields,
  signing_secret: string({
    description:
      'Shown this once. Standard Webhooks: the key of the HMAC is the base64 after `whsec_`.',
  }),
})
export const rotatedSchema = object({
  ...webhookWithSecretSchema.properties,
  previous_secret_expires_at: nullable(string(), {
    description: 'Until then deliveries are signed with the secret before too.',
  }),
})

export const deletedSchema = object({
  id: string(),
  object: literal('webhook_endpoint'),
  deleted: boolean(),
})

export const deliverySchema = object({
  id: string(),
  object: literal('webhook_delivery'),
  event_id: string({ description: 'Sent as `webhook-id`: the same in every attempt.' }),
  event_type: oneOf(eventTypes),
  endpoint_id: string(),
  attempt: integer({ description: 'Attempts so far.' }),
  status: oneOf(['pending', 'succeeded', 'failed']),
  response_status: nullable(integer({ description: 'Of the last attempt, like the next two.' })),
  response_ms: nullable(integer()),
  error: nullable(object({ code: string(), message: string() })),
  next_attempt_at: nullable(string()),
  created_at: string(),
})

export const eventSchema = object({
  object: literal('event'),
  id: string(),
  type: oneOf(eventTypes),
  created_at: integer({ description: 'Seconds since the epoch, as in what is sent.' }),
  data: object({ object: anything() }),
  pending_webhooks: integer({ description: 'Deliveries that are still to succeed.' }),
})

const isoTime = (ms: number): string => new Date(ms).toISOString()
const isoTimeOrNull = (ms: number | null): string | null => (ms === null ? null : isoTime(ms))

export function webhookJson(endpoint: Endpoint): Infer<typeof webhookSchema> {
  const { id, name, url, eventTypes: event_types, secret, failureCount, disabledAt } = endpoint
  return {
    ...{ id, object: 'webhook_endpoint', name, url, event_types },
    status: disabledAt === null ? 'active' : 'disabled',
    secret_preview: previewOf(secret),
    last_success_at: isoTimeOrNull(endpoint.lastSuccessAt),
    last_failure_at: isoTimeOrNull(endpoint.lastFailureAt),
    failure_count: failureCount,
    created_at: isoTime(endpoint.createdAt),
    updated_at: isoTime(endpoint.updatedAt),
    disabled_at: isoTimeOrNull(disabledAt),
    revoked_at: null,
  }
}

export const rotatedJson = (endpoint: Endpoint): Infer<typeof rotatedSchema> => ({
  ...webhookJson(endpoint),
  signing_secret: endpoint.secret,
  previous_secret_expires_at: isoTimeOrNull(endpoint.previous?.until ?? null),
})

export function deliveryJson(row: DeliveryRow): Infer<typeof deliverySchema> {
  const { fault } = row
  return {
    id: row.id,
    object: 'webhook_delivery',
    event_id: row.eventId,
    event_type: row.eventType,
    endpoint_id: row.endpointId,
    attempt: row.attempts,
    status: row.status,
    response_status: row.responseStatus,
    response_ms: row.responseMs,
    error: fault === null ? null : { code: fault, message: meaning[fault] },
    next_attempt_at: isoTimeOrNull(row.nextAttemptAt),
    created_at: isoTime(row.createdAt),
  }
}

export const eventJson = (event: EventRow & { pending: number }): Infer<typeof eventSchema> => ({
  ...envelopeOf(event),
  pending_webhooks: event.pending,
})

const meaning: Readonly<Record<DeliveryFault, string>> = {
  url_rejected: 'The URL is not allowed, or its name leads to an address that is not public.',
  dns_failed: 'The name of the host could not be looked up.',
  connection_failed: 'No connection to the host came about.',
  tls_failed: 'The host has no valid certificate for its name, or does not speak TLS.',
  bad_answer: 'The host closed the connection, or answered with something that is not HTTP.',
  timeout: 'No answer came within ten seconds.',
  redirected: 'The answer was a redirect; these are not followed. Give the URL it leads to.',
  refused: 'The answer was not a 2xx.',
  gone: 'The answer was a 410: nothing more is sent until the webhook is made active again.',
  endpoint_disabled: 'The webhook was disabled before its turn came.',
  event_expired: 'The event is no longer kept: too many came after it.',
  backlog_full: 'Too many deliveries of this account were waiting already.',
}
