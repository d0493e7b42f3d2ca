import { PeerError } from '../../base/errors.ts'
import type { Fault } from '../../wire/generate.ts'

/**
 * How a job ended at a provider that did not finish it.
 * unreachable: no stream came about · silent: nothing was heard for too long · broken: the stream
 * ended · misbehaved: it said what it must not · late: it was at work when the time for the first
 * token, or for all, was over · busy: it has no room now · unwilling: it takes no such job · declined:
 * the request itself is at fault, wherever it goes · failed: it could not do it.
 */
export type Loss =
  | 'unreachable'
  | 'silent'
  | 'broken'
  | 'misbehaved'
  | 'late'
  | 'busy'
  | 'unwilling'
  | 'declined'
  | 'failed'

export class ProviderError extends PeerError {
  readonly loss: Loss
  /** Of one that is busy, as it says itself. */
  readonly retryAfterMs: number

  constructor(
    loss: Loss,
    error: { code: string; message: string; param?: string },
    { retryAfterMs = 0, cause }: { retryAfterMs?: number; cause?: unknown } = {},
  ) {
    super(error.code, error.message, {
      ...(error.param ? { param: error.param } : {}),
      ...(loss === 'misbehaved' ? { action: 'penalise' } : {}),
      cause,
    })
    this.loss = loss
    this.retryAfterMs = retryAfterMs
  }
}

const busyCodes: ReadonlySet<string> = new Set(['overloaded', 'allowance'])

/** Of the same model, everybody says the same to these. */
const declinedCodes: ReadonlySet<string> = new Set([
  'context_length_exceeded',
  'invalid_value',
  'invalid_type',
  'missing_required_parameter',
])

/** It does other jobs, but not this one. */
const unwillingCodes: ReadonlySet<string> = new Set([
  'price_too_low',
  'credit_limit',
  'wrong_region',
  'publishes_none',
  'unsupported',
  'unsupported_kind',
  'unsupported_parameter',
  'unsupported_value',
  'unsupported_field',
  'invalid_resume',
])

/** What a provider says of why it does not do a job. */
export function faultError(fault: Fault): ProviderError {
  return new ProviderError(lossOf(fault.code), fault, { retryAfterMs: fault.retryAfterMs })
}

function lossOf(code: string): Loss {
  if (busyCodes.has(code)) return 'busy'
  if (declinedCodes.has(code)) return 'declined'
  return unwillingCodes.has(code) ? 'unwilling' : 'failed'
}

/** It does such a job, but not from the middle of the answer on. */
const fromTheBeginningCodes: ReadonlySet<string> = new Set(['unsupported', 'invalid_resume'])

export const needsTheBeginning = ({ code }: ProviderError): boolean =>
  fromTheBeginningCodes.has(code)

/** It does no job of this model now. */
const outCodes: ReadonlySet<string> = new Set([
  'draining',
  'shutting_down',
  'unknown_model',
  'model_failed',
])

/** It is gone, or what is between it and this peer is bad. */
export const isUnheard = ({ loss }: ProviderError): boolean =>
  loss === 'unreachable' || loss === 'silent' || loss === 'broken'

/** The provider is at fault and not this one job: the next one should go elsewhere. */
export function isSure(error: ProviderError): boolean {
  return isUnheard(error) || error.loss === 'misbehaved' || outCodes.has(error.code)
}

/** A loss that the provider did not announce itself. */
export function lost(loss: Loss, message: string, cause?: unknown): ProviderError {
  const code = loss === 'misbehaved' ? 'provider_misbehaved' : 'provider_failed'
  return new ProviderError(loss, { code, message }, { cause })
}
