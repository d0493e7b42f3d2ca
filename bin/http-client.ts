import { X509Certificate } from 'node:crypto'
import { type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { messageOf } from '../src/index.ts'
import { CommandError } from './io.ts'

export interface ClientOptions {
  /** Base address, as a peer prints it. */
  url: string
  key?: string | undefined
  /** PEM of the certificate the endpoint must show; it may be self-signed or for another name. */
  certificate?: string | undefined
}

export interface AskOptions {
  body?: unknown
  /** Asks without the key. */
  open?: boolean
  /** For the whole answer; without it, as long as most take at most. */
  withinMs?: number
  signal: AbortSignal
}

const answerBytesMax = 16 * 1024 * 1024 // a list of keys or models is far smaller
const eventCharsMax = 1024 * 1024
const answerMsMax = 30_000

/** The endpoint gave no answer at all: nothing runs there, or not what we look for. */
export class UnreachableError extends CommandError {}

/** The connection broke while an answer came. */
export class LostError extends CommandError {}

/** The endpoint said no. */
export class RefusedError extends CommandError {
  readonly status: number
  /** Of the API's errors, where it named one. */
  readonly code: string | undefined

  constructor(status: number, message: string, code?: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

/** A peer that ends says so to whoever asks it. */
export const isClosing = (error: unknown): boolean =>
  error instanceof RefusedError && error.code === 'shutting_down'

/** Whether a failure says that the peer is not there, or will not be. */
export const isGone = (error: unknown): boolean =>
  error instanceof UnreachableError || error instanceof LostError || isClosing(error)

/** The HTTP endpoint of a peer. Not `fetch`: that cannot be told to trust one certificate. */
export class HttpClient {
  readonly url: string
  readonly #options: ClientOptions

  constructor(options: ClientOptions) {
    this.url = options.url
    this.#options = options
  }

  /** A JSON answer, also of a status in `also` that would otherwise be thrown. */
  async json(
    method: 'GET' | 'POST' | 'DELETE',
    path: string,
    { signal, body, open, withinMs }: AskOptions,
    also: readonly number[] = [],
  ): Promise<unknown> {
    const { status, text } = await this.#whole(method, path, {
      signal,
      body,
      open: open === true,
      withinMs: withinMs ?? answerMsMax,
    })
    if (status >= 300 && !also.includes(status)) throw refusal(status, text)
    try {
      return JSON.parse(text)
    } catch (cause) {
      throw new CommandError(`${this.url}${path} did not answer with JSON. Is it a peer?`, {
        cause,
      })
    }
  }

  /** The data of each server-sent event, parsed; ends at `[DONE]`. */
  async *events(path: string, options: AskOptions): AsyncGenerator<unknown> {
    const answer = await this.#stream(path, options)
    let pending = ''
    for await (const piece of piecesOf(answer.setEncoding('utf8'), options.signal)) {
      const lines = (pending + piece).split('\n')
      pending = lines.pop() ?? ''
      if (pending.length > eventCharsMax)
        throw new CommandError('The peer sent a line without end.')
      for (const line of lines) {
        if (!line.startsWith('data:')) continue
        const data = line.slice('data:'.length).trim()
        if (data === '[DONE]') return
        yield eventOf(data)
      }
    }
    throw new LostError('The connection to the peer ended in the middle of an answer.')
  }

  /** The bytes of an event stream, as they come. */
  async bytes(path: string, options: AskOptions): Promise<AsyncIterable<Uint8Array>> {
    return piecesOf(await this.#stream(path, options), options.signal)
  }

  async #stream(path: string, options: AskOptions): Promise<IncomingMessage> {
    const answer = await this.#send('POST', path, options)
    const status = answer.statusCode ?? 0
    if (status !== 200) throw refusal(status, await textOf(answer, options.signal))
    return answer
  }

  async #whole(
    method: string,
    path: string,
    { signal, withinMs, ...ask }: AskOptions & { withinMs: number },
  ) {
    const late = AbortSignal.timeout(withinMs)
    try {
      const limited = AbortSignal.any([signal, late])
      const answer = await this.#send(method, path, { ...ask, signal: limited })
      return { status: answer.statusCode ?? 0, text: await textOf(answer, limited) }
    } catch (cause) {
      if (signal.aborted || !late.aborted) throw cause
      const message = `${this.url} gave no answer within ${withinMs / 1000} s.`
      throw new UnreachableError(message, { cause })
    }
  }

  #send(
    method: string,
    path: string,
    { body, signal, open }: AskOptions,
  ): Promise<IncomingMessage> {
    const { url, key, certificate } = this.#options
    const target = new URL(path, url)
    const text = body === undefined ? undefined : JSON.stringify(body)
    const headers = {
      ...(key === undefined || open === true ? {} : { authorization: `Bearer ${key}` }),
      ...(text === undefined ? {} : { 'content-type': 'application/json' }),
    }
    return new Promise((resolve, reject) => {
      const options = { method, headers, signal, agent: false as const }
      const request =
        target.protocol === 'https:'
          ? requestHttps(target, { ...options, ...trustOf(certificate) })
          : requestHttp(target, options)
      request.once('response', resolve)
      request.once('error', (cause) => {
        if (signal.aborted) reject(cause)
        else {
          const message = `${url} does not answer: ${messageOf(cause)}`
          reject(new UnreachableError(message, { cause }))
        }
      })
      request.end(text)
    })
  }
}

/** Trusts exactly the certificate that the peer serves, whoever issued it and whatever its name. */
function trustOf(certificate: string | undefined) {
  if (certificate === undefined) return {}
  const expected = new X509Certificate(certificate).raw
  return {
    ca: certificate,
    allowPartialTrustChain: true,
    checkServerIdentity: (_host: string, shown: { raw: Buffer }) =>
      shown.raw.equals(expected) ? undefined : new Error('it shows another certificate'),
  }
}

function eventOf(data: string): unknown {
  try {
    return JSON.parse(data)
  } catch (cause) {
    throw new CommandError('The peer sent an event that is not JSON.', { cause })
  }
}

/** Bytes, or text where the answer has an encoding. */
async function* piecesOf<P>(answer: AsyncIterable<P>, signal: AbortSignal): AsyncGenerator<P> {
  try {
    yield* answer
  } catch (cause) {
    if (signal.aborted) throw cause
    throw new LostError(`The connection to the peer was lost: ${messageOf(cause)}`, { cause })
  }
}

async function textOf(answer: IncomingMessage, signal: AbortSignal): Promise<string> {
  let text = ''
  for await (const piece of piecesOf(answer.setEncoding('utf8'), signal)) {
    text += piece
    if (text.length > answerBytesMax) throw new CommandError('The answer is too long.')
  }
  return text
}

function refusal(status: number, text: string): RefusedError {
  const { message, code } = errorOf(text)
  return new RefusedError(
    status,
    typeof message === 'string' ? message : `The peer answered with status ${status}.`,
    typeof code === 'string' ? code : undefined,
  )
}

function errorOf(text: string): { message?: unknown; code?: unknown } {
  try {
    return (JSON.parse(text) as { error?: object } | null)?.error ?? {}
  } catch {
    return {}
  }
}
