import type { Json } from './canonical-json.ts'
import { malformed, unsupported } from './malformed.ts'

// Each checks one parsed value. `where` names it in a refusal: `messages[2].role`.

type JsonObject = Readonly<Record<string, Json | undefined>>

export const isObject = (value: Json | undefined): value is { [key: string]: Json } =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export function readObject(value: Json | undefined, where: string): JsonObject {
  if (isObject(value)) return value
  throw malformed(where, value === undefined ? 'is missing' : 'is not an object')
}

/** A member that this version does not know changes what is asked for, so the whole is refused. */
export function checkKeys(value: Json | undefined, where: string, keys: readonly string[]): void {
  const stranger = isObject(value) && Object.keys(value).find((key) => !keys.includes(key))
  if (typeof stranger !== 'string') return
  const place = where === 'body' ? stranger : `${where}.${stranger}`
  throw unsupported('unsupported_field', place.slice(0, 100), 'is not known here')
}

export function readArray<T>(
  value: Json | undefined,
  where: string,
  range: { min: number; max: number },
  readOne: (value: Json, where: string) => T,
): T[] {
  if (!Array.isArray(value)) {
    throw malformed(where, value === undefined ? 'is missing' : 'is not a list')
  }
  const { min, max } = range
  if (value.length < min || value.length > max) {
    throw malformed(where, `has not between ${min} and ${max} elements`)
  }
  return value.map((element, at) => readOne(element, `${where}[${at}]`))
}

export function readString(value: Json | undefined, where: string): string {
  if (typeof value === 'string') return value
  throw malformed(where, value === undefined ? 'is missing' : 'is not a string')
}

export function readNumber(
  value: Json | undefined,
  where: string,
  { min, max }: { min: number; max: number },
): number {
  if (typeof value === 'number' && value >= min && value <= max) return value
  throw malformed(where, value === undefined ? 'is missing' : `is not between ${min} and ${max}`)
}

export function readInteger(
  value: Json | undefined,
  where: string,
  range: { min: number; max: number },
): number {
  const number = readNumber(value, where, range)
  if (!Number.isInteger(number)) throw malformed(where, 'is not a whole number')
  return number
}
