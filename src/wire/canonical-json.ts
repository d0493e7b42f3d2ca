import { malformed } from './malformed.ts'

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

export interface JsonBounds {
  depthMax: number
  /** Elements and members, at all depths together. */
  valuesMax: number
}

/**
 * RFC 8785: one value, one text. Half a surrogate pair, which has no UTF-8, becomes U+FFFD.
 * `undefined` members are left out.
 */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (typeof value === 'object' && value !== null) return canonicalObject(value)
  if (typeof value === 'string') return JSON.stringify(value.toWellFormed())
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw new RangeError(`JSON has no ${value}.`)
  }
  return JSON.stringify(value)
}

function canonicalObject(value: object): string {
  const members = wellFormed(value)
  let text = ''
  // `sort` compares UTF-16 code units, as it has to be.
  for (const key of Object.keys(members).sort()) {
    const member = members[key]
    if (member === undefined) continue
    text += `${text === '' ? '' : ','}${JSON.stringify(key)}:${canonicalJson(member)}`
  }
  return `{${text}}`
}

function wellFormed(value: object): Record<string, unknown> {
  const isWellFormed = Object.keys(value).every((key) => key.isWellFormed())
  if (isWellFormed) return value as Record<string, unknown>
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [key.toWellFormed(), member]),
  )
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Refuses whatever is not the one text of its value: spaces, doubled or unsorted keys, other
 * spellings of numbers and characters. Its bounds hold before anything is built.
 */
export function parseCanonicalJson(bytes: Uint8Array, where: string, bounds: JsonBounds): Json {
  const text = decodeUtf8(bytes, where)
  scanJson(text, where, bounds)
  const value = parse(text, where)
  if (!isCanonical(value, text)) throw malformed(where, 'is not canonical JSON (RFC 8785)')
  return value
}

/** A number may be too large to have a text: `1e999`. */
function isCanonical(value: Json, text: string): boolean {
  try {
    return canonicalJson(value) === text
  } catch {
    return false
  }
}

export function decodeUtf8(bytes: Uint8Array, where: string): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw malformed(where, 'is not UTF-8')
  }
}

function parse(text: string, where: string): Json {
  try {
    return JSON.parse(text) as Json
  } catch {
    throw malformed(where, 'is not JSON')
  }
}

/** Throws where it goes beyond the bounds. `members`: of all its objects together. */
export function scanJson(
  text: string,
  where: string,
  { depthMax, valuesMax }: JsonBounds,
): { members: number } {
  let depth = 0
  let values = 0
  let members = 0
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (character === '"') {
      at = endOfString(text, at + 1)
    } else if (character === '[' || character === '{') {
      depth++
      values++
      if (depth > depthMax) throw malformed(where, `is nested deeper than ${depthMax}`)
    } else if (character === ']' || character === '}') {
      depth--
    } else if (character === ',') {
      values++
    } else if (character === ':') {
      members++
    }
    if (values > valuesMax) throw malformed(where, `has more than ${valuesMax} values`)
  }
  return { members }
}

/** Where the closing quote is. */
function endOfString(text: string, start: number): number {
  for (let from = start; ; ) {
    const quote = text.indexOf('"', from)
    if (quote < 0) return text.length
    let backslashes = 0
    while (text[quote - 1 - backslashes] === '\\') backslashes++
    if (backslashes % 2 === 0) return quote
    from = quote + 1
  }
}
