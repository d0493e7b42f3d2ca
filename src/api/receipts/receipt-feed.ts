import type { FastifyReply } from 'fastify'
import { Channel } from '../../base/channel.ts'
import type { Clock } from '../../base/clock.ts'
import { BusyError } from '../../base/errors.ts'
import type { Receipts } from '../../receipts/view.ts'
import { clientSignal } from '../client-signal.ts'
import { defaultSse, type SseOptions, SseWriter } from '../sse.ts'
import { receiptLiteJson } from './receipt-json.ts'
import { isWanted, type Wanted } from './receipt-list.ts'
import type { ReceiptLiteJson } from './receipt-schema.ts'

export interface FeedOptions extends SseOptions {
  /** Anybody may listen, without a key and for as long as they like: each takes a connection. */
  listenersMax: number
  /** Receipts that a listener may be behind before it is let go; it finds them in the list. */
  behindMax: number
}

export const defaultFeed: FeedOptions = { ...defaultSse, listenersMax: 64, behindMax: 256 }

/** New receipts as they come, to everybody who listens. */
export class ReceiptFeed {
  readonly #receipts: Pick<Receipts, 'onReceipt'>
  readonly #clock: Clock
  readonly #options: FeedOptions
  #listeners = 0

  constructor(
    { receipts, clock }: { receipts: Pick<Receipts, 'onReceipt'>; clock: Clock },
    options: FeedOptions = defaultFeed,
  ) {
    this.#receipts = receipts
    this.#clock = clock
    this.#options = options
  }

  /** Resolves when the listener has left, was let go, or `closing` aborts. */
  async follow(wanted: Wanted, reply: FastifyReply, closing: AbortSignal): Promise<void> {
    const { listenersMax, behindMax } = this.#options
    if (this.#listeners >= listenersMax) {
      throw new BusyError(`${listenersMax} others listen already. Ask for the list instead.`, 5000)
    }
    this.#listeners++
    const events = new Channel<ReceiptLiteJson>(behindMax)
    const end = () => events.close()
    const stop = this.#receipts.onReceipt((view) => {
      if (!isWanted(view, wanted)) return
      if (events.size < behindMax) events.push(receiptLiteJson(view))
      else end()
    })
    const over = AbortSignal.any([closing, clientSignal(reply)])
    over.addEventListener('abort', end)
    if (over.aborted) end()
    const writer = new SseWriter({ clock: this.#clock, reply }, this.#options)
    try {
      writer.open()
      for await (const event of events) {
        writer.send(event)
        if (writer.full) await writer.drained()
      }
    } finally {
      this.#listeners--
      stop()
      over.removeEventListener('abort', end)
      writer.close()
    }
  }
}
