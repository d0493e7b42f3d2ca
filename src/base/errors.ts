/** What to do with the peer whose input caused an error. */
export type PeerAction = 'ignore' | 'penalise' | 'disconnect'

export interface PeerErrorOptions {
  /** The field of the request that is at fault, in the caller's own words (`messages[2].content`). */
  param?: string
  action?: PeerAction
  cause?: unknown
}

/**
 * An expected failure. `code` is stable and machine-readable; `message` says what to do.
 * The HTTP status of a code stands in one table, `api/error-status.ts`.
 */
export class PeerError extends Error {
  readonly code: string
  readonly param: string | undefined
  readonly action: PeerAction | undefined

  constructor(code: string, message: string, options: PeerErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = new.target.name
    this.code = code
    this.param = options.param
    this.action = options.action
  }
}

/** A queue is full. Asking again later may work. */
export class BusyError extends PeerError {
  readonly retryAfterMs: number

  constructor(message: string, retryAfterMs = 1000) {
    super('overloaded', message)
    this.retryAfterMs = retryAfterMs
  }
}

/** The caller asks for more than it may in this time. Later it works. */
export class LimitError extends PeerError {
  readonly retryAfterMs: number

  constructor(message: string, retryAfterMs: number) {
    super('rate_limit_exceeded', message)
    this.retryAfterMs = retryAfterMs
  }
}

/** Something took longer than it was given. */
export class DeadlineError extends PeerError {
  constructor(what: string, limitMs: number) {
    super('deadline_exceeded', `${what} took longer than ${limitMs} ms.`)
  }
}

/** The caller's own input is at fault; `param` names where. */
export class InvalidError extends PeerError {
  constructor(param: string | undefined, message: string, code = 'invalid_value') {
    super(code, message, param === undefined ? {} : { param })
  }
}

export function isAbort(error: unknown): boolean {
  return error instanceof Error && (error.name === 'AbortError' || error.name === 'TimeoutError')
}

/** The text of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
