import type { Schema } from './schema.ts'

/** What is wrong with a value, in OpenAI's words. Made often in vain, so its words come last. */
export interface Fault {
  /** From the value to what is at fault in it. */
  path: (string | number)[]
  code: string
  /** `where` names the place: `'messages[0].role'`, or the whole. */
  say(where: string): string
  /** Only of a wrong type: what the schema would take. */
  expected?: readonly string[]
}

/** A client's own words come back shortened: they may be megabytes, or not meant for a log. */
const ECHO_CHARS_MAX = 64

export const shorten = (text: string): string =>
  text.length > ECHO_CHARS_MAX ? `${text.slice(0, ECHO_CHARS_MAX)}…` : text

/** `messages[0].content`, as OpenAI writes it. */
export function spell(path: Fault['path']): string {
  return path
    .map((step, at) => (typeof step === 'number' ? `[${step}]` : at === 0 ? step : `.${step}`))
    .join('')
}

/** The same fault, seen from the value around. */
export function inside(step: string | number, fault: Fault): Fault {
  fault.path.unshift(step)
  return fault
}

const fault = (code: string, say: Fault['say']): Fault => ({ path: [], code, say })

export const outside = (bounds: string): Fault =>
  fault('invalid_value', (where) => `Invalid ${where}: expected ${bounds}.`)

export const badKey = (): Fault => fault('invalid_value', (where) => `Invalid key: ${where}.`)

export const missing = (): Fault =>
  fault('missing_required_parameter', (where) => `Missing required parameter: ${where}.`)

export const unknown = (): Fault =>
  fault('unknown_parameter', (where) => `Unknown parameter: ${where}.`)

export const unavailable = (): Fault =>
  fault(
    'unsupported_parameter',
    (where) => `Unsupported parameter: ${where} does not take this value in this version.`,
  )

/** `later`: others know this value, and this version does not. */
export function notAmong(allowed: readonly string[], value: string, later: boolean): Fault {
  const supported = () => `Supported values are: ${allowed.map((each) => `'${each}'`).join(', ')}.`
  return later
    ? fault(
        'unsupported_value',
        (where) => `Unsupported value: ${where} cannot be '${value}' here. ${supported()}`,
      )
    : fault(
        'invalid_value',
        (where) => `Invalid value for ${where}: '${shorten(value)}'. ${supported()}`,
      )
}

const articles: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  integer: 'an integer',
  boolean: 'a boolean',
  array: 'an array',
  object: 'an object',
  null: 'null',
}

/** What a schema takes: `an array of strings`. */
export function nameOf({ type, items }: Schema): string {
  if (type === 'array' && items?.type !== undefined) return `an array of ${items.type}s`
  return articles[type ?? ''] ?? 'something else'
}

export function wrongType(value: unknown, expected: readonly string[]): Fault {
  const say = (where: string) => {
    const wanted = [...new Set(expected)]
    // Null stands for "leave it out": to name it would only make the sentence longer.
    const named = wanted.length > 1 ? wanted.filter((name) => name !== 'null') : wanted
    return `Invalid type for ${where}: expected ${named.join(' or ')}, got ${typeOf(value)}.`
  }
  return { ...fault('invalid_type', say), expected }
}

function typeOf(value: unknown): string {
  const type = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value
  return articles[type] ?? 'nothing'
}
