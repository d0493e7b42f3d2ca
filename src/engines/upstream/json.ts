import { garbled } from './upstream-errors.ts'

/** A JSON object that somebody else wrote: nothing of it is believed before it was looked at. */
export type Fields = Readonly<Record<string, unknown>>

export function parseFields(text: string): Fields {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw garbled('no JSON')
  }
  const fields = fieldsOf(value)
  if (fields === undefined) throw garbled('JSON that is no object')
  return fields
}

export function fieldsOf(value: unknown): Fields | undefined {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  return isObject ? (value as Fields) : undefined
}

/** Empty where there is none. */
export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

export const textOf = (value: unknown): string | undefined =>
  typeof value === 'string' ? value : undefined

/** A count that a counter can hold; of anything else, undefined. */
export const countOf = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= COUNT_MAX
    ? value
    : undefined

/** As the wire has counts. */
const COUNT_MAX = 2 ** 32 - 1
