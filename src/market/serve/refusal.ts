import { BusyError, PeerError, type PeerErrorOptions } from '../../base/errors.ts'
import type { Fault } from '../../wire/generate.ts'

export interface RefusalOptions extends PeerErrorOptions {
  /** Asked again after so long, the answer may be another. */
  retryAfterMs?: number
}

/** Why this peer does not do a coordinator's job. */
export class Refusal extends PeerError {
  readonly retryAfterMs: number

  constructor(code: string, message: string, { retryAfterMs = 0, ...rest }: RefusalOptions = {}) {
    super(code, message, rest)
    this.retryAfterMs = retryAfterMs
  }
}

export function draining(): Refusal {
  return new Refusal('draining', 'This peer is about to leave and takes no new jobs.')
}

/** What a coordinator is told of an error; nothing of what is only this machine's business. */
export function faultOf(error: unknown): Fault {
  if (!(error instanceof PeerError) || error.code.startsWith('storage_')) {
    const message = 'Something went wrong at the provider, which has noted what.'
    return { code: 'internal_error', message, param: '', retryAfterMs: 0 }
  }
  const { code, message, param = '' } = error
  const asksBack = error instanceof BusyError || error instanceof Refusal
  return {
    code,
    // Why a model does not load may name files of this machine.
    message: code === 'model_failed' ? 'The provider cannot load it.' : message,
    param,
    retryAfterMs: asksBack ? Math.round(error.retryAfterMs) : 0,
  }
}
