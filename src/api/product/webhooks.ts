import type { Endpoint } from '../../accounts/webhooks/endpoint-record.ts'
import type { EndpointChoices } from '../../accounts/webhooks/endpoints.ts'
import { eventTypes } from '../../accounts/webhooks/event-record.ts'
import type { Webhooks } from '../../accounts/webhooks/webhooks.ts'
import type { Range } from '../../storage/table.ts'
import { clientSignal } from '../client-signal.ts'
import { pageFields, pageOf, pageSchema } from '../page-of.ts'
import type { RouteModule } from '../route.ts'
import { closed, type Infer, object, oneOf, optional, string } from '../schema.ts'
import {
  deletedSchema,
  deliveryJson,
  deliverySchema,
  eventJson,
  eventSchema,
  newWebhookSchema,
  rotatedJson,
  rotatedSchema,
  webhookChangeSchema,
  webhookJson,
  webhookSchema,
  webhookWithSecretSchema,
} from './webhook-schema.ts'

export interface WebhookRouteComponents {
  webhooks: Pick<
    Webhooks,
    'create' | 'list' | 'get' | 'update' | 'remove' | 'rotate' | 'test' | 'deliveries' | 'events'
  >
}

const config = { access: 'webhooks:manage' } as const
/** Whoever sends it again is shown the same secret. */
const makesSecret = { ...config, idempotent: 'secret' } as const
const tags = ['Webhooks']
const params = object({ id: string({ description: '`whend_…`' }) })
const errors = ['webhook_not_found']
const pageQuery = closed(pageFields)
const eventQuery = closed({ ...pageFields, type: optional(oneOf(eventTypes)) })

type Id = { Params: { id: string } }

/** `/webhooks…` and `/webhook-events` of the product surface; mount them at `/api/v1`. */
export function webhookRoutes(components: WebhookRouteComponents): RouteModule {
  return (app) => {
    collectionRoutes(components)(app)
    endpointRoutes(components)(app)
    deliveryRoutes(components)(app)
  }
}

const collectionRoutes =
  ({ webhooks }: WebhookRouteComponents): RouteModule =>
  (app) => {
    app.post<{ Body: Infer<typeof newWebhookSchema> }>(
      '/webhooks',
      {
        config: makesSecret,
        schema: {
          summary: 'Have events sent to a URL',
          description:
            'Deliveries are signed as Standard Webhooks says, and OpenAI’s `webhooks.unwrap` reads ' +
            'them. Anything but a 2xx within 10 s is tried again after 5 s, 5 min, 30 min, 2 h, 5 h, ' +
            '10 h and 10 h. Each event comes at least once, under the same `webhook-id`.',
          tags,
          body: newWebhookSchema,
          response: { 201: webhookWithSecretSchema },
          errors: ['webhook_url_rejected', 'too_many_webhooks'],
        },
      },
      async ({ body, principal }, reply) => {
        const { name = '', url, event_types } = body
        const choices = { name, url, eventTypes: [...new Set(event_types)], disabled: false }
        const made = await webhooks.create(principal.account, choices, signalOf(reply))
        reply.code(201).header('cache-control', 'no-store')
        return { ...webhookJson(made), signing_secret: made.secret }
      },
    )
    app.get<{ Querystring: Infer<typeof pageQuery> }>(
      '/webhooks',
      {
        config,
        schema: {
          summary: 'List webhooks',
          tags,
          querystring: pageQuery,
          response: { 200: pageSchema(webhookSchema) },
        },
      },
      ({ query, principal }) =>
        pageOf(query, (range) => inRange(webhooks.list(principal.account), range), webhookJson),
    )
  }

const endpointRoutes =
  ({ webhooks }: WebhookRouteComponents): RouteModule =>
  (app) => {
    app.get<Id>(
      '/webhooks/:id',
      {
        config,
        schema: { summary: 'One webhook', tags, params, response: { 200: webhookSchema }, errors },
      },
      ({ params, principal }) => webhookJson(webhooks.get(principal.account, params.id)),
    )
    app.patch<Id & { Body: Infer<typeof webhookChangeSchema> }>(
      '/webhooks/:id',
      {
        config,
        schema: {
          summary: 'Change a webhook, or switch it off or on',
          tags,
          params,
          body: webhookChangeSchema,
          response: { 200: webhookSchema },
          errors: [...errors, 'webhook_url_rejected'],
        },
      },
      async ({ params, body, principal }, reply) => {
        const { account } = principal
        return webhookJson(
          await webhooks.update(account, params.id, changesOf(body), signalOf(reply)),
        )
      },
    )
    app.delete<Id>(
      '/webhooks/:id',
      {
        config,
        schema: {
          summary: 'Delete a webhook, and what is still to be sent to it',
          tags,
          params,
          response: { 200: deletedSchema },
          errors,
        },
      },
      async ({ params, principal }): Promise<Infer<typeof deletedSchema>> => {
        await webhooks.remove(principal.account, params.id)
        return { id: params.id, object: 'webhook_endpoint', deleted: true }
      },
    )
    app.post<Id>(
      '/webhooks/:id/rotate-secret',
      {
        config: makesSecret,
        schema: {
          summary: 'Sign with a new secret; for 24 hours with the one before too',
          tags,
          params,
          response: { 200: rotatedSchema },
          errors,
        },
      },
      async ({ params, principal }, reply) => {
        reply.header('cache-control', 'no-store')
        return rotatedJson(await webhooks.rotate(principal.account, params.id))
      },
    )
  }

const deliveryRoutes =
  ({ webhooks }: WebhookRouteComponents): RouteModule =>
  (app) => {
    app.post<Id>(
      '/webhooks/:id/test',
      {
        config: { ...config, idempotent: 'creation' },
        schema: {
          summary: 'Send the event `webhook.test` now, once, and say how it went',
          tags,
          params,
          response: { 200: deliverySchema },
          errors,
        },
      },
      async ({ params, principal }, reply) =>
        deliveryJson(await webhooks.test(principal.account, params.id, signalOf(reply))),
    )
    app.get<Id & { Querystring: Infer<typeof pageQuery> }>(
      '/webhooks/:id/deliveries',
      {
        config,
        schema: {
          summary: 'What was sent to a webhook, and what is still to be',
          description: 'The newest 5,000 of the last 30 days.',
          tags,
          params,
          querystring: pageQuery,
          response: { 200: pageSchema(deliverySchema) },
          errors,
        },
      },
      ({ params, query, principal }) =>
        pageOf(
          query,
          (range) => webhooks.deliveries(principal.account, params.id, range),
          deliveryJson,
        ),
    )
    app.get<{ Querystring: Infer<typeof eventQuery> }>(
      '/webhook-events',
      {
        config,
        schema: {
          summary: 'What happened in the account since it has a webhook',
          description: 'The newest 5,000 of the last 30 days.',
          tags,
          querystring: eventQuery,
          response: { 200: pageSchema(eventSchema) },
        },
      },
      ({ query, principal }) => {
        const { type, ...page } = query
        return pageOf(page, (range) => webhooks.events(principal.account, range, type), eventJson)
      },
    )
  }

const signalOf = (reply: Parameters<typeof clientSignal>[0]) => ({ signal: clientSignal(reply) })

/** Only what was said. */
function changesOf(body: Infer<typeof webhookChangeSchema>): Partial<EndpointChoices> {
  const { name, url, event_types, status } = body
  return {
    ...(name === undefined ? {} : { name }),
    ...(url === undefined ? {} : { url }),
    ...(event_types === undefined ? {} : { eventTypes: [...new Set(event_types)] }),
    ...(status === undefined ? {} : { disabled: status === 'disabled' }),
  }
}

/** An account has few. */
function inRange(endpoints: Endpoint[], { gt = '', lt, reverse }: Range<string>): Endpoint[] {
  const found = endpoints.filter(({ id }) => id > gt && (lt === undefined || id < lt))
  return reverse ? found.reverse() : found
}
