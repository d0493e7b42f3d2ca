import type { AnswerReceipt, Node, Resumed, Route, Routed, Usage } from '../wire/chunk.ts'

/** Names of what an answer says of the work, under two prefixes: ours and the source product's. */
const fields = ['Receipt-CID', 'Node-ID', 'Node-GPU', 'Node-Country', 'Model', 'Tokens-Input']
const fieldsAtEnd = ['Tokens-Output', 'Verification']

/** What a stream announces to come after its last event. */
export const trailerNames =
  'X-Pinaivu-Tokens-Output, X-Ryvion-Tokens-Output, X-Pinaivu-Receipt-CID, ' +
  'X-Ryvion-Receipt-CID, X-Pinaivu-Resumed, X-Pinaivu-Route, X-Pinaivu-Node-ID, ' +
  'X-Ryvion-Node-ID, X-Pinaivu-Tokens-Input, X-Ryvion-Tokens-Input'

/** Headers of ours that a page may read. */
export const workHeaderNames: readonly string[] = [
  'X-Pinaivu-Route',
  'X-Pinaivu-Resumed',
  ...[...fields, ...fieldsAtEnd].flatMap((field) => [`X-Pinaivu-${field}`, `X-Ryvion-${field}`]),
]

export type Headers = Record<string, string>

/** For the head of an answer. Of receipts, only the open one is there by then. */
export function workHeaders({ node, model, inputTokens, route, openCid }: Routed): Headers {
  const id = headerText(node.id)
  const gpu = gpuText(node)
  const country = headerText(node.country ?? '')
  const name = headerText(model.name)
  // Some servers count a prompt when they have answered it.
  const counted = inputTokens === 0 ? undefined : inputHeaders(inputTokens)
  // Written out: every answer has them, and a loop over names costs more than they do.
  return {
    'x-pinaivu-node-id': id,
    'x-ryvion-node-id': id,
    'x-pinaivu-node-gpu': gpu,
    'x-ryvion-node-gpu': gpu,
    'x-pinaivu-node-country': country,
    'x-ryvion-node-country': country,
    'x-pinaivu-model': name,
    'x-ryvion-model': name,
    ...counted,
    'x-pinaivu-route': routeHeader(route),
    ...receiptHeaders(openCid),
  }
}

const inputHeaders = (inputTokens: number): Headers => ({
  'x-pinaivu-tokens-input': String(inputTokens),
  'x-ryvion-tokens-input': String(inputTokens),
})

interface Ended {
  usage: Pick<Usage, 'inputTokens' | 'outputTokens'>
  receipt?: AnswerReceipt | undefined
  resumed?: Resumed | undefined
}

/** For the end of an answer that is sent as a whole. */
export function endHeaders({ usage, receipt, resumed }: Ended): Headers {
  const tokens = String(usage.outputTokens)
  return {
    'x-pinaivu-tokens-output': tokens,
    'x-ryvion-tokens-output': tokens,
    ...receiptHeaders(receipt?.cid),
    ...(resumed && resumedHeaders(resumed)),
  }
}

/** For that of a stream, whose head names the first peer alone. */
export function endTrailers(done: Ended): Headers {
  const headers = { ...endHeaders(done), ...inputHeaders(done.usage.inputTokens) }
  if (done.resumed === undefined) return headers
  const ids = done.resumed.nodes.map(headerText).join(', ')
  return { ...headers, 'x-pinaivu-node-id': ids, 'x-ryvion-node-id': ids }
}

const resumedHeaders = ({ times, route }: Resumed): Headers => ({
  'x-pinaivu-resumed': String(times),
  ...routeHeaders(route),
})

const receiptHeaders = (cid: string | undefined): Headers =>
  cid === undefined ? {} : { 'x-pinaivu-receipt-cid': cid, 'x-ryvion-receipt-cid': cid }

/** The same inside a JSON body, where the users of an SDK look for `answer.headers[…]`. */
export function bodyHeaders(
  { node, model }: Routed,
  { inputTokens, outputTokens }: Usage,
  receipt: AnswerReceipt | undefined,
): Headers {
  return {
    ...(receipt && { 'X-Ryvion-Receipt-CID': receipt.cid }),
    'X-Ryvion-Node-ID': headerText(node.id),
    'X-Ryvion-Node-GPU': gpuText(node),
    'X-Ryvion-Node-Country': headerText(node.country ?? ''),
    'X-Ryvion-Model': headerText(model.name),
    'X-Ryvion-Tokens-Input': String(inputTokens),
    'X-Ryvion-Tokens-Output': String(outputTokens),
  }
}

/** In the body of an answer, and in the last event of a stream that has a choice. */
export const receiptOfAnswer = (
  receipt: AnswerReceipt,
  resumed: Resumed | undefined,
): AnswerReceiptJson => ({
  cid: receipt.cid,
  multiformats_cid: receipt.multiformatsCid,
  status: receipt.status,
  node_id: receipt.nodeId,
  prompt_nonce: receipt.promptNonce,
  ...(resumed && { resumed: resumed.times, nodes: resumed.nodes }),
})

export interface AnswerReceiptJson {
  cid: string
  multiformats_cid: string
  status: 'final' | 'partial'
  node_id: string
  prompt_nonce: string
  resumed?: number
  nodes?: string[]
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

const gpuText = ({ gpu }: Node): string => (gpu === undefined ? 'cpu' : headerText(gpu))

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
  return route === undefined ? {} : { 'x-pinaivu-route': routeHeader(route) }
}

/** The best candidates, and the attempts that came last: those decided. */
function shortened({ candidates, excluded, attempts, resumed }: Route, length: number): Route {
  return {
    candidates: candidates
      .slice(0, length)
      .map(({ node, score, reasons }) => ({ node, score: rounded(score), reasons })),
    excluded: Object.fromEntries(Object.entries(excluded).slice(0, length)),
    attempts: attempts
      .slice(Math.max(0, attempts.length - length))
      .map(({ node, outcome, ms }) => ({ node, outcome, ms: Math.round(ms) })),
    ...(resumed === undefined ? {} : { resumed }),
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
