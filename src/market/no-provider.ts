import { insufficientCredits } from '../accounts/ledger/ledger.ts'
import { BusyError, PeerError } from '../base/errors.ts'
import { unable as incapable } from '../engines/unable.ts'
import { type Capability, lacking } from '../wire/capability.ts'
import type { Choice } from './choose/choice.ts'
import { FREE, quote } from './quote.ts'
import type { ProviderError } from './remote/provider-error.ts'
import type { Request } from './request.ts'

/** What the client is told when nobody is left who could do its job. */
export function noProvider(request: Request, excluded: Choice['excluded']): PeerError {
  const { model, wishes, lastError, declinedFor, attempts } = request
  if (declinedFor !== undefined) return asTold(declinedFor)
  if (lastError?.loss === 'busy') {
    const message = `Every peer that serves '${model.name}' is busy. Ask again later.`
    return new BusyError(message, lastError.retryAfterMs || undefined)
  }
  // Others who serve it would perhaps do that, and there are none.
  if (lastError?.code === 'unsupported_parameter') return asTold(lastError)
  if (lastError !== undefined) {
    const asked = attempts === 1 ? '1 peer was' : `${attempts} peers were`
    return unavailable(`${asked} asked for '${model.name}', and none could do it. Ask again.`)
  }
  if (excluded.credits) return tooDear(request)
  if (excluded.price) {
    return unavailable(`No peer serves '${model.name}' at 'max_price' or below. Offer more.`)
  }
  if (excluded.jurisdiction) {
    const message =
      `No peer that says it is in ${wishes.jurisdiction} serves '${model.name}' now. ` +
      'Ask again later, or without a jurisdiction.'
    return new PeerError('no_nodes_in_jurisdiction', message)
  }
  if (excluded.other_nodes_wanted) {
    return unavailable(`None of the peers that 'node' allows serves '${model.name}' now.`)
  }
  if (excluded.not_capable) return unable(request)
  return unavailable(`No peer serves '${model.name}' now. Ask again later.`)
}

function unable({ needs, model, others }: Request): PeerError {
  const lacks = lacking(needs, model.capabilities ?? []) ?? needs[0]
  return incapable(lacks as Capability, others)
}

function tooDear({ bounds, model, payment, job }: Request): PeerError {
  const cost = quote(bounds, model.price ?? FREE)
  return insufficientCredits(job.origin ?? {}, cost, payment?.affordable ?? 0)
}

/** Who asks is at fault: with what a parameter names, or with what there is to pay. */
export const isCallers = (error: unknown): boolean =>
  error instanceof PeerError && (error.param !== undefined || error.code === 'insufficient_credits')

/** The request itself is at fault; the provider says where. */
export function asTold({ code, message, param }: ProviderError): PeerError {
  return new PeerError(code, message, param === undefined ? {} : { param })
}

export function firstByteTimeout(firstByteMs: number): PeerError {
  return new PeerError(
    'first_byte_timeout',
    `No token came within ${firstByteMs} ms. The model may be busy or loading: try again.`,
  )
}

/** What has been sent can't be taken back: the answer ends here. */
export function cutShort({ loss }: ProviderError): PeerError {
  if (loss === 'late') {
    return new PeerError('deadline_exceeded', 'The answer took too long. Ask for fewer tokens.')
  }
  // It is still there, and says so itself: its model broke off, or did not keep to what was asked.
  const message =
    loss === 'failed'
      ? 'The peer that wrote this answer failed before its end. Ask again, or ask another model.'
      : 'The peer that wrote this answer was lost before its end. Ask again.'
  return new PeerError('provider_failed', message)
}

const unavailable = (message: string): PeerError => new PeerError('no_nodes_available', message)

export function unknownModel(name: string): PeerError {
  const message = `The model '${name}' does not exist here. GET /v1/models lists those that do.`
  return new PeerError('model_not_found', message, { param: 'model' })
}
