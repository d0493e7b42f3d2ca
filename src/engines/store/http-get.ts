import type { Clock } from '../../base/clock.ts'
import { messageOf, PeerError } from '../../base/errors.ts'
import { isLoopback } from '../../base/loopback.ts'

/** Who the token is for: it is sent there and nowhere else. */
export interface Credential {
  /** Scheme, host and port. */
  origin: string
  token: string | undefined
}

export interface HttpGetOptions {
  /** For the head of an answer. */
  answerMs: number
  /** Between two pieces of a body. */
  silenceMs: number
}

export const defaultHttpGet: HttpGetOptions = { answerMs: 30_000, silenceMs: 30_000 }

/** The hub sends to its CDN once; a renamed repo is one more. */
const HOPS_MAX = 5
/** Answers that are read as a whole: lists of files. */
const JSON_BYTES_MAX = 16 * 1024 * 1024
/** Of silences: one that drips is not waited for. */
const JSON_SILENCES_MAX = 4

export interface Answer {
  status: number
  headers: Headers
  /** Of the answer that sent us on, where the hub says what the file is. */
  first: Headers
  /** Where it came from in the end. */
  url: URL
  /** In pieces; a DeadlineError-like failure when none comes for too long. */
  body(): AsyncIterable<Uint8Array>
  /** Lets go of what was not read. */
  drop(): void
}

/** Trouble on the way, which may be over a moment later. */
export class ConnectionError extends PeerError {
  readonly retryAfterMs: number | undefined

  constructor(message: string, retryAfterMs?: number, cause?: unknown) {
    super('download_interrupted', message, { cause })
    this.retryAfterMs = retryAfterMs
  }
}

/** GET over HTTP, with every wait bounded, and redirects followed by hand. */
export class HttpGet {
  readonly #clock: Clock
  readonly #credential: Credential
  readonly #options: HttpGetOptions

  constructor(clock: Clock, credential: Credential, options: HttpGetOptions = defaultHttpGet) {
    this.#clock = clock
    this.#credential = credential
    this.#options = options
  }

  async get(
    address: string,
    { headers = {}, signal }: { headers?: Record<string, string>; signal: AbortSignal },
  ): Promise<Answer> {
    let url = new URL(address)
    let first: Headers | undefined
    for (let hop = 0; hop <= HOPS_MAX; hop++) {
      const answer = await this.#ask(url, headers, signal)
      first ??= answer.headers
      const to = answer.headers.get('location')
      if (answer.status < 300 || answer.status >= 400 || to === null) return { ...answer, first }
      answer.drop()
      url = nextHop(url, to)
    }
    throw new PeerError('download_failed', `${hostOf(address)} sends from one address to the next.`)
  }

  /** A small answer as a whole. */
  async text(answer: Answer): Promise<string> {
    const pieces: Uint8Array[] = []
    let size = 0
    const until = this.#clock.elapsed() + JSON_SILENCES_MAX * this.#options.silenceMs
    for await (const piece of answer.body()) {
      size += piece.length
      if (size > JSON_BYTES_MAX) {
        const message = `The list of ${answer.url.host} is too long to be one of files. Look at its page.`
        throw new PeerError('download_failed', message)
      }
      pieces.push(piece)
      if (this.#clock.elapsed() > until) throw slow(answer.url)
    }
    return Buffer.concat(pieces).toString('utf8')
  }

  async #ask(url: URL, headers: Record<string, string>, signal: AbortSignal) {
    const { origin, token } = this.#credential
    const isForHub = token !== undefined && url.origin === origin
    const end = new AbortController()
    const onAbort = () => end.abort(signal.reason)
    signal.throwIfAborted()
    signal.addEventListener('abort', onAbort, { once: true })
    const silence = new Silence(this.#clock, () => end.abort(silent(url)))
    const drop = () => {
      silence.end()
      signal.removeEventListener('abort', onAbort)
      end.abort()
    }
    silence.within(this.#options.answerMs)
    try {
      const response = await fetch(url, {
        redirect: 'manual',
        signal: end.signal,
        headers: {
          'user-agent': 'pinaivu-peer',
          // What is resumed must be counted in the bytes of the file itself.
          'accept-encoding': 'identity',
          ...headers,
          ...(isForHub ? { authorization: `Bearer ${token}` } : {}),
        },
      })
      silence.end()
      const body = () => this.#pieces(response, url, { end: end.signal, silence, drop })
      return { status: response.status, headers: response.headers, url, body, drop }
    } catch (error) {
      const why = failure(error, end.signal, url)
      drop()
      throw why
    }
  }

  async *#pieces(
    response: Response,
    url: URL,
    { end, silence, drop }: { end: AbortSignal; silence: Silence; drop: () => void },
  ): AsyncGenerator<Uint8Array> {
    if (response.body === null) return
    try {
      silence.within(this.#options.silenceMs)
      for await (const piece of response.body) {
        silence.end()
        yield piece
        silence.within(this.#options.silenceMs)
      }
    } catch (error) {
      throw failure(error, end, url)
    } finally {
      drop()
    }
  }
}

/** A timer that is set anew with each sign of life. */
class Silence {
  readonly #clock: Clock
  readonly #onSilence: () => void
  #cancel: (() => void) | undefined

  constructor(clock: Clock, onSilence: () => void) {
    this.#clock = clock
    this.#onSilence = onSilence
  }

  within(ms: number): void {
    this.end()
    this.#cancel = this.#clock.after(ms, this.#onSilence)
  }

  end(): void {
    this.#cancel?.()
    this.#cancel = undefined
  }
}

function nextHop(from: URL, to: string): URL {
  if (!URL.canParse(to, from)) {
    throw new PeerError('download_failed', `${from.host} sends on to what is no address.`)
  }
  const next = new URL(to, from)
  const [isHere, wasHere] = [next, from].map((url) =>
    isLoopback(url.hostname.replace(/^\[|\]$/g, '')),
  )
  // What listens on this machine is nothing that somebody elsewhere may send it to.
  const isSafe = isHere === true ? wasHere : next.protocol === 'https:'
  if (/^https?:$/.test(next.protocol) && isSafe) return next
  throw new PeerError(
    'download_failed',
    `${from.host} sends on to ${next.protocol}//${next.host}, which is ` +
      `${isHere ? 'this machine' : 'not encrypted'}. Take the file from elsewhere.`,
  )
}

const slow = (url: URL): ConnectionError =>
  new ConnectionError(`${url.host} takes too long for a short answer.`)

function silent(url: URL): ConnectionError {
  return new ConnectionError(`${url.host} said nothing for too long.`)
}

/** What fetch throws says nothing; its cause does. */
function failure(error: unknown, end: AbortSignal, url: URL): unknown {
  if (end.aborted && end.reason !== undefined) return end.reason
  if (error instanceof PeerError) return error
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
  const code = (cause as { code?: unknown }).code
  const why = typeof code === 'string' ? code : messageOf(cause)
  return new ConnectionError(`The connection to ${url.host} failed (${why}).`, undefined, error)
}

const hostOf = (address: string): string => new URL(address).host
