import { type Json, type JsonBounds, scanJson } from './canonical-json.ts'
import { malformed } from './malformed.ts'

export interface FileBounds extends JsonBounds {
  bytesMax: number
}

const utf8 = new TextEncoder()

/**
 * JSON that all readers understand alike (RFC 7493): no member twice, no half of a surrogate pair,
 * no number that no double holds. Its bounds hold before anything is built.
 */
export function parseIJson(text: string, where: string, bounds: FileBounds): Json {
  // A character has one byte at least and three for each of its units at most.
  const isLong =
    text.length > bounds.bytesMax ||
    (text.length * 3 > bounds.bytesMax && utf8.encode(text).length > bounds.bytesMax)
  if (isLong) throw malformed(where, `is longer than ${bounds.bytesMax} bytes`)
  const { members } = scanJson(text, where, bounds)
  const value = parse(text, where)
  // Of two members of one name, the parser keeps one.
  if (countMembers(value, where) !== members) throw malformed(where, 'has a member twice')
  return value
}

function parse(text: string, where: string): Json {
  try {
    return JSON.parse(text) as Json
  } catch {
    throw malformed(where, 'is not JSON')
  }
}

function countMembers(value: Json, where: string): number {
  if (typeof value === 'string' && !value.isWellFormed()) {
    throw malformed(where, 'has half of a surrogate pair')
  }
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw malformed(where, 'has a number that is too large')
  }
  if (typeof value !== 'object' || value === null) return 0
  let count = 0
  if (Array.isArray(value)) {
    for (const each of value) count += countMembers(each, where)
    return count
  }
  // Without lists of its keys and values: whoever sends a file may fill it with members.
  for (const key in value) {
    count += 1 + countMembers(key, where) + countMembers(value[key] as Json, where)
  }
  return count
}
