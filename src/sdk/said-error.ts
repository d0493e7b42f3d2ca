/** What a peer says of a failure, as far as it says anything. */
export interface SaidError {
  code: string | undefined
  message: string | undefined
  param: string | undefined
  requestId: string | undefined
}

/** The error in the JSON of an answer or of an event, in either of the shapes that a peer has for it. */
export function readSaidError(text: string): SaidError {
  const { error, request_id } = objectIn(text)
  const { code, type, message, param, requestId } = asObject(error)
  return {
    code: textOf(code) ?? textOf(type),
    message: textOf(message),
    param: textOf(param),
    requestId: textOf(requestId) ?? textOf(request_id),
  }
}

function objectIn(text: string): Record<string, unknown> {
  try {
    return asObject(JSON.parse(text))
  } catch {
    return {}
  }
}

const asObject = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}

const textOf = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined
