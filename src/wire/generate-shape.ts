import {
  bool,
  bytes,
  enumeration,
  float,
  nested,
  octets,
  string,
  uint32,
  uint64,
} from './fields.ts'
import { jobKinds } from './generate.ts'
import { limits } from './job.ts'
import { enumerations, messages, strings, uint32s } from './list-fields.ts'
import { FRAME_BYTES_MAX } from './protocols.ts'
import { anyText, country, jobId, modelId, param, peerId, sentence, token } from './rules.ts'
import { message, oneof } from './shape.ts'
import { signedShape } from './signed.ts'

/** What the HTTP endpoint takes of a client. */
export const BODY_BYTES_MAX = 20 * 1024 * 1024
/** Text and ids of all choices: some 100,000 tokens each of a few of them. */
export const RESUME_BYTES_MAX = 4 * 1024 * 1024
/** An hour: nobody waits for longer. */
export const TIME_MS_MAX = 3_600_000
/** Nobody tries longer for one request. */
const ATTEMPTS_MAX = 1000
const DRAFTERS_MAX = 8
/** A writer sends 16 at most; text that was held back can have more at once. */
export const TOKENS_MAX = 256
const TEXT_BYTES_MAX = 32 * 1024
/** The longest tokens of today's vocabularies have 256 bytes of spaces. */
const TOKEN_BYTES_MAX = 512
const TOKENS_PER_CHOICE_MAX = 1 << 20
/** A record of the log. */
const ENTRY_BYTES_MAX = 32 * 1024
/** One vector fits into a frame; the longest of today's models have half as many numbers. */
export const VECTOR_LENGTH_MAX = 16_000

const hash = { min: 32, max: 32 }
const hashOrNone = { ...hash, optional: true } as const
const signatureOrNone = { min: 64, max: 64, optional: true } as const
const price = { max: limits.priceMax }
const time = { min: 1, max: TIME_MS_MAX }

export const jobShape = message('Job', {
  jobId: string(1, jobId),
  provider: string(2, peerId),
  coordinator: string(3, peerId),
  expiresInMs: uint32(4, time),
  promptRoot: bytes(5, hash),
  promptNonce: bytes(6, hash),
  model: string(7, modelId),
  kind: enumeration({ number: 8, type: 'Kind', values: jobKinds, unknown: 'unknown' }),
  bodyBytes: uint64(9, { min: 1, max: BODY_BYTES_MAX }),
  sampler: string(10, token, 'optional'),
  seed: uint64(11),
  maxOutputTokens: uint32(12),
  firstTokenMs: uint32(13, time),
  totalMs: uint32(14, time),
  maxPriceInput: uint64(15, price),
  maxPriceOutput: uint64(16, price),
  priceCapped: bool(17),
  verification: enumeration({ number: 18, type: 'Verification', values: ['none', 'cross-node'] }),
  jurisdiction: string(19, country, 'optional'),
  publish: enumeration({ number: 20, type: 'Publish', values: ['receipts', 'none'] }),
  receiptPrivacy: enumeration({ number: 21, type: 'ReceiptPrivacy', values: ['plain', 'salted'] }),
  cacheScope: bytes(22, hashOrNone),
  provisional: bool(23),
  drafters: strings(24, peerId, DRAFTERS_MAX),
  attempt: uint32(25, { min: 1, max: ATTEMPTS_MAX }),
  resumeBytes: uint64(26, { max: RESUME_BYTES_MAX }),
  resumeHash: bytes(27, hashOrNone),
})

const resume = message('Resume', {
  choice: uint32(1, { max: limits.choicesMax - 1 }),
  text: string(2, anyText(RESUME_BYTES_MAX)),
  ids: uint32s(3, TOKENS_PER_CHOICE_MAX),
})

export const resumesShape = message('Resumes', {
  resumes: messages(1, resume, limits.choicesMax),
})

const choice = (number: number) => uint32(number, { max: limits.choicesMax - 1 })

const cancel = message('Cancel', {
  received: uint32s(1, limits.choicesMax),
})

const ack = message('Ack', {
  entry: bytes(1, { max: ENTRY_BYTES_MAX }),
  dispute: string(2, token, 'optional'),
})

const committed = message('Committed', {
  choice: choice(1),
  first: uint32(2),
  ids: uint32s(3, TOKENS_MAX),
})

const fault = {
  code: string(1, token),
  message: string(2, sentence),
  param: string(3, param),
  retryAfterMs: uint32(4, { max: TIME_MS_MAX }),
}

const accept = message('Accept', {
  inputTokens: uint32(1),
  priceInput: uint64(2, price),
  priceOutput: uint64(3, price),
  allowance: uint32(4),
  openSignature: bytes(5, signatureOrNone),
  resumedAt: uint32s(6, limits.choicesMax),
})

const progress = message('Progress', {
  queued: uint32(1),
  prefilled: uint32(2),
  total: uint32(3),
  inputTokens: uint32(4),
})

const scored = {
  token: string(1, anyText(TOKEN_BYTES_MAX)),
  bytes: octets(2, TOKEN_BYTES_MAX),
  logprob: float(3),
}

const alternative = message('Alternative', scored)

const logprob = message('Logprob', {
  ...scored,
  top: messages(4, alternative, limits.topLogprobsMax),
})

const tokens = message('Tokens', {
  choice: choice(1),
  first: uint32(2),
  ids: uint32s(3, TOKENS_MAX),
  text: string(4, anyText(TEXT_BYTES_MAX)),
  logprobs: messages(5, logprob, TOKENS_MAX),
  channel: enumeration({ number: 6, type: 'Channel', values: ['content', 'reasoning', 'tool'] }),
  toolIndex: uint32(7),
  toolName: string(8, { ...sentence, bytesMax: 128 }),
  toolCallId: string(9, { ...sentence, bytesMax: 128 }),
})

const vectors = message('Vectors', {
  first: uint32(1, { max: limits.embeddingInputsMax - 1 }),
  length: uint32(2, { min: 1, max: VECTOR_LENGTH_MAX }),
  values: bytes(3, { min: 4, max: FRAME_BYTES_MAX }),
})

const provisional = message('Provisional', {
  choice: choice(1),
  first: uint32(2),
  ids: uint32s(3, TOKENS_MAX),
  text: string(4, anyText(TEXT_BYTES_MAX)),
  drafter: string(5, peerId, 'optional'),
})

const commit = message('Commit', { choice: choice(1), until: uint32(2) })

const rollback = message('Rollback', {
  choice: choice(1),
  from: uint32(2),
  reason: string(3, token, 'optional'),
})

const segment = message('Segment', {
  end: uint32(1),
  units: uint64(2),
  resultHash: bytes(3, hash),
  signature: bytes(4, { min: 64, max: 64 }),
})

const media = message('Media', {
  offset: uint64(1),
  data: bytes(2, { min: 1, max: FRAME_BYTES_MAX }),
  mimeType: string(3, { ...sentence, bytesMax: 128 }),
})

const receipt = message('Receipt', {
  resultHash: bytes(1, hash),
  meteringUnits: uint64(2),
  signature: bytes(3, { min: 64, max: 64 }),
})

const drafting = message('Drafting', {
  drafter: string(1, peerId),
  drafted: uint32(2),
  accepted: uint32(3),
  rolledBack: uint32(4),
})

const finishes = ['unknown', 'stop', 'length', 'cancelled', 'tool_calls'] as const

const done = message('Done', {
  finish: enumerations({
    number: 1,
    type: 'Finish',
    values: finishes,
    unknown: 'unknown',
    countMax: limits.choicesMax,
  }),
  inputTokens: uint32(2),
  cachedTokens: uint32(3),
  outputTokens: uint32(4),
  receipt: nested(5, receipt),
  entry: bytes(6, { max: ENTRY_BYTES_MAX }),
  drafting: messages(7, drafting, DRAFTERS_MAX),
})

export const toProviderShape = oneof('ToProvider', {
  job: nested(1, signedShape),
  body: bytes(2, { min: 1, max: FRAME_BYTES_MAX }),
  cancel: nested(3, cancel),
  ack: nested(4, ack),
  committed: nested(5, committed),
})

export const fromProviderShape = oneof('FromProvider', {
  accept: nested(1, accept),
  refuse: nested(2, message('Refuse', fault)),
  progress: nested(3, progress),
  tokens: nested(4, tokens),
  vectors: nested(5, vectors),
  provisional: nested(6, provisional),
  commit: nested(7, commit),
  rollback: nested(8, rollback),
  segment: nested(9, segment),
  media: nested(10, media),
  done: nested(11, done),
  failed: nested(12, message('Failed', fault)),
})
