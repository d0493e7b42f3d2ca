import type { Call } from '../client/call.ts'
import { type CallOptions, path } from '../client/operation.ts'
import { type Page, type PageQuery, type Pages, pagesOf } from '../client/page.ts'
import type { Transport } from '../client/transport.ts'
import type {
  DeletedWebhook,
  NewWebhook,
  RotatedWebhook,
  Webhook,
  WebhookChange,
  WebhookDelivery,
  WebhookEvent,
  WebhookWithSecret,
} from '../types/webhooks.ts'
import { type DeliveredEvent, type UnwrapOptions, unwrapWebhook } from '../unwrap-webhook.ts'

const webhooks = '/api/v1/webhooks'

/** Where the peer sends word of what happens in an account. */
export class Webhooks {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /** Its `signing_secret` is shown this once. */
  create(body: NewWebhook, options?: CallOptions): Call<WebhookWithSecret> {
    return this.#transport.json({ method: 'POST', path: webhooks, body }, options)
  }

  list(query: PageQuery = {}, options?: CallOptions): Pages<Webhook> {
    return this.#list(webhooks, query, options)
  }

  get(id: string, options?: CallOptions): Call<Webhook> {
    return this.#transport.json({ method: 'GET', path: one(id) }, options)
  }

  /** Changes it, or switches it off or on. */
  update(id: string, body: WebhookChange, options?: CallOptions): Call<Webhook> {
    return this.#transport.json({ method: 'PATCH', path: one(id), body }, options)
  }

  delete(id: string, options?: CallOptions): Call<DeletedWebhook> {
    return this.#transport.json({ method: 'DELETE', path: one(id) }, options)
  }

  /** Signs with a new secret; for a day with the one before too. */
  rotateSecret(id: string, options?: CallOptions): Call<RotatedWebhook> {
    return this.#transport.json({ method: 'POST', path: `${one(id)}/rotate-secret` }, options)
  }

  /** Sends `webhook.test` now, once, and says how it went. */
  test(id: string, options?: CallOptions): Call<WebhookDelivery> {
    return this.#transport.json({ method: 'POST', path: `${one(id)}/test` }, options)
  }

  /** What was sent to it, and what is still to be. */
  deliveries(id: string, query: PageQuery = {}, options?: CallOptions): Pages<WebhookDelivery> {
    return this.#list(`${one(id)}/deliveries`, query, options)
  }

  /** What happened in the account since it has a webhook. */
  events(
    query: PageQuery & { type?: WebhookEvent['type'] } = {},
    options?: CallOptions,
  ): Pages<WebhookEvent> {
    return this.#list('/api/v1/webhook-events', query, options)
  }

  /** The event in a delivery, if its signature holds. Asks nobody; see `unwrapWebhook`. */
  unwrap(
    body: string | Uint8Array,
    headers: Parameters<typeof unwrapWebhook>[1],
    options: UnwrapOptions,
  ): Promise<DeliveredEvent> {
    return unwrapWebhook(body, headers, options)
  }

  #list<T>(to: string, query: PageQuery & { type?: string }, options?: CallOptions): Pages<T> {
    return pagesOf(query, (cursor) =>
      this.#transport.json<Page<T>>(
        { method: 'GET', path: to, query: { ...query, ...cursor } },
        options,
      ),
    )
  }
}

const one = (id: string): string => webhooks + path`/${id}`
