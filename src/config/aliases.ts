import { InvalidError } from '../base/errors.ts'
import { isModelName } from './setting-values.ts'

/** The table in config.toml that gives models other names. */
export const aliasKey = 'aliases'

/** More names than anybody remembers; each is looked at for every request. */
const ALIASES_MAX = 1_000

/** Alias → name of a model, as it was written. Throws an InvalidError on what cannot work. */
export function aliasesOf(value: unknown): Record<string, string> {
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : undefined
  if (entries === undefined || Array.isArray(value)) {
    throw new InvalidError(undefined, 'expected a table, such as gpt-4o-mini = "pinaivu-demo".')
  }
  if (entries.length > ALIASES_MAX) {
    throw new InvalidError(undefined, `expected at most ${ALIASES_MAX} names.`)
  }
  for (const [alias, name] of entries) {
    if (typeof name !== 'string' || !isModelName(name) || !isModelName(alias)) {
      throw new InvalidError(alias, `expected "${alias}" to be given the name of a model.`)
    }
  }
  // No prototype: a request for the model "constructor" must find nothing.
  return Object.assign(Object.create(null), Object.fromEntries(entries))
}

/** The same with every alias of an alias followed to its end. Throws where there is none. */
export function followAliases(aliases: Readonly<Record<string, string>>): Record<string, string> {
  const followed: Record<string, string> = Object.create(null)
  for (const alias of Object.keys(aliases)) {
    const way = [alias]
    for (let next = aliases[alias]; next !== undefined; next = aliases[next]) {
      if (way.includes(next)) {
        const loop = [...way, next].join(' → ')
        throw new InvalidError(alias, `expected "${alias}" to end at a model, but: ${loop}.`)
      }
      way.push(next)
    }
    followed[alias] = way.at(-1) ?? alias
  }
  return followed
}
