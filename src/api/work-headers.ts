import type { Node, Route, Routed } from '../wire/chunk.ts'

/** What an answer says of the work, in this order, under two prefixes: ours and the source product's. */
const headFields = ['Node-ID', 'Node-GPU', 'Node-Country', 'Model', 'Tokens-Input'] as const
/** Not known before the end. */
const TOKENS_OUTPUT = 'Tokens-Output'

const ours = (field: string): string => `X-Pinaivu-${field}`
const theirs = (field: string): string => `X-Ryvion-${field}`

// Made once: an answer has a dozen of them.
const headNames = headFields.map((field) => [
  ours(field).toLowerCase(),
  theirs(field).toLowerCase(),
  theirs(field),
])
const [oursAtEnd, theirsAtEnd] = [ours(TOKENS_OUTPUT), theirs(TOKENS_OUTPUT)]
const ROUTE = 'x-pinaivu-route'

/** What a stream announces to come after its last event. */
export const trailerNames = `${oursAtEnd}, ${theirsAtEnd}`

/** Headers of ours that a page may read. */
export const workHeaderNames: readonly string[] = [
  'X-Pinaivu-Route',
  ...['Receipt-CID', ...headFields, TOKENS_OUTPUT, 'Verification'].flatMap((field) => [
    ours(field),
    theirs(field),
  ]),
]

export type Headers = Record<string, string>

/** For the head of an answer. */
export function workHeaders(routed: Routed): Headers {
  const headers: Headers = { [ROUTE]: routeHeader(routed.route) }
  for (const [at, value] of valuesOf(routed).entries()) {
    const [our = '', their = ''] = headNames[at] ?? []
    headers[our] = value
    headers[their] = value
  }
  return headers
}

/** For its end: a header of an answer that is sent as a whole, a trailer of a stream. */
export function endHeaders(outputTokens: number): Headers {
  const count = String(outputTokens)
  return { [oursAtEnd]: count, [theirsAtEnd]: count }
}

/** The same inside a JSON body, where the users of an SDK look for `answer.headers[…]`. */
export function bodyHeaders(routed: Routed, outputTokens: number): Headers {
  const headers: Headers = {}
  for (const [at, value] of valuesOf(routed).entries()) headers[headNames[at]?.[2] ?? ''] = value
  headers[theirsAtEnd] = String(outputTokens)
  return headers
}

/** In the first event of a stream. */
export function nodeJson({ id, gpu, country }: Node): NodeJson {
  return { id, gpu: gpu ?? null, country: country ?? null }
}

export interface NodeJson {
  id: string
  gpu: string | null
  country: string | null
}

function valuesOf({ node, model, inputTokens }: Routed): string[] {
  return [
    headerText(node.id),
    node.gpu === undefined ? 'cpu' : headerText(node.gpu),
    headerText(node.country ?? ''),
    headerText(model.name),
    String(inputTokens),
  ]
}

/** Longer than any honest name. */
const TEXT_CHARS_MAX = 256

/** Peers and files choose their names: nothing of them may end a header or begin another. */
function headerText(text: string): string {
  const plain = text.slice(0, TEXT_CHARS_MAX).replace(/[^\x20-\x7e]/g, '?')
  return plain.trim() || 'unknown'
}

/** Bytes. Proxies refuse heads that are long in all; this one explains and nothing depends on it. */
const ROUTE_BYTES_MAX = 2048
/** How much of each list is shown: the first of these that fits. */
const routeLengths = [8, 4, 2, 1, 0]

/** How the peer that answers was found, as JSON in plain ASCII. */
export function routeHeader(route: Route): string {
  for (const length of routeLengths) {
    const text = escaped(JSON.stringify(shortened(route, length)))
    if (text.length <= ROUTE_BYTES_MAX) return text
  }
  return '{}'
}

export function routeHeaders(route: Route | undefined): Headers {
  return route === undefined ? {} : { [ROUTE]: routeHeader(route) }
}

/** The best candidates, and the attempts that came last: those decided. */
function shortened({ candidates, excluded, attempts }: Route, length: number): Route {
  return {
    candidates: candidates
      .slice(0, length)
      .map(({ node, score, reasons }) => ({ node, score: rounded(score), reasons })),
    excluded: Object.fromEntries(Object.entries(excluded).slice(0, length)),
    attempts: attempts
      .slice(Math.max(0, attempts.length - length))
      .map(({ node, outcome, ms }) => ({ node, outcome, ms: Math.round(ms) })),
  }
}

const rounded = (score: number): number => Math.round(score * 1000) / 1000

/** JSON has its own word for every other character, and has no control characters already. */
function escaped(json: string): string {
  return json.replace(
    /[^\x20-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
