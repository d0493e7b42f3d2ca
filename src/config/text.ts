import { isDeepStrictEqual } from 'node:util'
import { parse, stringify } from 'smol-toml'
import { InvalidError } from '../base/errors.ts'

// Changes single values in the text of a TOML file, and leaves every other byte of it alone.

/** A name from the outermost table inwards. */
export type KeyPath = readonly string[]
type Table = Record<string, unknown>

/** `key = value` where it stands in a text. */
interface Entry {
  path: KeyPath
  /** Its whole lines, with a comment behind the value. */
  start: number
  end: number
  valueStart: number
  valueEnd: number
}

/** `[table]` */
interface Header {
  path: KeyPath
  start: number
  end: number
}

/** The same text with this value; throws an InvalidError where that can't be done safely. */
export function setInText(text: string, path: KeyPath, value: unknown): string {
  return verified(text, placed(text, path, valueText(value)), (table) => {
    let inner = table
    for (const name of path.slice(0, -1)) {
      inner[name] ??= {}
      inner = inner[name] as Table
    }
    inner[path.at(-1) ?? ''] = value
  })
}

/** The same text without this value; undefined where it has none. */
export function unsetInText(text: string, path: KeyPath): string | undefined {
  const { entries } = scan(text)
  const entry = entries.find((each) => isDeepStrictEqual(each.path, path))
  const outer = entries.find((each) => isDeepStrictEqual(each.path, path.slice(0, -1)))
  const last = path.at(-1) ?? ''
  const remove = (table: Table) => {
    const inner = path.slice(0, -1).reduce<Table>((at, name) => at[name] as Table, table)
    delete inner[last]
  }
  if (entry !== undefined) {
    const next = text.slice(0, entry.start) + text.slice(entry.end)
    // With its last line a dotted table is gone as a whole.
    return verified(text, next, remove, pruned)
  }
  if (outer === undefined) return undefined
  const inline = { ...(parse(`v = ${valueAt(text, outer)}`).v as Table) }
  if (!Object.hasOwn(inline, last)) return undefined
  delete inline[last]
  return verified(text, replaced(text, outer, inlineText(inline)), remove)
}

function placed(text: string, path: KeyPath, value: string): string {
  const { entries, headers } = scan(text)
  const own = entries.find((each) => isDeepStrictEqual(each.path, path))
  if (own !== undefined) return replaced(text, own, value)
  const tablePath = path.slice(0, -1)
  const line = `${keyText(path.at(-1) ?? '')} = ${value}`
  if (tablePath.length === 0) return withLine(text, topPlace(text, path, entries, headers), line)
  const inline = entries.find((each) => isDeepStrictEqual(each.path, tablePath))
  if (inline !== undefined) {
    const table = parse(`v = ${valueAt(text, inline)}`).v as Table
    const more = parse(`v = ${value}`).v
    return replaced(text, inline, inlineText({ ...table, [path.at(-1) ?? '']: more }))
  }
  const within = entries.filter(({ path: each }) => startsWith(each, tablePath))
  const header = headers.find((each) => isDeepStrictEqual(each.path, tablePath))
  if (header !== undefined) {
    const after = headers.find(({ start }) => start > header.start)?.start ?? text.length
    const last = within.filter(({ start }) => start > header.start && start < after).at(-1)
    return withLine(text, last?.end ?? header.end, line)
  }
  const dotted = within.at(-1)
  if (dotted !== undefined)
    return withLine(text, dotted.end, `${path.map(keyText).join('.')} = ${value}`)
  const commented = commentedHeader(text, tablePath)
  const start = `[${tablePath.map(keyText).join('.')}]`
  // Above it stands what is said of this table.
  if (commented !== undefined) return withLine(text, commented, start, line)
  return withLine(text, text.length, ...(text.trim() === '' ? [] : ['']), start, line)
}

/** Where a new key of the outermost table goes: below the comment that shows it, or behind the last. */
function topPlace(
  text: string,
  path: KeyPath,
  entries: readonly Entry[],
  headers: readonly Header[],
): number {
  const end = headers[0]?.start ?? text.length
  const top = entries.filter(({ start }) => start < end)
  const shown = [...linesOf(text)].findLast(
    (line) =>
      line.end <= end &&
      line.text.match(/^\s*#\s*([\w-]+)\s*=/)?.[1] === path[0] &&
      // A line within a value of several lines only looks like a comment.
      !top.some((entry) => entry.start <= line.start && line.start < entry.end),
  )
  if (shown !== undefined) return shown.end
  return top.at(-1)?.end ?? (headers[0] === undefined ? text.length : beforeComments(text, end))
}

/** The comments right above a header are about its table. */
function beforeComments(text: string, end: number): number {
  const above = [...linesOf(text)].filter((line) => line.end <= end)
  let place = end
  for (const line of above.reverse()) {
    if (!line.text.trimStart().startsWith('#')) break
    place = line.start
  }
  return place
}

/** Behind `#[table]` and the comments below it, if nothing but those follows. */
function commentedHeader(text: string, path: KeyPath): number | undefined {
  const wanted = `[${path.join('.')}]`
  const lines = [...linesOf(text)]
  const found = lines.findIndex((line) => /^\s*#\s*(\[.*\])\s*$/.exec(line.text)?.[1] === wanted)
  const onlyComments = lines.slice(found).every((line) => /^\s*(#|$)/.test(line.text))
  return found >= 0 && onlyComments ? text.length : undefined
}

function replaced(text: string, { valueStart, valueEnd }: Entry, value: string): string {
  return text.slice(0, valueStart) + value + text.slice(valueEnd)
}

const valueAt = (text: string, { valueStart, valueEnd }: Entry): string =>
  text.slice(valueStart, valueEnd)

function withLine(text: string, place: number, ...lines: string[]): string {
  const end = text.includes('\r\n') ? '\r\n' : '\n'
  const before = text.slice(0, place)
  const open = before !== '' && !before.endsWith('\n') ? end : ''
  return before + open + lines.map((line) => line + end).join('') + text.slice(place)
}

/** Nothing is believed of a text that was put together: it must read as the old one, changed. */
function verified(
  before: string,
  after: string,
  change: (table: Table) => void,
  also: (table: Table) => Table = (table) => table,
): string {
  const wanted = parse(before)
  change(wanted)
  let found: Table | undefined
  try {
    found = parse(after)
  } catch {
    // Said below.
  }
  if (found !== undefined && isDeepStrictEqual(plain(also(wanted)), plain(also(found))))
    return after
  throw new InvalidError(
    undefined,
    'The file is written in a way that cannot be changed without harm. Change it in an editor.',
  )
}

/** Without tables that hold nothing. */
function pruned(table: Table): Table {
  const kept = Object.entries(table).filter(([, value]) => !isDeepStrictEqual(plain(value), {}))
  return Object.fromEntries(kept)
}

/** Which prototype the parser gives its tables means nothing. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null || value instanceof Date) return value
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]))
}

const valueText = (value: unknown): string => stringify({ v: value }).trim().replace(/^v = /, '')

const keyText = (key: string): string =>
  /^[A-Za-z0-9_-]+$/.test(key) ? key : stringify({ v: key }).trim().replace(/^v = /, '')

function inlineText(table: Table): string {
  const entries = Object.entries(table).map(([key, each]) => `${keyText(key)} = ${valueText(each)}`)
  return entries.length === 0 ? '{}' : `{ ${entries.join(', ')} }`
}

const startsWith = (path: KeyPath, start: KeyPath): boolean =>
  path.length > start.length && start.every((name, at) => path[at] === name)

function* linesOf(text: string): Generator<{ text: string; start: number; end: number }> {
  for (let start = 0; start < text.length; ) {
    const end = lineEnd(text, start)
    yield { text: text.slice(start, end).replace(/\r?\n$/, ''), start, end }
    start = end
  }
}

/** Behind the end of the line. */
function lineEnd(text: string, from: number): number {
  const found = text.indexOf('\n', from)
  return found < 0 ? text.length : found + 1
}

/** Every entry and header of a text that is known to parse. */
function scan(text: string): { entries: Entry[]; headers: Header[] } {
  const entries: Entry[] = []
  const headers: Header[] = []
  let table: KeyPath = []
  let at = 0
  while (at < text.length) {
    const start = at
    at = skip(text, at, /[ \t\r\n]/)
    const lineStart = Math.max(start, text.lastIndexOf('\n', at - 1) + 1)
    if (text[at] === '#') at = lineEnd(text, at)
    else if (text[at] === '[') {
      const open = skip(text, at, /\[/)
      const close = keyEnd(text, open)
      table = keyPath(text.slice(open, close))
      at = lineEnd(text, close)
      headers.push({ path: table, start: lineStart, end: at })
    } else if (at < text.length) {
      const equals = keyEnd(text, at)
      const path = [...table, ...keyPath(text.slice(at, equals))]
      const valueStart = skip(text, equals + 1, /[ \t]/)
      const valueEnd = endOfValue(text, valueStart, /[#\r\n]/)
      at = lineEnd(text, valueEnd)
      entries.push({ path, start: lineStart, end: at, valueStart, valueEnd })
    }
  }
  return { entries, headers }
}

function skip(text: string, from: number, what: RegExp): number {
  let at = from
  while (at < text.length && what.test(text[at] ?? '')) at += 1
  return at
}

/** At the `=` or `]` behind a key, which may hold either in quotes. */
function keyEnd(text: string, from: number): number {
  let at = from
  while (at < text.length && !/[=\]]/.test(text[at] ?? '')) {
    at = /["']/.test(text[at] ?? '') ? endOfString(text, at) : at + 1
  }
  return at
}

/** As the parser reads it, with its quotes, dots and escapes. */
function keyPath(key: string): string[] {
  const path: string[] = []
  let inner: unknown = parse(`${key.trim()} = 0`)
  while (typeof inner === 'object' && inner !== null) {
    const [name = ''] = Object.keys(inner)
    path.push(name)
    inner = (inner as Table)[name]
  }
  return path
}

function endOfValue(text: string, from: number, bareEnd: RegExp): number {
  const first = text[from] ?? ''
  if (/["']/.test(first)) return endOfString(text, from)
  if (/[[{]/.test(first)) return endOfGroup(text, from)
  let at = from
  while (at < text.length && !bareEnd.test(text[at] ?? '')) at += 1
  return from + text.slice(from, at).trimEnd().length
}

function endOfGroup(text: string, from: number): number {
  let depth = 0
  for (let at = from; at < text.length; ) {
    const each = text[at] ?? ''
    if (/["']/.test(each)) at = endOfString(text, at)
    else if (each === '#') at = lineEnd(text, at)
    else {
      at += 1
      if (/[[{]/.test(each)) depth += 1
      if (/[\]}]/.test(each)) depth -= 1
      if (depth === 0) return at
    }
  }
  return text.length
}

function endOfString(text: string, from: number): number {
  const quote = text[from] ?? ''
  const triple = quote.repeat(3)
  const long = text.startsWith(triple, from)
  const close = long ? triple : quote
  let at = from + close.length
  while (at < text.length && !text.startsWith(close, at)) {
    at += quote === '"' && text[at] === '\\' ? 2 : 1
  }
  at += close.length
  // Up to two quotes may stand right before the three that end it.
  while (long && text[at] === quote) at += 1
  return Math.min(at, text.length)
}
