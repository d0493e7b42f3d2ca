import type { FastifySchemaCompiler } from 'fastify'
import { InvalidError, PeerError } from '../base/errors.ts'
import {
  badKey,
  type Fault,
  inside,
  missing,
  nameOf,
  notAmong,
  outside,
  shorten,
  spell,
  unavailable,
  unknown,
  wrongType,
} from './fault.ts'
import type { Schema } from './schema.ts'

/** The check of every route's body, query and path parameters. */
export const validatorCompiler: FastifySchemaCompiler<Schema> = ({ schema, httpPart }) => {
  return (value: unknown) => {
    // Where nothing was sent, Fastify says null.
    if (value === null && httpPart === 'body' && find(schema, null) !== undefined) {
      return { error: new PeerError('invalid_json', 'This endpoint needs a JSON object as body.') }
    }
    const error = check(schema, value)
    return error === undefined ? true : { error }
  }
}

/** What is wrong with a value: the first fault, of a union that of the branch which fits best. */
export function check(schema: Schema, value: unknown): InvalidError | undefined {
  const fault = find(schema, value)
  if (fault === undefined) return undefined
  const field = spell(fault.path)
  const message = fault.say(field === '' ? 'the request body' : `'${field}'`)
  return new InvalidError(field || undefined, message, fault.code)
}

function find(schema: Schema, value: unknown): Fault | undefined {
  const fault = schema.anyOf === undefined ? inOne(schema, value) : inAny(schema.anyOf, value)
  return fault !== undefined && schema['x-unavailable'] === true ? unavailable() : fault
}

function inAny(branches: readonly Schema[], value: unknown): Fault | undefined {
  let furthest: Fault | undefined
  for (const branch of branches) {
    const fault = find(branch, value)
    if (fault === undefined) return undefined
    const order = furthest === undefined ? 1 : compare(fault, furthest)
    if (order > 0) furthest = fault
    else if (order === 0 && fault.expected && furthest?.expected) {
      furthest = wrongType(value, [...furthest.expected, ...fault.expected])
    }
  }
  return furthest
}

/** Positive when the branch of fault `a` fits better: in all its types, or further into the value. */
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

function inOne(schema: Schema, value: unknown): Fault | undefined {
  if (!hasType(schema.type, value)) return wrongType(value, [nameOf(schema)])
  switch (typeof value) {
    case 'string':
      return inText(schema, value)
    case 'number':
      return inRange(schema, value)
    case 'object':
      if (Array.isArray(value)) return inArray(schema, value)
      return value === null ? undefined : inObject(schema, value as Record<string, unknown>)
  }
  return undefined
}

function inText(schema: Schema, value: string): Fault | undefined {
  if (schema.const !== undefined) return inChoice(schema, [schema.const], value)
  if (schema.enum !== undefined) return inChoice(schema, schema.enum, value)
  const { minLength = 0, maxLength = Number.POSITIVE_INFINITY } = schema
  const units = value.length
  // JSON Schema counts characters; one is at most two of JavaScript's units.
  if (units < 2 * minLength || units > maxLength) {
    const length = units > 2 * maxLength ? units : [...value].length
    if (length < minLength) return outside(`at least ${minLength} characters, got ${length}`)
    if (length > maxLength) return outside(`at most ${maxLength} characters, got ${length}`)
  }
  if (schema.format === 'date-time' && !isDateTime(value)) {
    return outside('a date and time such as 2030-01-31T12:00:00Z')
  }
  return undefined
}

function inChoice(schema: Schema, allowed: readonly string[], value: string): Fault | undefined {
  if (allowed.includes(value)) return undefined
  const known = schema['x-unavailable']
  return notAmong(allowed, value, Array.isArray(known) && known.includes(value))
}

function inRange({ minimum, maximum }: Schema, value: number): Fault | undefined {
  if (minimum !== undefined && value < minimum) return outside(`at least ${minimum}, got ${value}`)
  if (maximum !== undefined && value > maximum) return outside(`at most ${maximum}, got ${value}`)
  return undefined
}

function inArray({ minItems, maxItems, items }: Schema, value: unknown[]): Fault | undefined {
  const { length } = value
  if (minItems !== undefined && length < minItems) {
    return outside(`at least ${minItems} items, got ${length}`)
  }
  if (maxItems !== undefined && length > maxItems) {
    return outside(`at most ${maxItems} items, got ${length}`)
  }
  if (items === undefined) return undefined
  for (let at = 0; at < length; at++) {
    const fault = find(items, value[at])
    if (fault !== undefined) return inside(at, fault)
  }
  return undefined
}

/** Of several faults: first a member with a wrong value, then a missing one, then one too many. */
function inObject(schema: Schema, value: Record<string, unknown>): Fault | undefined {
  const { properties, required, propertyNames, additionalProperties: others = true } = schema
  const keys = Object.keys(value)
  if (schema.maxProperties !== undefined && keys.length > schema.maxProperties) {
    return outside(`at most ${schema.maxProperties} keys, got ${keys.length}`)
  }
  let surplus: string | undefined
  for (const key of keys) {
    const named = properties !== undefined && Object.hasOwn(properties, key)
    const part = named ? properties[key] : others
    if (typeof part === 'object') {
      const fault = find(part, value[key])
      if (fault !== undefined) return inside(shorten(key), fault)
    } else if (part === false) {
      surplus ??= key
    }
    if (propertyNames !== undefined && !regExp(propertyNames.pattern).test(key)) {
      return inside(shorten(key), badKey())
    }
  }
  const lacking = required?.find((key) => !Object.hasOwn(value, key))
  if (lacking !== undefined) return inside(lacking, missing())
  return surplus === undefined ? undefined : inside(shorten(surplus), unknown())
}

function hasType(type: Schema['type'], value: unknown): boolean {
  switch (type) {
    case undefined:
      return true
    case 'integer':
      return Number.isInteger(value)
    case 'null':
      return value === null
    case 'array':
      return Array.isArray(value)
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value)
    default:
      return typeof value === type
  }
}

const dateTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i

/** Of a day that there is: February 31st is a day in March to `Date.parse`. */
function isDateTime(text: string): boolean {
  if (!dateTime.test(text) || Number.isNaN(Date.parse(text))) return false
  const day = text.slice(0, 'YYYY-MM-DD'.length)
  return new Date(day).toISOString().startsWith(day)
}

/** As many as our schemas have. */
const regExps = new Map<string, RegExp>()

function regExp(pattern: string): RegExp {
  const known = regExps.get(pattern) ?? new RegExp(pattern)
  regExps.set(pattern, known)
  return known
}
