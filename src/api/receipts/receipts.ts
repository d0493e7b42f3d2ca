import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Clock } from '../../base/clock.ts'
import { PeerError } from '../../base/errors.ts'
import type { AccountReceipts, Receipts, ReceiptView } from '../../receipts/view.ts'
import type { Verifying } from '../../wire/signed.ts'
import { clientSignal } from '../client-signal.ts'
import type { RouteModule } from '../route.ts'
import { anyOf, closed, type Infer, object, optional, string } from '../schema.ts'
import { checkedCid } from './checked-cid.ts'
import { lineageJson } from './lineage.ts'
import { lineageSchema } from './lineage-schema.ts'
import { ReceiptFeed } from './receipt-feed.ts'
import { receiptJson } from './receipt-json.ts'
import { defaultLimit, limitMax, listReceipts } from './receipt-list.ts'
import {
  type ReceiptJson,
  receiptListSchema,
  receiptLiteSchema,
  receiptSchema,
  routingReceiptSchema,
} from './receipt-schema.ts'
import { hasRouting, routingReceiptJson } from './routing-json.ts'

export interface ReceiptComponents {
  receipts: Receipts
  verifying: Verifying
  clock: Clock
}

export interface RoutingReceiptComponents extends ReceiptComponents {
  ofAccounts: AccountReceipts
}

const tags = ['Receipts']
const unknownCid = ['invalid_cid', 'receipt_not_found']
const anybody = { access: 'public' } as const
const cidField = string({
  description: 'ryv1:sha256:…, bafkrei… (a receipt) or bafyrei… (an entry of a log).',
})

const recentQuery = closed({
  limit: optional(string({ description: `1 to ${limitMax}; default ${defaultLimit}.` })),
  after: optional(string({ description: '`last_id` of the page before.' })),
  model: optional(string()),
  node: optional(string({ description: 'The peer that signed.' })),
})
export type RecentQuery = Infer<typeof recentQuery>

/** `GET /v8/receipts/{cid}`, its lineage, and `GET /v8/receipts/recent` */
export function receiptRoutes(components: ReceiptComponents): RouteModule {
  const { receipts, verifying } = components
  const feed = new ReceiptFeed(components)
  return (app) => {
    app.get<{ Params: { cid: string } }>(
      '/v8/receipts/:cid',
      {
        schema: {
          summary: 'A receipt, by any spelling of its CID or by an entry that tells of it',
          tags,
          params: object({ cid: cidField }),
          response: { 200: receiptSchema },
          errors: unknownCid,
        },
        config: anybody,
      },
      async ({ params: { cid } }, reply) => {
        const view = await receipts.find(checkedCid(cid, 'cid'), { signal: clientSignal(reply) })
        return sendReceipt(view, verifying, reply)
      },
    )
    app.get<{ Params: { cid: string } }>(
      '/v8/receipts/:cid/lineage',
      {
        schema: {
          summary: 'How an answer came about: every step that was signed, in one proof',
          tags,
          params: object({ cid: cidField }),
          response: { 200: lineageSchema },
          errors: unknownCid,
        },
        config: anybody,
      },
      async ({ params: { cid } }, reply) => {
        const view = await receipts.find(checkedCid(cid, 'cid'), { signal: clientSignal(reply) })
        if (view === undefined) throw notFound()
        reply.header('cache-control', 'no-store')
        return lineageJson(view, verifying)
      },
    )
    app.get<{ Querystring: RecentQuery }>(
      '/v8/receipts/recent',
      {
        schema: {
          summary: 'The newest receipts; with `Accept: text/event-stream`, each as it comes',
          tags,
          querystring: recentQuery,
          response: { 200: listOrEvents },
        },
        config: anybody,
      },
      async (request, reply) => {
        reply.header('cache-control', 'no-store').header('vary', 'Accept')
        if (wantsEvents(request)) {
          await feed.follow(request.query, reply, app.closing)
          return reply
        }
        return listReceipts(receipts, request.query)
      },
    )
  }
}

/** `GET /receipts/{request_id}`, and the same by CID; mount it at `/v1`. */
export function routingReceiptRoutes(components: RoutingReceiptComponents): RouteModule {
  const { receipts, ofAccounts, verifying } = components
  return (app) => {
    app.get<{ Params: { id: string } }>(
      '/receipts/:id',
      {
        schema: {
          summary: "What this peer signed of one of the account's requests",
          tags,
          params: object({ id: string({ description: 'req_…, or any CID as under /v8.' }) }),
          response: { 200: anyOf([routingReceiptSchema, receiptSchema]) },
          errors: unknownCid,
        },
        config: { access: 'receipts:read' },
      },
      async ({ params: { id }, principal: { account } }, reply) => {
        if (!id.startsWith('req_')) {
          const cid = checkedCid(id, 'id')
          const own = await ofAccounts.ofAccount(cid, account)
          const view = own ?? (await receipts.find(cid, { signal: clientSignal(reply) }))
          return sendReceipt(view, verifying, reply)
        }
        const view = await ofAccounts.ofRequest(id, account)
        // Who asks for another's request learns no more than who asks for one that never was.
        if (view === undefined || !hasRouting(view)) throw notFound()
        reply.header('cache-control', 'no-store')
        return routingReceiptJson(id, view, verifying)
      },
    )
  }
}

const listOrEvents = {
  description: 'The newest receipts.',
  content: {
    'application/json': { schema: receiptListSchema },
    'text/event-stream': { schema: receiptLiteSchema },
  },
}

function sendReceipt(
  view: ReceiptView | undefined,
  verifying: Verifying,
  reply: FastifyReply,
): ReceiptJson {
  if (view === undefined) throw notFound()
  reply.header('cache-control', 'no-store')
  return receiptJson(view, verifying)
}

const notFound = () =>
  new PeerError(
    'receipt_not_found',
    'No peer that could be asked has this receipt. If it is new, ask again in a moment.',
  )

function wantsEvents({ headers }: FastifyRequest): boolean {
  return headers.accept?.toLowerCase().includes('text/event-stream') === true
}
