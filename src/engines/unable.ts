import { PeerError } from '../base/errors.ts'
import type { Capability } from '../wire/capability.ts'

/** As a client calls what needs it. */
const params: Readonly<Record<Capability, string>> = {
  tools: 'tools',
  json: 'response_format',
  vision: 'messages',
}

const whats: Readonly<Record<Capability, string>> = {
  tools: 'call functions',
  json: 'keep to JSON',
  vision: 'see images',
}

/** The model can't do this work; `others` are those that can, where that is known here. */
export function unable(lacking: Capability, others?: readonly string[]): PeerError {
  const param = params[lacking]
  const advice = adviceOf(others)
  return new PeerError(
    'unsupported_parameter',
    `Unsupported parameter: '${param}'. This model does not ${whats[lacking]}. ${advice}`,
    { param },
  )
}

const likes: Readonly<Record<Capability, string>> = {
  tools: 'It calls no functions, or none like these',
  json: 'It keeps to no JSON, or to none like this',
  vision: 'It sees no images, or none like these',
}

/** Its server refuses this work: the model can't, or what is asked is broken, or too much for it. */
export function refusedFor(asked: Capability): PeerError {
  const param = params[asked]
  return new PeerError(
    'unsupported_parameter',
    `The server behind this model refuses '${param}'. ${likes[asked]}. Change that, or ask another model.`,
    { param },
  )
}

function adviceOf(others: readonly string[] | undefined): string {
  if (others === undefined) return 'GET /v1/models lists what each can do, under capabilities.'
  if (others.length === 0) return 'Nor does any other that is served now: leave it out.'
  return `These can: ${others.join(', ')}.`
}
