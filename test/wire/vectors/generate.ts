import type { FromProvider, ToProvider, WireJob } from '../../../src/wire/generate.ts'
import {
  encodeFromProvider,
  encodeResumes,
  encodeToProvider,
  signJob,
} from '../../../src/wire/generate-codec.ts'
import { cidModelId } from '../../../src/wire/model-id.ts'
import { encode } from '../../../src/wire/shape.ts'
import { signedShape } from '../../../src/wire/signed.ts'
import { alice, bob, type Good, good, network, signature as signatureOf } from './cases.ts'
import { content, join, number, unknown, varint } from './raw.ts'

const signing = { network, sign: (message: Uint8Array) => alice.sign(message) }
export const hash = (byte: number): Uint8Array => new Uint8Array(32).fill(byte)
const signature = new Uint8Array(64).fill(9)
const times = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value)
const COUNT = 2 ** 32 - 1
const MIB = 1024 * 1024

export const minimalJob: WireJob = {
  jobId: 'j',
  provider: bob.peerId,
  coordinator: alice.peerId,
  expiresInMs: 1,
  promptRoot: hash(1),
  promptNonce: hash(2),
  model: cidModelId(hash(0xab)),
  kind: 'chat',
  bodyBytes: 1,
  sampler: '',
  seed: 0,
  maxOutputTokens: 0,
  firstTokenMs: 1,
  totalMs: 1,
  verification: 'none',
  jurisdiction: '',
  publish: 'receipts',
  receiptPrivacy: 'plain',
  cacheScope: new Uint8Array(),
  provisional: false,
  drafters: [],
  attempt: 1,
  resumeBytes: 0,
  resumeHash: new Uint8Array(),
}

const fullJob: WireJob = {
  ...minimalJob,
  jobId: 'job_01k9zb3m1x8r7v6t5s4q2p0n9m.2',
  expiresInMs: 30_000,
  kind: 'completion',
  bodyBytes: 4096,
  sampler: 'pinaivu-1',
  seed: 4_294_967_291,
  maxOutputTokens: 256,
  firstTokenMs: 30_000,
  totalMs: 120_000,
  maxPrice: { input: 40, output: 120 },
  verification: 'cross-node',
  jurisdiction: 'EU',
  publish: 'none',
  receiptPrivacy: 'salted',
  cacheScope: hash(3),
  provisional: true,
  drafters: [bob.peerId],
  attempt: 2,
  resumeBytes: 77,
  resumeHash: hash(4),
}

const largestJob: WireJob = {
  ...fullJob,
  jobId: 'A.z_0#-9'.repeat(16),
  expiresInMs: 3_600_000,
  bodyBytes: 20 * 1024 * 1024,
  sampler: 's'.repeat(32),
  seed: Number.MAX_SAFE_INTEGER,
  maxOutputTokens: COUNT,
  firstTokenMs: 3_600_000,
  totalMs: 3_600_000,
  maxPrice: { input: 1_000_000_000_000, output: 1_000_000_000_000 },
  drafters: times(8, bob.peerId),
  attempt: 1000,
  resumeBytes: 4 * 1024 * 1024,
}

const draftJob: WireJob = {
  ...minimalJob,
  jobId: 'job_01k9zb3m1x8r7v6t5s4q2p0n9m.d2',
  kind: 'draft',
  maxPrice: { input: 0, output: 60 },
  jurisdiction: 'DE',
}

const signed = (job: WireJob) => encode(signedShape, signJob(job, signing))

const nothing = { input: 0, output: 0 }

/** A job of a version that knows a tenth kind and more fields. */
const kindless: WireJob = { ...minimalJob, kind: 'unknown' }
const payloadOfTomorrow = join(signJob(kindless, signing).payload, number(8, 10), unknown())
const signedPayload = (payload: Uint8Array) =>
  encode(signedShape, { payload, signature: signatureOf('job', payload) })
const kindOfTomorrow = signedPayload(payloadOfTomorrow)
const lastKind = signedPayload(join(signJob(kindless, signing).payload, number(8, 2 ** 31 - 1)))

const toProvider: [name: string, frame: ToProvider][] = [
  ['a job', { type: 'job', job: signJob(fullJob, signing) }],
  ['a byte of a body', { type: 'body', bytes: Uint8Array.of(0x7b) }],
  ['a piece of a body', { type: 'body', bytes: new Uint8Array(60 * 1024).fill(0x20) }],
  ['cancel before anything', { type: 'cancel', received: [] }],
  ['cancel', { type: 'cancel', received: [0, 17, COUNT] }],
  ['an ok', { type: 'ack', entry: new Uint8Array(), dispute: '' }],
  ['a dispute with its entry', { type: 'ack', entry: hash(5), dispute: 'result_hash' }],
  ['committed', { type: 'committed', choice: 127, first: 9, ids: [1, COUNT] }],
  ['committed from the beginning', { type: 'committed', choice: 0, first: 0, ids: [0, 1, 300] }],
  ['the guesses that were taken', { type: 'cancel', received: [31] }],
]

const scored = { token: 'é', bytes: [0xc3, 0xa9], logprob: -0.5 }
const tool = { index: 0, name: '', callId: '' }
const tokens = {
  type: 'tokens',
  choice: 0,
  first: 0,
  ids: [1523],
  text: ' hello',
  logprobs: [],
  channel: 'content',
  tool,
} satisfies FromProvider
const fault = { code: 'overloaded', message: 'Ask later. ✓', param: '', retryAfterMs: 1000 }
const usage = { inputTokens: 12, cachedTokens: 4, outputTokens: 30 }
const done = {
  type: 'done',
  finish: ['stop'],
  usage,
  entry: new Uint8Array(),
  drafting: [],
} satisfies FromProvider

const fromProvider: [name: string, frame: FromProvider][] = [
  [
    'accept',
    {
      type: 'accept',
      inputTokens: 12,
      price: { input: 40, output: 120 },
      allowance: 2,
      openSignature: new Uint8Array(),
      resumedAt: [],
    },
  ],
  [
    'accept, every field',
    {
      type: 'accept',
      inputTokens: COUNT,
      price: { input: 1_000_000_000_000, output: 1 },
      allowance: COUNT,
      openSignature: signature,
      resumedAt: [0, 3],
    },
  ],
  ['refuse', { type: 'refuse', ...fault }],
  [
    'refuse, at its bounds',
    {
      type: 'refuse',
      code: 'c'.repeat(32),
      message: 'é'.repeat(512),
      param: 'p'.repeat(256),
      retryAfterMs: 3_600_000,
    },
  ],
  ['progress of nothing', { type: 'progress', queued: 0, prefilled: 0, total: 0, inputTokens: 0 }],
  ['progress', { type: 'progress', queued: 3, prefilled: 512, total: 2048, inputTokens: 2048 }],
  ['tokens', tokens],
  [
    'tokens, every field',
    {
      ...tokens,
      choice: 127,
      first: 300,
      ids: [0, 127, 128, COUNT],
      text: 'zero \0, é, 漢, 😀\n',
      logprobs: [
        { ...scored, top: [scored, { token: '', bytes: [], logprob: Number.NEGATIVE_INFINITY }] },
        { token: '\ufffd', bytes: [0xff], logprob: -0, top: [] },
      ],
      channel: 'tool',
      tool: { index: 2, name: 'get_weather', callId: 'call_1' },
    },
  ],
  [
    'tokens with a tool, of another channel',
    { ...tokens, tool: { index: 1, name: 'a', callId: 'b' } },
  ],
  ['tokens without text', { ...tokens, ids: times(256, 7), text: '' }],
  ['tokens with much text', { ...tokens, text: 'x'.repeat(32 * 1024) }],
  ['a vector', { type: 'vectors', first: 0, length: 2, values: Float32Array.of(0.6, -0.8) }],
  [
    'the longest vector',
    { type: 'vectors', first: 2047, length: 16_000, values: new Float32Array(16_000) },
  ],
  [
    'a vector of no input that can be',
    { type: 'vectors', first: 2047, length: 1, values: Float32Array.of(1, -1) },
  ],
  ['provisional', { type: 'provisional', choice: 0, first: 4, ids: [5], text: 'x', drafter: '' }],
  [
    'provisional of a drafter',
    { type: 'provisional', choice: 1, first: 4, ids: [5], text: 'x', drafter: bob.peerId },
  ],
  ['commit', { type: 'commit', choice: 1, until: 9 }],
  ['rollback', { type: 'rollback', choice: 1, from: 7, reason: 'mismatch' }],
  ['segment', { type: 'segment', end: 31, units: 44, resultHash: hash(6), signature }],
  ['media', { type: 'media', offset: 0, data: hash(7), mimeType: 'image/png' }],
  ['done', done],
  [
    'done, every field',
    {
      ...done,
      finish: ['unknown', 'stop', 'length', 'cancelled', 'tool_calls'],
      receipt: { resultHash: hash(8), meteringUnits: 42, signature },
      entry: hash(9),
      drafting: [{ drafter: bob.peerId, drafted: 40, accepted: 30, rolledBack: 10 }],
    },
  ],
  ['failed', { type: 'failed', ...fault }],
  [
    'accept of drafting',
    {
      type: 'accept',
      inputTokens: 0,
      price: { input: 0, output: 60 },
      allowance: 1,
      openSignature: signature,
      resumedAt: [],
    },
  ],
  ['guesses', { ...tokens, first: 12, ids: [5, 6, 7], text: '' }],
  ['rollback without a reason', { type: 'rollback', choice: 0, from: 0, reason: '' }],
  [
    'done of drafting',
    {
      ...done,
      finish: ['cancelled'],
      usage: { inputTokens: 0, cachedTokens: 0, outputTokens: 31 },
      receipt: { resultHash: hash(8), meteringUnits: 31, signature },
      entry: hash(9),
    },
  ],
  [
    'done, for which two drafted',
    {
      ...done,
      drafting: [
        { drafter: alice.peerId, drafted: 9, accepted: 0, rolledBack: 9 },
        { drafter: bob.peerId, drafted: 31, accepted: 21, rolledBack: 10 },
      ],
    },
  ],
]

const oneToken = encodeFromProvider(tokens)

export const generateGood: Good[] = [
  good('SignedJob', 'minimal', signed(minimalJob)),
  good('SignedJob', 'every field', signed(fullJob)),
  good('SignedJob', 'at its bounds', signed(largestJob)),
  good('SignedJob', 'a price of nothing', signed({ ...minimalJob, maxPrice: nothing })),
  good('SignedJob', 'a kind of a newer version', kindOfTomorrow, signed(kindless)),
  good('SignedJob', 'the last kind that an enum can have', lastKind, signed(kindless)),
  good('SignedJob', 'of drafting', signed(draftJob)),
  ...toProvider.map(([name, frame]) => good('ToProvider', name, encodeToProvider(frame))),
  good('ToProvider', 'a frame of a newer version', unknown()),
  good(
    'ToProvider',
    'a frame with fields of a newer version',
    join(unknown(), content(3, join(unknown(), content(1, '\x05'))), unknown()),
    encodeToProvider({ type: 'cancel', received: [5] }),
  ),
  good(
    'ToProvider',
    'an empty list, written out',
    content(3, content(1, '')),
    encodeToProvider({ type: 'cancel', received: [] }),
  ),
  ...fromProvider.map(([name, frame]) => good('FromProvider', name, encodeFromProvider(frame))),
  good('FromProvider', 'a frame of a newer version', unknown()),
  good(
    'FromProvider',
    'a frame with fields of a newer version',
    join(unknown(), oneToken, unknown()),
    oneToken,
  ),
  good(
    'FromProvider',
    'an end that a newer version knows',
    content(11, content(1, join(varint(2n ** 31n - 1n), varint(1n)))),
    encodeFromProvider({
      ...done,
      finish: ['unknown', 'stop'],
      usage: { inputTokens: 0, cachedTokens: 0, outputTokens: 0 },
    }),
  ),
  good('Resumes', 'none', encodeResumes([])),
  good('Resumes', 'of 4 MiB', content(200, new Uint8Array(4 * MIB - 6)), encodeResumes([])),
  good(
    'Resumes',
    'of two choices',
    encodeResumes([
      { choice: 127, text: '', ids: [] },
      { choice: 0, text: 'Once é', ids: [1, 2, 300] },
    ]),
  ),
]
