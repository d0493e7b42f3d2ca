import type { Json } from './canonical-json.ts'
import { type FileBounds, parseIJson } from './i-json.ts'
import { readArray, readInteger, readNumber, readObject, readString } from './json-reader.ts'
import { malformed } from './malformed.ts'
import { anyText, country, jobId, peerId, shown, type TextRule, token } from './rules.ts'
import { utf8Length } from './utf8-length.ts'
import { type V8Event, type V8Node, type V8Receipt, type V8Usage, v8Limits } from './v8-event.ts'

type Members = Readonly<Record<string, Json | undefined>>
type Name = V8Event['event']

const bounds: FileBounds = { bytesMax: v8Limits.eventBytes, depthMax: 16, valuesMax: 32_768 }

const counts = { min: 0, max: Number.MAX_SAFE_INTEGER }
const finite = { min: -Number.MAX_VALUE, max: Number.MAX_VALUE }
const NODES_MAX = 32

const requestId = {
  bytesMax: 30,
  pattern: /^req_[0-9a-hjkmnp-tv-z]{26}$/,
  says: 'is not the id of a request',
} satisfies TextRule
const name = { ...shown, bytesMax: 256 } satisfies TextRule
const text = anyText(v8Limits.textBytes)
const message = anyText(16 * 1024)
const receiptCid = {
  bytesMax: 76,
  pattern: /^ryv1:sha256:[0-9a-f]{64}$/,
  says: 'is not the CID of a receipt',
} satisfies TextRule
const rawCid = {
  bytesMax: 59,
  pattern: /^bafkrei[a-h][a-z2-7]{50}[aeimquy4]$/,
  says: 'is not the CID of a receipt',
} satisfies TextRule
const nonce = {
  bytesMax: 64,
  pattern: /^[0-9a-f]{64}$/,
  says: 'is not 64 hex digits',
} satisfies TextRule

/**
 * An event from the JSON behind `data:`; undefined for one that only a newer version knows. Throws
 * `malformed`. Members that are not known are passed over.
 */
export function decodeV8Event(json: string): V8Event | undefined {
  const members = readObject(parseIJson(json, 'event', bounds), 'event')
  const said = nameOf(members)
  return Object.hasOwn(readers, said) ? readers[said as Name](members) : undefined
}

/** An event as it is sent, `seq` being how many came before it. */
export function v8Frame(event: V8Event, seq: number): string {
  // JSON has no raw line breaks: no text of a model can begin a line of its own.
  return `event: ${event.event}\nid: ${seq}\ndata: ${JSON.stringify(event)}\n\n`
}

/** What stands between a peer and its client tells of a fault as OpenAI does: without a name. */
function nameOf({ event, error }: Members): string {
  if (event === undefined && error !== undefined) return 'error'
  if (event !== undefined) return readString(event, 'event')
  throw malformed('event', 'is missing: ask for the answer with `"stream_mode": "v8"`')
}

const readers: { [N in Name]: (members: Members) => Extract<V8Event, { event: N }> } = {
  'stream.open': (members) => ({
    event: 'stream.open',
    request_id: readText(members, 'request_id', requestId),
    job_id: readText(members, 'job_id', jobId),
    model: readText(members, 'model', name),
    node: readNode(readObject(members.node, 'node')),
    open_cid: orNull(members, 'open_cid', receiptCid),
  }),

  'token.provisional': (members) => ({
    event: 'token.provisional',
    request_id: readText(members, 'request_id', requestId),
    id: readCount(members, 'id'),
    text: readText(members, 'text', text),
    draft_node: readText(members, 'draft_node', peerId),
    ts_ms: readCount(members, 'ts_ms'),
  }),

  'token.commit': (members) => ({
    event: 'token.commit',
    request_id: readText(members, 'request_id', requestId),
    id: readCount(members, 'id'),
    text: readText(members, 'text', text),
    logprob: members.logprob === null ? null : readNumber(members.logprob, 'logprob', finite),
    ...(members.rest !== undefined && { rest: readBoolean(members, 'rest') }),
  }),

  'token.rollback': (members) => ({
    event: 'token.rollback',
    request_id: readText(members, 'request_id', requestId),
    from_id: readCount(members, 'from_id'),
    reason: readText(members, 'reason', token),
  }),

  'receipt.bound': (members) => ({
    event: 'receipt.bound',
    request_id: readText(members, 'request_id', requestId),
    cid: readText(members, 'cid', receiptCid),
    segment_start: readCount(members, 'segment_start'),
    segment_end: readCount(members, 'segment_end'),
  }),

  'token.finalize': (members) => ({
    event: 'token.finalize',
    request_id: readText(members, 'request_id', requestId),
    ...readFinal(members),
    tokens_committed: readCount(members, 'tokens_committed'),
    tokens_rolled_back: readCount(members, 'tokens_rolled_back'),
    finish_reason: readText(members, 'finish_reason', token),
    usage: readUsage(readObject(members.usage, 'usage')),
  }),

  error: (members) => ({
    event: 'error',
    error: readError(readObject(members.error, 'error')),
  }),
}

const readNode = (members: Members): V8Node => ({
  id: readText(members, 'id', peerId),
  gpu: orNull(members, 'gpu', shown),
  country: orNull(members, 'country', country),
})

function readBoolean(members: Members, key: string): boolean {
  const value = members[key]
  if (typeof value === 'boolean') return value
  throw malformed(key, 'is neither true nor false')
}

function readFinal(members: Members): { final_cid: string | null; receipt: V8Receipt | null } {
  const cid = orNull(members, 'final_cid', receiptCid)
  const receipt =
    members.receipt === null ? null : readReceipt(readObject(members.receipt, 'receipt'))
  if (cid !== (receipt?.cid ?? null)) throw malformed('final_cid', 'is not that of the receipt')
  return { final_cid: cid, receipt }
}

const readReceipt = (members: Members): V8Receipt => ({
  cid: readText(members, 'cid', receiptCid),
  multiformats_cid: readText(members, 'multiformats_cid', rawCid),
  status: readText(members, 'status', token),
  node_id: readText(members, 'node_id', peerId),
  prompt_nonce: readText(members, 'prompt_nonce', nonce),
  ...(members.resumed !== undefined && { resumed: readCount(members, 'resumed') }),
  ...(members.nodes !== undefined && {
    nodes: readArray(members.nodes, 'nodes', nodes, readPeerId),
  }),
})

const nodes = { min: 0, max: NODES_MAX }
const readPeerId = (value: Json, where: string): string => checkText(value, where, peerId)

const readUsage = (members: Members): V8Usage => ({
  prompt_tokens: readCount(members, 'prompt_tokens'),
  completion_tokens: readCount(members, 'completion_tokens'),
  total_tokens: readCount(members, 'total_tokens'),
})

/** Others write them too, and leave out what they have no word for. */
const readError = ({ message: said, type = null, param = null, code = null }: Members) => ({
  message: checkText(said, 'error.message', message),
  type: checkOrNull(type, 'error.type', message),
  param: checkOrNull(param, 'error.param', message),
  code: checkOrNull(code, 'error.code', message),
})

const readCount = (members: Members, key: string): number => readInteger(members[key], key, counts)

const readText = (members: Members, key: string, rule: TextRule): string =>
  checkText(members[key], key, rule)

const orNull = (members: Members, key: string, rule: TextRule): string | null =>
  checkOrNull(members[key], key, rule)

const checkOrNull = (value: Json | undefined, where: string, rule: TextRule): string | null =>
  value === null ? null : checkText(value, where, rule)

function checkText(value: Json | undefined, where: string, rule: TextRule): string {
  const found = readString(value, where)
  if (utf8Length(found) > rule.bytesMax) {
    throw malformed(where, `is longer than ${rule.bytesMax} bytes`)
  }
  if (!rule.pattern.test(found)) throw malformed(where, rule.says)
  return found
}
