import type { Field } from '../../../src/wire/fields.ts'
import { joinBytes } from '../../../src/wire/octets.ts'
import { decode, type Shape } from '../../../src/wire/shape.ts'
import { packHex } from './packed-hex.ts'

interface Described {
  name: string
  fields: Readonly<Record<string, Field>>
}

const MAX = Number.MAX_SAFE_INTEGER

const snakeCase = (name: string): string =>
  name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** A message in the names of its `.proto` file, as `protocols/README.md` says. */
export function protoJson({ fields }: Described, value: object): Record<string, unknown> {
  const members = value as Record<string, unknown>
  return Object.fromEntries(
    Object.entries(fields).map(([key, field]) => [snakeCase(key), fieldJson(field, members[key])]),
  )
}

function fieldJson(field: Field, value: unknown): unknown {
  if (field.repeated && Array.isArray(value)) return value.map((each) => oneJson(field, each))
  return oneJson(field, value)
}

function oneJson({ type, values, shape }: Field, value: unknown): unknown {
  if (value === undefined) return null
  if (type === 'bytes') return packHex(bytesOf(value as Uint8Array | Uint8Array[] | number[]))
  if (values !== undefined) {
    return `${snakeCase(type).slice(1)}_${(value as string).replaceAll('-', '_')}`.toUpperCase()
  }
  if (shape !== undefined) {
    const members = value instanceof Uint8Array ? decode(shape as Shape<object>, value, MAX) : value
    return protoJson(shape, members as object)
  }
  if (value === Number.NEGATIVE_INFINITY) return '-Infinity'
  return Object.is(value, -0) ? '-0' : value
}

/** Hashes are in one piece; a few bytes may be numbers. */
function bytesOf(value: Uint8Array | Uint8Array[] | number[]): Uint8Array {
  const isList = Array.isArray(value) && value.some((each) => each instanceof Uint8Array)
  return isList ? joinBytes(...(value as Uint8Array[])) : Uint8Array.from(value as Uint8Array)
}
