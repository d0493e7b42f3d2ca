import { type Next, piecesOf } from '../answer-body.ts'
import { type Call, callOf } from './call.ts'
import { Exchange } from './exchange.ts'
import type { CallOptions, Operation, Setting } from './operation.ts'

type Make<S> = (exchange: Exchange, response: Response) => S

/** Asks a peer, for all resources of a client. */
export class Transport {
  readonly #setting: Setting

  constructor(setting: Setting) {
    this.#setting = setting
  }

  /** An answer that is one JSON object. */
  json<T>(operation: Operation, options: CallOptions = {}): Call<T> {
    return this.#read(operation, options, objectIn<T>)
  }

  /** An answer that is text: JSON lines, for one. */
  text(operation: Operation, options: CallOptions = {}): Call<string> {
    return this.#read(operation, options, (text) => text)
  }

  /** An answer that is read while it comes, by what `make` makes of it. */
  open<S>(operation: Operation, options: CallOptions, make: Make<S>): Call<S> {
    const exchange = new Exchange(this.#setting, { ...operation, streams: true }, options)
    return callOf(exchange.run(async (response) => ({ data: make(exchange, response), response })))
  }

  #read<T>(
    operation: Operation,
    options: CallOptions,
    parse: (text: string, exchange: Exchange) => T,
  ): Call<T> {
    const exchange = new Exchange(this.#setting, operation, options)
    return callOf(
      exchange.run(async (response, next) => {
        const text = await textOf(response, exchange, next)
        return { data: parse(text, exchange), response }
      }),
    )
  }
}

function objectIn<T>(text: string, exchange: Exchange): T {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {}
  if (typeof value === 'object' && value !== null) return value as T
  throw exchange.failed('malformed', 'The answer is no JSON object: is this a peer?')
}

/** All of a body, if it is not too much. What breaks off has been charged: it is not asked for again. */
async function textOf({ body }: Response, exchange: Exchange, next: Next): Promise<string> {
  if (body === null) return ''
  const { answerBytesMax } = exchange.setting
  const utf8 = new TextDecoder()
  const pieces = piecesOf(body)
  const texts: string[] = []
  let bytes = 0
  try {
    for (;;) {
      const { value, done } = await next(() => pieces.next())
      if (done) break
      const piece = value as Uint8Array
      bytes += piece.length
      if (bytes > answerBytesMax) {
        throw exchange.failed(
          'answer_too_large',
          `The answer has more than ${answerBytesMax} bytes.`,
        )
      }
      texts.push(utf8.decode(piece, { stream: true }))
    }
    return texts.join('') + utf8.decode()
  } finally {
    pieces.return().catch(() => {})
  }
}
