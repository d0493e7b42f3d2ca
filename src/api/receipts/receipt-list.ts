import { InvalidError } from '../../base/errors.ts'
import { readPlace } from '../../receipts/place-text.ts'
import type { Receipts, ReceiptView } from '../../receipts/view.ts'
import { checkedCid } from './checked-cid.ts'
import { receiptLiteJson } from './receipt-json.ts'
import type { ReceiptListJson, ReceiptLiteJson } from './receipt-schema.ts'

export const defaultLimit = 32
export const limitMax = 100
/** Receipts that one request may have looked at, in search of those of a model or node. */
const SCANNED_MAX = 400
/** Receipts that are read at a time. */
const PAGE = 50

export interface Wanted {
  model?: string
  node?: string
}

export const isWanted = (view: ReceiptView, { model, node }: Wanted): boolean =>
  (node === undefined || view.nodeId === node) &&
  (model === undefined || (view.execution ?? view.routing)?.body.modelName === model)

/**
 * One page. `last_id` is the last receipt that was looked at, wanted or not, or the place where the
 * looking for one was given up: `after` it the search goes on, also when it found nothing.
 */
export async function listReceipts(
  receipts: Pick<Receipts, 'recent'>,
  query: Wanted & { limit?: string; after?: string },
): Promise<ReceiptListJson> {
  const limit = toLimit(query.limit)
  let after = query.after === undefined ? undefined : checkedAfter(query.after)
  const data: ReceiptLiteJson[] = []
  let scanned = 0
  let hasMore: boolean | undefined
  while (hasMore === undefined) {
    const size = Math.min(limit + 1, PAGE)
    const page = await receipts.recent({ limit: size, ...(after !== undefined && { after }) })
    for (const view of page.views) {
      if (data.length === limit || scanned === SCANNED_MAX) {
        hasMore = true
        break
      }
      scanned++
      after = view.cid
      if (isWanted(view, query)) data.push(receiptLiteJson(view))
    }
    if (hasMore !== undefined || page.views.length >= size) continue
    hasMore = page.stoppedAt !== undefined
    after = page.stoppedAt ?? after
  }
  const last = scanned === 0 && !hasMore ? null : (after ?? null)
  return {
    object: 'list',
    data,
    has_more: hasMore,
    first_id: data[0]?.cid ?? null,
    last_id: last,
  }
}

/** The CID of a receipt, or the place of an entry where a search was given up. */
const checkedAfter = (text: string): string =>
  readPlace(text) === undefined ? checkedCid(text, 'after') : text

function toLimit(text: string | undefined): number {
  if (text === undefined) return defaultLimit
  const limit = /^\d{1,3}$/.test(text) ? Number(text) : 0
  if (limit >= 1 && limit <= limitMax) return limit
  throw new InvalidError('limit', `Invalid 'limit': expected a whole number from 1 to ${limitMax}.`)
}
