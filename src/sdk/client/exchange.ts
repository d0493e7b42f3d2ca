import { bytesToHex } from '@noble/hashes/utils.js'
import { unlessAborted, within } from '../../base/deadline.ts'
import { errorText, type Next, piecesOf } from '../answer-body.ts'
import { readSaidError } from '../said-error.ts'
import { type CallOptions, checkedKey, type Operation, type Setting, urlOf } from './operation.ts'
import { abortedBy, type ErrorFacts, PinaivuError, toPinaivuError } from './pinaivu-error.ts'
import { retryAfterMs, saysRetry, waitMs } from './retry.ts'

const KEY_BYTES = 16
/** A timer that is set further ahead goes off at once. */
const TIMER_MS_MAX = 2 ** 31 - 1

type Sent = string | FormData | undefined
type Tried = { response: Response } | { failure: PinaivuError; again: boolean }

/** One call: its tries, its deadline, and how it ends before its time. */
export class Exchange {
  /** Ends it from this side. */
  readonly controller = new AbortController()
  /** Aborts with the controller, or with the signal of the caller. */
  readonly signal: AbortSignal
  readonly setting: Setting
  readonly #operation: Operation
  readonly #options: CallOptions
  readonly #key: string | undefined
  #requestId: string | undefined

  constructor(setting: Setting, operation: Operation, options: CallOptions) {
    const { signal } = options
    const own = this.controller.signal
    this.signal = signal == null ? own : AbortSignal.any([own, signal])
    this.setting = setting
    this.#operation = operation
    this.#options = options
    this.#key = operation.method === 'POST' ? this.#keyOf(options) : undefined
  }

  /** Asks, again where that helps; `take` makes something of the answer, within the same time. */
  async run<T>(take: (response: Response, next: Next) => Promise<T>): Promise<T> {
    const { clock, timeoutMs: usual } = this.setting
    const { method, path } = this.#operation
    try {
      const ms = checkedMs(this.#options.timeoutMs ?? usual)
      const endsAt = clock.elapsed() + ms
      return await within(
        clock,
        { ms, what: `${method} ${path}`, signal: this.signal },
        (limited) => {
          const next: Next = (step) => unlessAborted(step(), limited)
          return this.#answer(endsAt, limited).then((response) => take(response, next))
        },
      )
    } catch (error) {
      const failure = this.fault(error)
      this.controller.abort()
      throw failure
    }
  }

  /** What went wrong, in the client's words. */
  fault(error: unknown): PinaivuError {
    if (error instanceof PinaivuError) return error
    const isAbort = this.signal.aborted && error === this.signal.reason
    return isAbort ? abortedBy(error, this.#facts) : toPinaivuError(error, this.#facts)
  }

  /** A fault of this call. */
  failed(code: string, message: string, facts: ErrorFacts = {}): PinaivuError {
    return new PinaivuError(code, message, { ...this.#facts, ...facts })
  }

  get #facts(): ErrorFacts {
    return { requestId: this.#requestId, idempotencyKey: this.#key }
  }

  #keyOf({ idempotencyKey }: CallOptions): string | undefined {
    if (idempotencyKey === null) return undefined
    if (idempotencyKey !== undefined) return checkedKey('idempotencyKey', idempotencyKey)
    if (this.#operation.streams) return undefined
    return bytesToHex(this.setting.random.bytes(KEY_BYTES))
  }

  async #answer(endsAt: number, limited: AbortSignal): Promise<Response> {
    const { clock, random, maxRetries: usual } = this.setting
    const maxRetries = this.#options.maxRetries ?? usual
    const { form, body } = this.#operation
    const json = body === undefined ? undefined : JSON.stringify(body)
    const sent = form === undefined ? json : await unlessAborted(form(), limited)
    for (let before = 0; ; before++) {
      const tried = await this.#try(sent, limited)
      if ('response' in tried) return tried.response
      const { failure, again } = tried
      const ms = waitMs(before, failure.retryAfterMs, random)
      const isWorthIt = again && before < maxRetries && ms !== undefined
      if (!isWorthIt || clock.elapsed() + ms >= endsAt) throw failure
      await clock.sleep(ms, limited)
    }
  }

  async #try(sent: Sent, limited: AbortSignal): Promise<Tried> {
    // What has no key may have been done already, unless the peer says otherwise.
    const isRepeatable = this.#operation.method !== 'POST' || this.#key !== undefined
    let response: Response
    try {
      response = await unlessAborted(this.#send(sent), limited)
    } catch (error) {
      limited.throwIfAborted()
      return { failure: this.fault(error), again: isRepeatable }
    }
    this.#requestId = response.headers.get('x-request-id') ?? undefined
    if (response.ok || response.status === this.#operation.alsoOk) return { response }
    const failure = await this.#refusal(response, limited)
    return { failure, again: saysRetry(response) ?? isRepeatable }
  }

  #send(sent: Sent): Promise<Response> {
    const { fetch, baseURL, apiKey } = this.setting
    const { method, body, open, headers: more } = this.#operation
    const headers: Record<string, string> = { accept: 'application/json', ...more }
    if (body !== undefined) headers['content-type'] = 'application/json'
    if (apiKey !== undefined && open === undefined) headers.authorization = `Bearer ${apiKey}`
    if (this.#key !== undefined) headers['idempotency-key'] = this.#key
    return fetch(urlOf(baseURL, this.#operation), {
      ...{ method, headers, signal: this.signal },
      ...(sent !== undefined && { body: sent }),
      // No peer redirects; where another is in its place, no key is to follow.
      redirect: 'error',
    })
  }

  async #refusal(response: Response, limited: AbortSignal): Promise<PinaivuError> {
    const { status, headers, body } = response
    const said = readSaidError(body === null ? '' : await this.#textOfRefusal(body, limited))
    return this.failed(
      said.code ?? `http_${status}`,
      said.message ?? `The peer answered with status ${status}.`,
      {
        status,
        param: said.param,
        requestId: said.requestId ?? this.#requestId,
        retryAfterMs: retryAfterMs({ status, headers }, this.setting.clock),
      },
    )
  }

  async #textOfRefusal(body: ReadableStream<Uint8Array>, limited: AbortSignal): Promise<string> {
    const pieces = piecesOf(body)
    try {
      return await errorText(pieces, (step) => unlessAborted(step(), limited))
    } catch {
      // The status alone says enough.
      limited.throwIfAborted()
      return ''
    } finally {
      pieces.return().catch(() => {})
    }
  }
}

function checkedMs(ms: number): number {
  if (ms > 0) return Math.min(ms, TIMER_MS_MAX)
  throw new PinaivuError('invalid_value', `Expected a time above 0 as timeoutMs, got ${ms}.`)
}
