import { PeerError } from '../base/errors.ts'
import { malformed } from '../wire/malformed.ts'
import { readSaidError } from './said-error.ts'

/** Bytes of a stream, or events that somebody parsed. */
export type AnswerBody = ReadableStream<Uint8Array> | AsyncIterable<Uint8Array | object>

/** What `fetch` answers, whoever's it is. */
export interface ResponseLike {
  readonly ok: boolean
  readonly status: number
  readonly headers: { get(name: string): string | null }
  readonly body: AnswerBody | null
}

export interface Pieces {
  next(): Promise<IteratorResult<unknown, unknown>>
  /** Nothing more is wanted. */
  return(): Promise<unknown>
}

/** Waits for one step, not for ever. */
export type Next = <T>(step: () => Promise<T>) => Promise<T>

/** Of an error's body, more is not read. */
const ERROR_BYTES_MAX = 64 * 1024

/** What is in an answer, as it comes; throws what the peer says where it is no stream of events. */
export async function bodyOf(source: ResponseLike | AnswerBody, next: Next): Promise<Pieces> {
  if (!isResponse(source)) return piecesOf(source)
  const { ok, status, headers, body } = source
  if (body === null) throw malformed('answer', `has status ${status}, and nothing in it`)
  const pieces = piecesOf(body)
  if (ok && headers.get('content-type')?.startsWith('text/event-stream') !== false) return pieces
  try {
    throw ok ? notAStream() : refusal(status, await errorText(pieces, next))
  } finally {
    pieces.return().catch(() => {})
  }
}

const isResponse = (source: object): source is ResponseLike => 'ok' in source && 'headers' in source

/** By its reader, where it has one: a browser may iterate no other way, and none leaves a read that hangs. */
export function piecesOf(body: AnswerBody): Pieces {
  if ('getReader' in body) {
    const reader = body.getReader()
    return {
      next: () => reader.read() as Promise<IteratorResult<unknown, unknown>>,
      return: () => reader.cancel(),
    }
  }
  const iterator = body[Symbol.asyncIterator]()
  return {
    next: () => iterator.next(),
    return: async () => iterator.return?.(),
  }
}

const notAStream = () =>
  malformed('answer', 'is no stream of events: ask with `"stream": true` and `"stream_mode": "v8"`')

export async function errorText(pieces: Pieces, next: Next): Promise<string> {
  const utf8 = new TextDecoder()
  let text = ''
  while (text.length < ERROR_BYTES_MAX) {
    const { value, done } = await next(() => pieces.next())
    if (done || !(value instanceof Uint8Array)) break
    text += utf8.decode(value.subarray(0, ERROR_BYTES_MAX), { stream: true })
  }
  return text
}

/** In the words of the peer, where it is one. */
function refusal(status: number, text: string): PeerError {
  const { message, code, param } = readSaidError(text)
  const said = message ?? `The peer answered with status ${status}.`
  return new PeerError(code ?? `http_${status}`, said, param === undefined ? {} : { param })
}
