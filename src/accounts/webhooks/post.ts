import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import type { Clock } from '../../base/clock.ts'
import { unlessAborted, within } from '../../base/deadline.ts'
import { DeadlineError, PeerError } from '../../base/errors.ts'
import {
  type Address,
  addressesOf,
  checkUrl,
  hostOf,
  pinned,
  type Resolve,
  UnsafeUrlError,
  type UrlRules,
} from '../../base/public-url.ts'
import { askServers, resolveAny } from '../../base/resolve.ts'

export interface PosterComponents {
  clock: Clock
  /** Default: the name servers; with `allowPrivate` whatever the system knows. */
  resolve?: Resolve
  /** Certificate authorities (PEM) in place of those that Node trusts: for tests, and no setting. */
  ca?: string
}

export const defaultPoster = {
  allowPrivate: false,
  ports: [443, 8443] as readonly number[],
  /** From the first question to the name server to the head of the answer. */
  timeoutMs: 10_000,
  /** An answer's head; one status line would do. */
  headBytesMax: 16 * 1024,
  /** How long whoever gives a URL waits for its name to be looked up. */
  checkMs: 2_000,
  /** Nobody reads an answer's body; this much and so long is waited for, so that it ends in order. */
  bodyBytesMax: 16 * 1024,
  bodyMs: 1_000,
}

export type PosterOptions = typeof defaultPoster

export interface PostRequest {
  url: string
  headers: Readonly<Record<string, string>>
  body: string
}

/** How far it came. */
export type PostFault =
  | 'url_rejected'
  | 'dns_failed'
  | 'connection_failed'
  | 'tls_failed'
  | 'bad_answer'
  | 'timeout'

export type Posted = { ms: number } & ({ status: number } | { fault: PostFault })

/** Rejects only with the signal's reason. */
export type Post = (request: PostRequest, signal: AbortSignal) => Promise<Posted>

/**
 * Posts to URLs that strangers gave. The name is resolved here, all its addresses are checked, and
 * the connection goes to these: what the name leads to a moment later does not matter. TLS still
 * proves the name. No redirect is followed, no connection is used twice.
 */
export class Poster {
  readonly #components: PosterComponents
  readonly #options: PosterOptions
  readonly #rules: UrlRules & { resolve: Resolve }

  constructor(components: PosterComponents, options: Partial<PosterOptions> = {}) {
    this.#components = components
    this.#options = { ...defaultPoster, ...options }
    const { allowPrivate, ports } = this.#options
    const resolve = components.resolve ?? (allowPrivate ? resolveAny : askServers())
    this.#rules = { allowPrivate, ports, resolve }
  }

  /** Throws `webhook_url_rejected`. A name that cannot be asked for now passes: it is asked each time. */
  async check(text: string, signal: AbortSignal): Promise<void> {
    const limit = { ms: this.#options.checkMs, what: 'The name look-up', signal }
    try {
      const url = checkUrl(text, this.#rules)
      await within(this.#components.clock, limit, (inner) =>
        unlessAborted(addressesOf(url, this.#rules, inner), inner),
      )
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof UnsafeUrlError) throw rejected(error)
    }
  }

  readonly post: Post = async (request, signal) => {
    const { clock, ca } = this.#components
    const began = clock.elapsed()
    const step: Step = { fault: 'url_rejected' }
    const told = () => ({ ms: Math.round(clock.elapsed() - began) })
    try {
      const limit = { ms: this.#options.timeoutMs, what: 'The delivery', signal }
      const status = await within(clock, limit, async (inner) => {
        const url = checkUrl(request.url, this.#rules)
        step.fault = 'dns_failed'
        const addresses = await unlessAborted(addressesOf(url, this.#rules, inner), inner)
        step.fault = 'connection_failed'
        const asking = { ...request, url, addresses, ca, clock, signal: inner }
        return ask(asking, this.#options, step)
      })
      return { ...told(), status }
    } catch (error) {
      signal.throwIfAborted()
      return { ...told(), fault: faultOf(error, step) }
    }
  }
}

const rejected = ({ message }: UnsafeUrlError): PeerError =>
  new PeerError('webhook_url_rejected', `The webhook's URL ${message}.`, { param: 'url' })

interface Step {
  /** What it is if it goes no further. */
  fault: PostFault
}

function faultOf(error: unknown, step: Step): PostFault {
  if (error instanceof UnsafeUrlError) return 'url_rejected'
  return error instanceof DeadlineError ? 'timeout' : step.fault
}

interface Asking extends Omit<PostRequest, 'url'> {
  url: URL
  addresses: readonly Address[]
  ca: string | undefined
  clock: Clock
  signal: AbortSignal
}

/** The status of the answer. */
function ask(asking: Asking, options: PosterOptions, step: Step): Promise<number> {
  const { url, addresses, headers, body, ca, clock, signal } = asking
  const secure = url.protocol === 'https:'
  return new Promise((resolve, reject) => {
    const request = (secure ? https : http).request({
      method: 'POST',
      host: hostOf(url),
      path: url.pathname + url.search,
      headers: { ...headers, 'content-length': Buffer.byteLength(body) },
      // One of its own: no proxy, no connection that an earlier check allowed.
      agent: false,
      lookup: pinned(addresses),
      maxHeaderSize: options.headBytesMax,
      signal,
      ...(url.port === '' ? {} : { port: url.port }),
      // Said, for an environment variable can turn it off.
      ...(secure ? { rejectUnauthorized: true } : {}),
      ...(ca === undefined ? {} : { ca }),
    })
    request.once('socket', (socket) => {
      socket.once('connect', () => {
        step.fault = secure ? 'tls_failed' : 'bad_answer'
      })
      socket.once('secureConnect', () => {
        step.fault = 'bad_answer'
      })
    })
    let answered = false
    request.once('response', (answer) => {
      const { statusCode = 0 } = answer
      answered = true
      ended(answer, clock, options, () => resolve(statusCode))
    })
    // What goes wrong after the status was said changes nothing.
    const failed = (error: Error) => answered || reject(signal.aborted ? signal.reason : error)
    request.on('error', failed)
    request.once('close', () => failed(new Error('closed without an answer')))
    request.end(body)
  })
}

function ended(
  answer: IncomingMessage,
  clock: Clock,
  { bodyBytesMax, bodyMs }: PosterOptions,
  done: () => void,
): void {
  let left = bodyBytesMax
  const cancel = clock.after(bodyMs, () => answer.destroy())
  answer.on('data', (part: Buffer) => {
    left -= part.length
    if (left < 0) answer.destroy()
  })
  answer.on('error', () => {})
  answer.once('close', () => {
    cancel()
    done()
  })
}
