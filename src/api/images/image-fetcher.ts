import type { IncomingMessage } from 'node:http'
import https from 'node:https'
import type { Clock } from '../../base/clock.ts'
import { unlessAborted, within } from '../../base/deadline.ts'
import { BusyError, DeadlineError } from '../../base/errors.ts'
import {
  type Address,
  addressesOf,
  checkUrl,
  hostOf,
  pinned,
  type Resolve,
  UnsafeUrlError,
} from '../../base/public-url.ts'
import { askServers } from '../../base/resolve.ts'

export interface ImageFetcherComponents {
  clock: Clock
  /** Default: the name servers. */
  resolve?: Resolve
  /** Certificate authorities (PEM) in place of those that Node trusts: for tests, and no setting. */
  ca?: string
  /** Where to connect to instead of an address that was checked: likewise. */
  dial?: (address: Address) => Address
}

export const defaultImageFetcher = {
  ports: [443, 8443] as readonly number[],
  /** From the first question to the name server to the last byte, every redirect included. */
  timeoutMs: 10_000,
  /** A photograph of a good camera, as most are sent. */
  bytesMax: 8 * 1024 * 1024,
  headBytesMax: 16 * 1024,
  /** One to the place where the file really is, one more for a name that changed. */
  hopsMax: 3,
  /** For all requests together: each holds what it has until it is whole. */
  atOnceMax: 16,
  /** For one account: its slow ones do not keep all others out. */
  ofOneMax: 12,
}

export type ImageFetcherOptions = typeof defaultImageFetcher

/** Why there is no image at a URL; ends the sentence "The image …". */
export class ImageUrlError extends Error {}

/**
 * Gets what is at an https URL that a stranger gave. Of each hop the name is resolved here, all its
 * addresses are checked to be public, and the connection goes to these; none is used twice.
 */
export class ImageFetcher {
  readonly #components: ImageFetcherComponents
  readonly #options: ImageFetcherOptions
  readonly #resolve: Resolve
  #running = 0
  readonly #ofAccounts = new Map<string, number>()

  constructor(components: ImageFetcherComponents, options: Partial<ImageFetcherOptions> = {}) {
    this.#components = components
    this.#options = { ...defaultImageFetcher, ...options }
    this.#resolve = components.resolve ?? askServers()
  }

  /** Throws an ImageUrlError, a BusyError, or the signal's reason. */
  async fetch(text: string, signal: AbortSignal, account = ''): Promise<Buffer> {
    const { timeoutMs } = this.#options
    const leave = this.#enter(account)
    const limit = { ms: timeoutMs, what: 'The image', signal }
    try {
      return await within(this.#components.clock, limit, (ending) => this.#follow(text, ending))
    } catch (error) {
      signal.throwIfAborted()
      throw told(error, timeoutMs)
    } finally {
      leave()
    }
  }

  #enter(account: string): () => void {
    const { atOnceMax, ofOneMax } = this.#options
    const ofAccount = this.#ofAccounts.get(account) ?? 0
    if (this.#running >= atOnceMax || ofAccount >= ofOneMax) {
      throw new BusyError(
        'This peer fetches as many images as it can. Ask again, or send the file.',
      )
    }
    this.#running++
    this.#ofAccounts.set(account, ofAccount + 1)
    return () => {
      this.#running--
      const left = (this.#ofAccounts.get(account) ?? 1) - 1
      if (left === 0) this.#ofAccounts.delete(account)
      else this.#ofAccounts.set(account, left)
    }
  }

  async #follow(text: string, signal: AbortSignal): Promise<Buffer> {
    let at = text
    for (let hop = 0; hop <= this.#options.hopsMax; hop++) {
      const found = await this.#hop(at, signal).catch((error: unknown) => {
        // What an abort breaks says only that.
        signal.throwIfAborted()
        throw error
      })
      if (Buffer.isBuffer(found)) return found
      at = found
    }
    throw new ImageUrlError('is sent from one address to the next')
  }

  /** The bytes, or where they are said to be. */
  async #hop(text: string, signal: AbortSignal): Promise<Buffer | string> {
    const { ports } = this.#options
    const rules = { allowPrivate: false, ports, resolve: this.#resolve }
    const url = checkUrl(text, rules)
    const addresses = await unlessAborted(addressesOf(url, rules, signal), signal)
    const answer = await this.#ask(url, addresses, signal)
    try {
      const { statusCode: status = 0, headers } = answer
      if ([301, 302, 303, 307, 308].includes(status) && headers.location !== undefined) {
        return new URL(headers.location, url).href
      }
      if (status !== 200) throw new ImageUrlError(`is answered with status ${status}`)
      return await this.#bytes(answer)
    } finally {
      answer.destroy()
    }
  }

  #ask(url: URL, addresses: readonly Address[], signal: AbortSignal): Promise<IncomingMessage> {
    const { ca, dial = (address: Address) => address } = this.#components
    const { headBytesMax } = this.#options
    return new Promise((resolve, reject) => {
      const request = https.request({
        host: hostOf(url),
        path: url.pathname + url.search,
        headers: { accept: 'image/*', 'accept-encoding': 'identity', 'user-agent': 'pinaivu-peer' },
        agent: false,
        lookup: pinned(addresses.map(dial)),
        maxHeaderSize: headBytesMax,
        // Said, for an environment variable can turn it off.
        rejectUnauthorized: true,
        signal,
        ...(url.port === '' ? {} : { port: url.port }),
        ...(ca === undefined ? {} : { ca }),
      })
      request.once('response', resolve)
      request.on('error', reject)
      request.once('close', () => reject(new Error('closed without an answer')))
      request.end()
    })
  }

  /** What the head says of its length is looked at, and not believed. */
  async #bytes(answer: IncomingMessage): Promise<Buffer> {
    const { bytesMax } = this.#options
    const tooLarge = () => new ImageUrlError(`has more than ${bytesMax} bytes`)
    if (Number(answer.headers['content-length'] ?? 0) > bytesMax) throw tooLarge()
    const parts: Buffer[] = []
    let bytes = 0
    for await (const part of answer as AsyncIterable<Buffer>) {
      bytes += part.length
      if (bytes > bytesMax) throw tooLarge()
      parts.push(part)
    }
    if (!answer.complete) throw new ImageUrlError('broke off')
    return Buffer.concat(parts)
  }
}

/** Nothing of what is behind an address, which may be in a network of this peer's owner. */
function told(error: unknown, timeoutMs: number): ImageUrlError {
  if (error instanceof ImageUrlError) return error
  if (error instanceof UnsafeUrlError) return new ImageUrlError(`has a URL that ${error.message}`)
  if (error instanceof DeadlineError) {
    return new ImageUrlError(`did not come within ${timeoutMs / 1000} s`)
  }
  return new ImageUrlError('cannot be fetched from its URL')
}
