import type { Random } from '../../src/base/random.ts'

type Json = string | number | boolean | null | Json[] | { [name: string]: Json }

export interface Tampered {
  /** What was changed: `entries.0.path.2`. */
  at: string
  text: string
}

/** Copies of a file of JSON, in each of them one value changed, or one more or less in a list. */
export function* tampered(file: string, random: Random): Generator<Tampered> {
  for (const path of pathsOf(JSON.parse(file) as Json)) {
    const copy = JSON.parse(file)
    const [last = '', ...outer] = path.toReversed()
    const inner = outer.reduceRight((value, name) => value[name], copy)
    inner[last] = changed(inner[last], random)
    yield { at: path.join('.'), text: JSON.stringify(copy) }
  }
}

/** Whether a change there is one of what these names stand for. */
export const isAmong = (names: readonly string[], at: string): boolean =>
  names.some((name) => at === name || at.startsWith(`${name}.`))

/** To each value that has none in it, and to each list of such. */
function* pathsOf(value: Json, path: string[] = []): Generator<string[]> {
  if (typeof value !== 'object' || value === null) yield path
  else {
    if (Array.isArray(value) && value.every((each) => typeof each !== 'object')) yield path
    for (const [name, inner] of Object.entries(value)) yield* pathsOf(inner, [...path, name])
  }
}

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
const HEX = '0123456789abcdef'

function changed(value: Json, random: Random): Json {
  if (typeof value === 'boolean') return !value
  const isLess = random.below(2) === 0
  if (typeof value === 'number') return isLess && value > 0 ? value - 1 : value + 1
  if (Array.isArray(value)) {
    return isLess && value.length > 0 ? value.slice(1) : [...value, 'a'.repeat(64)]
  }
  if (typeof value !== 'string' || value === '') return 'a'
  const letters = /^[0-9a-f]*$/.test(value) ? HEX : LETTERS
  const at = random.below(value.length)
  const others = [...letters].filter((letter) => letter !== value[at])
  return `${value.slice(0, at)}${others[random.below(others.length)]}${value.slice(at + 1)}`
}
