import { receiptRoutes, routingReceiptRoutes } from '../../src/api/receipts/receipts.ts'
import { mounted } from '../../src/api/route.ts'
import { systemClock } from '../../src/base/clock.ts'
import { createVerifyNative } from '../../src/identity/verify-native.ts'
import type { ReceiptView } from '../../src/receipts/view.ts'
import { network } from '../wire/log-examples.ts'
import { startServer } from './harness.ts'

export const verify = createVerifyNative()
const verifying = { network, verify }

/** A server that knows these, the newest first. */
export async function startReceipts(
  views: ReceiptView[] = [],
  ofRequest: Record<string, ReceiptView> = {},
  /** Of the whole list, where its end is not looked for. */
  { stopsAt }: { stopsAt?: string } = {},
) {
  const asked: string[] = []
  const listeners = new Set<(view: ReceiptView) => void>()
  const spellings = ({ cid, multiformatsCid, execution, routing }: ReceiptView) => [
    ...[cid, multiformatsCid],
    ...[execution?.cid, routing?.cid],
  ]
  const receipts = {
    async find(cid: string) {
      asked.push(cid)
      return views.find((view) => spellings(view).includes(cid))
    },
    async recent({ limit, after }: { limit: number; after?: string }) {
      if (after !== undefined && after === stopsAt) return { views: [] }
      const from = after === undefined ? 0 : views.findIndex(({ cid }) => cid === after) + 1
      const page = { views: views.slice(from, from + limit) }
      return stopsAt === undefined ? page : { ...page, stoppedAt: stopsAt }
    },
    onReceipt(listener: (view: ReceiptView) => void) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
  const own = async (what: string, account: string) => ofRequest[`${account} ${what}`]
  const ofAccounts = { ofRequest: own, ofAccount: own }
  const components = { receipts, ofAccounts, verifying, clock: systemClock }
  const { url, server } = await startServer([
    receiptRoutes(components),
    mounted(routingReceiptRoutes(components), '/v1'),
  ])
  const get = async <T = Record<string, unknown>>(path: string, headers = {}): Promise<T> =>
    (await (await fetch(`${url}${path}`, { headers })).json()) as T
  const tell = (view: ReceiptView) => {
    for (const listener of listeners) listener(view)
  }
  return { url, server, get, asked, listeners, tell }
}
