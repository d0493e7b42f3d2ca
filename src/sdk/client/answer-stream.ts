import { unlessAborted, within } from '../../base/deadline.ts'
import { type AnswerBody, type Next, piecesOf } from '../answer-body.ts'
import { headOf } from './call.ts'
import type { Exchange } from './exchange.ts'
import { PinaivuError } from './pinaivu-error.ts'

/** Bytes of an answer, one piece after the other, and who to ask for errors. */
export interface Source {
  body: AnswerBody
  exchange: Exchange
  /** Waits for one step. */
  next: Next
}

export type Reading<T> = (source: Source) => AsyncIterable<T>

/**
 * An answer while it comes. It is read once; whoever leaves the loop, or calls `abort`, ends it at
 * the peer too. Where it breaks off, the loop throws: what came until then is not the whole.
 */
export class AnswerStream<T> implements AsyncIterable<T> {
  /** Its `abort` ends the answer; the loop then ends without an error. */
  readonly controller: AbortController
  readonly status: number
  readonly headers: Headers
  readonly requestId: string | undefined
  readonly #exchange: Exchange
  readonly #response: Response
  readonly #read: Reading<T>
  #isTaken = false

  constructor(exchange: Exchange, response: Response, read: Reading<T>) {
    const { status, headers, requestId } = headOf(response)
    this.controller = exchange.controller
    this.status = status
    this.headers = headers
    this.requestId = requestId
    this.#exchange = exchange
    this.#response = response
    this.#read = read
  }

  abort(): void {
    this.controller.abort()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    const exchange = this.#exchange
    const { body } = this.#response
    if (this.#isTaken) throw new PinaivuError('stream_taken', 'A stream is read once.')
    this.#isTaken = true
    try {
      if (body === null) throw cutOff(exchange)
      yield* this.#read({ body, exchange, next: patient(exchange) })
    } catch (error) {
      if (!this.controller.signal.aborted) throw exchange.fault(error)
    } finally {
      this.controller.abort()
    }
  }
}

/** For `Transport.open`. */
export const streamOf =
  <T>(read: Reading<T>) =>
  (exchange: Exchange, response: Response): AnswerStream<T> =>
    new AnswerStream(exchange, response, read)

/** Not longer than a peer that lives says nothing: it tells so every 10 s. */
function patient({ setting: { clock, quietMs }, signal }: Exchange): Next {
  const wait = { ms: quietMs, what: 'Waiting for more of the answer', signal }
  return (step) => within(clock, wait, (either) => unlessAborted(step(), either))
}

export const cutOff = (exchange: Exchange): PinaivuError =>
  exchange.failed('cut_off', 'The answer broke off: what came is not the whole. Ask again.')

/** The pieces of a body, which is let go of at the end of the loop. */
export async function* bytesIn({ body, next }: Source): AsyncGenerator<Uint8Array> {
  const pieces = piecesOf(body)
  try {
    for (;;) {
      const { value, done } = await next(() => pieces.next())
      if (done) return
      yield value as Uint8Array
    }
  } finally {
    pieces.return().catch(() => {})
  }
}
