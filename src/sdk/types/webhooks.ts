// Written from the schemas of the routes by test/sdk/types.test.ts: see there.

/** What `POST /api/v1/webhooks` takes. */
export interface NewWebhook {
  /** To recognise it by. */
  name?: string | undefined
  /**
   * https, on port 443 or 8443, of a host on the public internet; it is looked up and checked anew
   * for each attempt, and redirects are not followed.
   */
  url: string
  event_types: readonly (
    | 'chat.completed'
    | 'generation.succeeded'
    | 'generation.failed'
    | 'key.created'
    | 'key.rotated'
    | 'key.revoked'
    | 'credits.low'
    | 'key.*'
  )[]
}

/** What `PATCH /api/v1/webhooks/{id}` takes. */
export interface WebhookChange {
  /** To recognise it by. */
  name?: string | undefined
  /**
   * https, on port 443 or 8443, of a host on the public internet; it is looked up and checked anew
   * for each attempt, and redirects are not followed.
   */
  url?: string | undefined
  event_types?:
    | readonly (
        | 'chat.completed'
        | 'generation.succeeded'
        | 'generation.failed'
        | 'key.created'
        | 'key.rotated'
        | 'key.revoked'
        | 'credits.low'
        | 'key.*'
      )[]
    | undefined
  /** Only to an active one is anything sent. */
  status?: 'active' | 'disabled' | undefined
}

/** What `GET /api/v1/webhooks/{id}` answers. */
export interface Webhook {
  id: string
  object: 'webhook_endpoint'
  name: string
  url: string
  event_types: string[]
  status: 'active' | 'disabled'
  /** How the signing secret begins and ends. */
  secret_preview: string
  last_success_at: string | null
  last_failure_at: string | null
  /** Attempts that failed since the last that did not. */
  failure_count: number
  created_at: string
  updated_at: string
  /** By its holder, by a 410, or after five days in which every attempt failed. */
  disabled_at: string | null
  revoked_at: string | null
}

/** What `POST /api/v1/webhooks` answers. */
export interface WebhookWithSecret extends Webhook {
  /** Shown this once. Standard Webhooks: the key of the HMAC is the base64 after `whsec_`. */
  signing_secret: string
}

/** What `POST /api/v1/webhooks/{id}/rotate-secret` answers. */
export interface RotatedWebhook extends WebhookWithSecret {
  /** Until then deliveries are signed with the secret before too. */
  previous_secret_expires_at: string | null
}

/** What `DELETE /api/v1/webhooks/{id}` answers. */
export interface DeletedWebhook {
  id: string
  object: 'webhook_endpoint'
  deleted: boolean
}

/** What `POST /api/v1/webhooks/{id}/test` answers. */
export interface WebhookDelivery {
  id: string
  object: 'webhook_delivery'
  /** Sent as `webhook-id`: the same in every attempt. */
  event_id: string
  event_type:
    | 'chat.completed'
    | 'generation.succeeded'
    | 'generation.failed'
    | 'key.created'
    | 'key.rotated'
    | 'key.revoked'
    | 'credits.low'
    | 'webhook.test'
  endpoint_id: string
  /** Attempts so far. */
  attempt: number
  status: 'pending' | 'succeeded' | 'failed'
  response_status: number | null
  response_ms: number | null
  error: {
    code: string
    message: string
  } | null
  next_attempt_at: string | null
  created_at: string
}

/** In what `GET /api/v1/webhook-events` answers. */
export interface WebhookEvent {
  object: 'event'
  id: string
  type:
    | 'chat.completed'
    | 'generation.succeeded'
    | 'generation.failed'
    | 'key.created'
    | 'key.rotated'
    | 'key.revoked'
    | 'credits.low'
    | 'webhook.test'
  /** Seconds since the epoch, as in what is sent. */
  created_at: number
  data: {
    object: unknown
  }
  /** Deliveries that are still to succeed. */
  pending_webhooks: number
}
