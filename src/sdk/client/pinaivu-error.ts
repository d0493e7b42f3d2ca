import { DeadlineError, PeerError } from '../../base/errors.ts'

export interface ErrorFacts {
  status?: number | undefined
  param?: string | undefined
  requestId?: string | undefined
  retryAfterMs?: number | undefined
  idempotencyKey?: string | undefined
  cause?: unknown
}

/**
 * All that a call can fail with. `code` is for programs: the peer's own where it answered, else
 * `timeout`, `aborted`, `connection_failed`, `cut_off`, `answer_too_large` or `malformed`.
 */
export class PinaivuError extends PeerError {
  /** Of HTTP; undefined where no answer came, or a stream broke in its middle. */
  readonly status: number | undefined
  /** `req_…`: what the peer's log calls this request. */
  readonly requestId: string | undefined
  /** When the peer thinks that it will go better. */
  readonly retryAfterMs: number | undefined
  /** With the same key the same call can be made again, and is neither done nor charged twice. */
  readonly idempotencyKey: string | undefined

  constructor(code: string, message: string, facts: ErrorFacts = {}) {
    const { param, cause } = facts
    super(code, message, { ...(param !== undefined && { param }), cause })
    this.status = facts.status
    this.requestId = facts.requestId
    this.retryAfterMs = facts.retryAfterMs
    this.idempotencyKey = facts.idempotencyKey
  }
}

/** Whatever was thrown while an answer was asked for or read. */
export function toPinaivuError(error: unknown, facts: ErrorFacts = {}): PinaivuError {
  if (error instanceof PinaivuError) return error
  const more = { ...facts, cause: error }
  if (error instanceof DeadlineError) return new PinaivuError('timeout', error.message, more)
  if (error instanceof PeerError) {
    return new PinaivuError(error.code, error.message, { ...more, param: error.param })
  }
  const message = 'The connection to the peer failed, or never came about.'
  return new PinaivuError('connection_failed', message, more)
}

export const abortedBy = (reason: unknown, facts: ErrorFacts = {}): PinaivuError =>
  new PinaivuError('aborted', 'The call was aborted.', { ...facts, cause: reason })
