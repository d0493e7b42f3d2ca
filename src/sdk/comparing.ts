import { canonicalJson, type Json } from '../wire/canonical-json.ts'
import { isObject } from '../wire/json-reader.ts'

export type Members = Record<string, Json>

export interface Compared {
  /** What is said otherwise than it is covered: `model`, `tokens.output`. */
  wrong: string[]
  /** What is said, and not covered. */
  unsigned: string[]
}

/** What is said, member by member, against what is known. A member that is not there says nothing. */
export function compare(said: Members, covered: Members): Compared {
  const compared: Compared = { wrong: [], unsigned: [] }
  compareMembers(said, covered, '', compared)
  return compared
}

function compareMembers(said: Members, covered: Members, within: string, to: Compared): void {
  for (const [name, value] of Object.entries(said)) {
    const at = within + name
    const known = Object.hasOwn(covered, name) ? covered[name] : undefined
    if (known !== undefined) compareValues(value, known, at, to)
    else if (saysSomething(value)) to.unsigned.push(at)
  }
}

function compareValues(said: Json, covered: Json, at: string, to: Compared): void {
  if (isObject(said) && isObject(covered)) compareMembers(said, covered, `${at}.`, to)
  else if (Array.isArray(said) && Array.isArray(covered) && said.length === covered.length) {
    for (const [i, value] of said.entries())
      compareValues(value, covered[i] ?? null, `${at}.${i}`, to)
  } else if (canonicalJson(said) !== canonicalJson(covered)) to.wrong.push(at)
}

/** Neither null nor an empty list, nor made of these alone. */
function saysSomething(value: Json): boolean {
  if (typeof value !== 'object') return true
  return value !== null && Object.values(value).some(saysSomething)
}
