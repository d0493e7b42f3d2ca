import { InvalidError } from '../../base/errors.ts'
import { UNAVAILABLE } from './fields.ts'

/** The part of JSON Schema that our schemas use. */
interface Schema {
  type?: string
  anyOf?: Schema[]
  properties?: Record<string, Schema>
  patternProperties?: Record<string, Schema>
  required?: string[]
  additionalProperties?: boolean
  items?: Schema
  const?: unknown
  enum?: unknown[]
  minimum?: number
  maximum?: number
  minLength?: number
  maxLength?: number
  minItems?: number
  maxItems?: number
  maxProperties?: number
  [UNAVAILABLE]?: true | unknown[]
}

type Path = readonly (string | number)[]

interface Fault {
  path: Path
  code: string
  message: string
  /** Only for a wrong type: what the schema would take. */
  expected?: string[]
}

/** A client's own words come back shortened: they may be megabytes, or not meant for a log. */
const ECHO_CHARS_MAX = 64

/**
 * What is wrong with a body that the compiled schema refused, in OpenAI's words: the first fault,
 * of a union the fault of the branch that fits best.
 */
export function explain(schema: unknown, value: unknown): InvalidError | undefined {
  const fault = find(schema as Schema, value, [])
  if (fault === undefined) return undefined
  return new InvalidError(spell(fault.path) || undefined, fault.message, fault.code)
}

/** `messages[0].content`, as OpenAI writes it. */
function spell(path: Path): string {
  return path
    .map((step, at) => (typeof step === 'number' ? `[${step}]` : at === 0 ? step : `.${step}`))
    .join('')
}

function find(schema: Schema, value: unknown, path: Path): Fault | undefined {
  const fault = schema.anyOf === undefined ? inOne(schema, value, path) : inAny(schema, value, path)
  if (fault === undefined || schema[UNAVAILABLE] !== true) return fault
  const field = spell(path)
  const message = `Unsupported parameter: '${field}' does not take this value in this version.`
  return { path, code: 'unsupported_parameter', message }
}

function inAny(schema: Schema, value: unknown, path: Path): Fault | undefined {
  let furthest: Fault | undefined
  for (const branch of schema.anyOf ?? []) {
    const fault = find(branch, value, path)
    if (fault === undefined) return undefined
    const order = furthest === undefined ? 1 : compare(fault, furthest)
    if (order > 0) furthest = fault
    else if (order === 0 && fault.expected && furthest?.expected) {
      furthest = wrongType(path, value, [...furthest.expected, ...fault.expected])
    }
  }
  return furthest
}

/** Positive when branch `a` fits the value better than `b`: in all its types, or further into it. */
function compare(a: Fault, b: Fault): number {
  const byKind = Number(!a.expected) - Number(!b.expected)
  if (byKind !== 0) return byKind
  for (let at = 0; at < Math.min(a.path.length, b.path.length); at++) {
    const [stepA, stepB] = [a.path[at], b.path[at]]
    if (typeof stepA === 'number' && typeof stepB === 'number' && stepA !== stepB) {
      return stepA - stepB
    }
  }
  return a.path.length - b.path.length
}

function inOne(schema: Schema, value: unknown, path: Path): Fault | undefined {
  if (!hasType(schema.type, value)) return wrongType(path, value, [nameOf(schema)])
  if (schema.const !== undefined || schema.enum !== undefined) {
    return inChoice(schema, value, path)
  }
  if (Array.isArray(value)) return inArray(schema, value, path)
  if (typeof value === 'string') return inLength(schema, value, path)
  if (typeof value === 'number') return inRange(schema, value, path)
  if (typeof value === 'object' && value !== null) {
    return inObject(schema, value as Record<string, unknown>, path)
  }
  return undefined
}

function inChoice(schema: Schema, value: unknown, path: Path): Fault | undefined {
  const allowed = schema.enum ?? [schema.const]
  if (allowed.includes(value)) return undefined
  const known = schema[UNAVAILABLE]
  const supported = `Supported values are: ${allowed.map((each) => `'${each}'`).join(', ')}.`
  if (Array.isArray(known) && known.includes(value)) {
    const message = `Unsupported value: '${spell(path)}' cannot be '${value}' here. ${supported}`
    return { path, code: 'unsupported_value', message }
  }
  return invalid(path, `Invalid value for '${spell(path)}': ${echo(value)}. ${supported}`)
}

function inArray(schema: Schema, value: unknown[], path: Path): Fault | undefined {
  const { minItems = 0, maxItems = Number.POSITIVE_INFINITY, items } = schema
  const field = spell(path)
  if (value.length < minItems) {
    const message = `Invalid '${field}': expected at least ${minItems} items, got ${value.length}.`
    return invalid(path, message)
  }
  if (value.length > maxItems) {
    const message = `Invalid '${field}': expected at most ${maxItems} items, got ${value.length}.`
    return invalid(path, message)
  }
  if (items === undefined) return undefined
  for (const [at, item] of value.entries()) {
    const fault = find(items, item, [...path, at])
    if (fault !== undefined) return fault
  }
  return undefined
}

function inLength(schema: Schema, value: string, path: Path): Fault | undefined {
  const { minLength = 0, maxLength = Number.POSITIVE_INFINITY } = schema
  // JSON Schema counts characters, not UTF-16 units; no character has more than two of these.
  const length = value.length > 2 * maxLength ? value.length : [...value].length
  if (length >= minLength && length <= maxLength) return undefined
  const bound = length < minLength ? `at least ${minLength}` : `at most ${maxLength}`
  return invalid(path, `Invalid '${spell(path)}': expected ${bound} characters, got ${length}.`)
}

function inRange(schema: Schema, value: number, path: Path): Fault | undefined {
  const { minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY } = schema
  if (value >= minimum && value <= maximum) return undefined
  const bound = value < minimum ? `at least ${minimum}` : `at most ${maximum}`
  return invalid(path, `Invalid '${spell(path)}': expected ${bound}, got ${value}.`)
}

function inObject(schema: Schema, value: Record<string, unknown>, path: Path): Fault | undefined {
  const { properties = {}, patternProperties = {}, required = [] } = schema
  for (const [key, part] of Object.entries(properties)) {
    if (!Object.hasOwn(value, key)) continue
    const fault = find(part, value[key], [...path, key])
    if (fault !== undefined) return fault
  }
  const missing = required.find((key) => !Object.hasOwn(value, key))
  if (missing !== undefined) {
    const at = [...path, missing]
    const message = `Missing required parameter: '${spell(at)}'.`
    return { path: at, code: 'missing_required_parameter', message }
  }
  const { maxProperties = Number.POSITIVE_INFINITY } = schema
  const keys = Object.keys(value)
  if (keys.length > maxProperties) {
    const field = spell(path)
    return invalid(path, `Invalid '${field}': at most ${maxProperties} keys, got ${keys.length}.`)
  }
  const patterns = Object.entries(patternProperties).map(
    ([pattern, part]) => [new RegExp(pattern), part] as const,
  )
  for (const key of keys) {
    if (Object.hasOwn(properties, key)) continue
    const at = [...path, shorten(key)]
    const part = patterns.find(([pattern]) => pattern.test(key))?.[1]
    if (part !== undefined) {
      const fault = find(part, value[key], at)
      if (fault !== undefined) return fault
    } else if (patterns.length > 0 && schema.additionalProperties === false) {
      return invalid(at, `Invalid key: '${spell(at)}'.`)
    } else if (schema.additionalProperties === false) {
      return { path: at, code: 'unknown_parameter', message: `Unknown parameter: '${spell(at)}'.` }
    }
  }
  return undefined
}

function hasType(type: string | undefined, value: unknown): boolean {
  if (type === undefined) return true
  if (type === 'integer') return Number.isInteger(value)
  if (type === 'null') return value === null
  if (type === 'array') return Array.isArray(value)
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value)
  return typeof value === type
}

const articles: Record<string, string> = {
  string: 'a string',
  number: 'a number',
  integer: 'an integer',
  boolean: 'a boolean',
  array: 'an array',
  object: 'an object',
  null: 'null',
}

function nameOf(schema: Schema): string {
  const item = schema.type === 'array' ? schema.items?.type : undefined
  if (item !== undefined) return `an array of ${item}s`
  return articles[schema.type ?? ''] ?? 'something else'
}

function wrongType(path: Path, value: unknown, expected: string[]): Fault {
  const wanted = [...new Set(expected)]
  // Null stands for "leave it out": to name it would only make the sentence longer.
  const named = wanted.length > 1 ? wanted.filter((name) => name !== 'null') : wanted
  const got = value === null ? 'null' : Array.isArray(value) ? 'an array' : typeOf(value)
  const where = path.length === 0 ? 'the request body' : `'${spell(path)}'`
  const message = `Invalid type for ${where}: expected ${named.join(' or ')}, got ${got}.`
  return { path, code: 'invalid_type', message, expected: wanted }
}

const typeOf = (value: unknown): string => articles[typeof value] ?? 'nothing'

const invalid = (path: Path, message: string): Fault => ({ path, code: 'invalid_value', message })

const shorten = (text: string): string =>
  text.length > ECHO_CHARS_MAX ? `${text.slice(0, ECHO_CHARS_MAX)}…` : text

const echo = (value: unknown): string =>
  typeof value === 'string' ? `'${shorten(value)}'` : String(value)
