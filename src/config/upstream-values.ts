import { InvalidError } from '../base/errors.ts'
import type { UpstreamSpec } from '../engines/upstream/upstream.ts'
import type { ParseValue } from './setting-values.ts'

const URL_CHARS_MAX = 2_048
/** It stands before the names of its models, and in the name of the variable with its key. */
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
const example = 'such as ollama=http://127.0.0.1:11434'

/** `NAME=URL`, or `NAME=URL#MODEL` for one of its models alone. */
export const parseUpstreamSpec: ParseValue<UpstreamSpec> = (text) => {
  const equals = text.indexOf('=')
  const name = text.slice(0, Math.max(equals, 0))
  if (!namePattern.test(name)) {
    throw refused(`expected NAME=URL, ${example}; a name has letters, digits and . _ -`)
  }
  const hash = text.indexOf('#')
  const address = text.slice(equals + 1, hash < 0 ? undefined : hash)
  const model = hash < 0 ? undefined : text.slice(hash + 1)
  if (model === '') throw refused(`nothing stands behind the # of ${name}: name a model there`)
  const url = serverUrl(address, name)
  return { name, url, ...(model !== undefined && { model }) }
}

/** Nothing of it is repeated: a URL that is wrong may be wrong by holding a password. */
function serverUrl(text: string, name: string): string {
  const isClean = text.length <= URL_CHARS_MAX && !/[\s\\\p{C}]/u.test(text)
  const url = isClean && /^https?:\/\/[^/]/i.test(text) ? URL.parse(text) : null
  if (url === null)
    throw refused(`the URL of ${name} must begin with http:// or https://, ${example}`)
  // An @ alone leaves no trace in a parsed URL.
  if (/^[^/]*\/\/[^/?]*@/.test(text)) {
    throw refused(
      `the URL of ${name} holds a user or password. Give its key as ${upstreamKeyName(name)}`,
    )
  }
  if (text.includes('?')) throw refused(`the URL of ${name} must end before the question mark`)
  const path = url.pathname.replace(/\/+$/, '').replace(/\/v1$/, '')
  return `${url.origin}${path}`
}

const KEY_PREFIX = 'PINAIVU_UPSTREAM_KEY_'

/** The variable that holds the key of the server of this name. */
export const upstreamKeyName = (name: string): string =>
  `${KEY_PREFIX}${name.toUpperCase().replace(/[^A-Z0-9]/g, '_')}`

export const isUpstreamKeyName = (variable: string): boolean => variable.startsWith(KEY_PREFIX)

/** Each with its key, which is in the environment alone: what is on a command line, everybody sees. */
export function withKeys(
  upstreams: readonly UpstreamSpec[],
  env: Readonly<Record<string, string | undefined>>,
): UpstreamSpec[] {
  const seen = new Map<string, string>()
  return upstreams.map((spec) => {
    const variable = upstreamKeyName(spec.name)
    const other = seen.get(variable)
    if (other !== undefined) {
      const why = other === spec.name ? '' : ': they would have one key'
      throw new InvalidError('upstream', `upstream: ${other} and ${spec.name} are too alike${why}.`)
    }
    seen.set(variable, spec.name)
    const key = env[variable]?.trim()
    if (key === undefined || key === '') return spec
    if (!/^[\x21-\x7e]{1,4096}$/.test(key)) {
      throw new InvalidError(variable, `${variable}: a key has no spaces and no odd characters.`)
    }
    return { ...spec, key: () => key }
  })
}

const refused = (why: string): InvalidError => new InvalidError(undefined, `${why}.`)
