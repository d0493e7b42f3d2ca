import { type AnswerStream, streamOf } from '../client/answer-stream.ts'
import type { Call } from '../client/call.ts'
import { feedEvents } from '../client/events.ts'
import { type CallOptions, path } from '../client/operation.ts'
import { type Page, type PageQuery, type Pages, pagesOf } from '../client/page.ts'
import type { Transport } from '../client/transport.ts'
import type { Receipt, ReceiptLine, ReceiptLineage, RoutingReceipt } from '../types/receipts.ts'
import { type ReceiptReport, type VerifyOptions, verifyReceipt } from '../verify-receipt.ts'

/** Which receipts are wanted. */
export interface ReceiptFilter {
  model?: string | undefined
  /** The peer that signed. */
  node?: string | undefined
}

const recent = '/v8/receipts/recent'

/** What peers signed of their work. Anybody may see it, without a key. */
export class Receipts {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /** By any spelling of its CID, or by the entry of a log that tells of it. */
  get(cid: string, options?: CallOptions): Call<Receipt> {
    return this.#transport.json(
      { method: 'GET', path: path`/v8/receipts/${cid}`, open: true },
      options,
    )
  }

  /** The newest ones. */
  recent(
    query: ReceiptFilter & Pick<PageQuery, 'limit' | 'after'> = {},
    options?: CallOptions,
  ): Pages<ReceiptLine> {
    return pagesOf(query, ({ after }) =>
      this.#transport.json<Page<ReceiptLine>>(
        { method: 'GET', path: recent, query: { ...query, after }, open: true },
        options,
      ),
    )
  }

  /** Each as it comes. Ends when the peer stops, or when its listener is far behind. */
  follow(query: ReceiptFilter = {}, options: CallOptions = {}): Call<AnswerStream<ReceiptLine>> {
    const headers = { accept: 'text/event-stream' }
    return this.#transport.open(
      { method: 'GET', path: recent, query: { ...query }, headers, open: true },
      options,
      streamOf<ReceiptLine>(feedEvents),
    )
  }

  /** How an answer came about: every step that was signed. */
  lineage(cid: string, options?: CallOptions): Call<ReceiptLineage> {
    return this.#transport.json(
      { method: 'GET', path: path`/v8/receipts/${cid}/lineage`, open: true },
      options,
    )
  }

  /** What this peer signed of a request of the own account: `req_…`, or a CID. */
  ofRequest(id: `req_${string}`, options?: CallOptions): Call<RoutingReceipt>
  ofRequest(id: string, options?: CallOptions): Call<RoutingReceipt | Receipt>
  ofRequest(id: string, options?: CallOptions): Call<RoutingReceipt | Receipt> {
    return this.#transport.json({ method: 'GET', path: path`/v1/receipts/${id}` }, options)
  }

  /** Asks for a receipt, and checks here that it is this one and holds. The peer is not believed. */
  async verify(
    cid: string,
    { answer, nonce, ...options }: Omit<VerifyOptions, 'cid'> & CallOptions = {},
  ): Promise<ReceiptReport> {
    const what = {
      cid,
      ...(answer !== undefined && { answer }),
      ...(nonce !== undefined && { nonce }),
    }
    return verifyReceipt(await this.get(cid, options), what)
  }
}
