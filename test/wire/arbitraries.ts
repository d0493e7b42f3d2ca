import * as fc from 'fast-check'
import { identityFromSeed } from '../../src/identity/identity.ts'
import type { Advert, AdvertModel, HardwareFacts } from '../../src/wire/advert.ts'
import type { TokenLogprob } from '../../src/wire/chunk.ts'
import {
  type FromProvider,
  jobKinds,
  type Resume,
  type Signed,
  type ToProvider,
  type WireJob,
} from '../../src/wire/generate.ts'
import type { CompletionWork, EmbeddingWork, Sampling } from '../../src/wire/job.ts'
import { cidModelId, declaredModelId } from '../../src/wire/model-id.ts'
import type { Status } from '../../src/wire/status.ts'

// Any message that its specification allows; lists and texts are shorter than they may be.

export const me = identityFromSeed(new Uint8Array(32).fill(1))
export const other = identityFromSeed(new Uint8Array(32).fill(2))

const safe = fc.oneof(fc.nat({ max: 300 }), fc.maxSafeNat())
const uint32 = fc.oneof(fc.nat({ max: 300 }), fc.nat({ max: 2 ** 32 - 1 }))
const choice = fc.nat({ max: 127 })
const float = fc.float({ noNaN: true, noDefaultInfinity: true })
const bytes = (minLength: number, maxLength = minLength) => fc.uint8Array({ minLength, maxLength })
const bytesOrNone = (length: number) => fc.oneof(bytes(length), bytes(0))
const text = fc.string({ unit: 'binary', maxLength: 60 })
const shown = fc.string({ unit: 'grapheme-ascii', maxLength: 40 })
const word = fc.stringMatching(/^[a-z0-9][a-z0-9_.-]{0,31}$/)
const wordOrNone = fc.oneof(word, fc.constant(''))
const list = <T>(element: fc.Arbitrary<T>, maxLength = 4) => fc.array(element, { maxLength })
const price = fc.record({
  input: fc.nat({ max: 1_000_000_000_000 }),
  output: fc.nat({ max: 1_000_000_000_000 }),
})

const modelName = fc.stringMatching(/^[a-z][a-z0-9:/.@-]{0,40}$/)
export const modelId = fc.oneof(
  bytes(32).map(cidModelId),
  modelName.map((name) => declaredModelId(name, me.peerId)),
)

const address = fc.constantFrom(
  '/ip4/127.0.0.1/tcp/7463',
  '/ip6/::1/tcp/65535',
  '/dns4/peer.example/tcp/1',
  '/dns/a.b-c.example/tcp/443',
)

const advertModel: fc.Arbitrary<AdvertModel> = fc.record(
  {
    name: modelName,
    id: modelId,
    kind: word,
    family: shown,
    parameters: safe,
    quant: shown,
    contextLength: uint32,
    embeddingLength: uint32,
    capabilities: list(word),
    slots: uint32,
    price,
    draftsFor: modelId,
  },
  {
    requiredKeys: [
      'name',
      'id',
      'kind',
      'family',
      'parameters',
      'quant',
      'contextLength',
      'embeddingLength',
      'capabilities',
      'slots',
      'price',
    ],
  },
)

const hardware: fc.Arbitrary<HardwareFacts> = fc.record({
  gpus: list(fc.record({ name: shown, vramTotalBytes: safe, vramFreeBytes: safe })),
  cpu: shown,
  cpuThreads: uint32,
  ramBytes: safe,
  backend: word,
})

export const advert: fc.Arbitrary<Advert> = fc
  .record({
    sequence: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    ttlS: fc.integer({ min: 1, max: 3600 }),
    addresses: list(address),
    roles: list(word),
    hardware,
    models: list(advertModel),
    version: shown,
    region: fc.option(fc.stringMatching(/^[A-Z]{2}$/), { nil: undefined }),
  })
  .map(({ region, ...rest }) => ({
    peerId: me.peerId,
    ...rest,
    ...(region === undefined ? {} : { region }),
  }))

export const status: fc.Arbitrary<Status> = fc.record({
  advertSequence: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  draining: fc.boolean(),
  models: list(
    fc.record({
      id: modelId,
      ready: fc.boolean(),
      slots: uint32,
      running: uint32,
      queued: uint32,
      tokensPerSecond: fc.float({ min: 0, noNaN: true, noDefaultInfinity: true }),
    }),
  ),
})

const time = fc.integer({ min: 1, max: 3_600_000 })

export const wireJob: fc.Arbitrary<WireJob> = fc
  .record({
    jobId: fc.stringMatching(/^[A-Za-z0-9_.#-]{1,128}$/),
    expiresInMs: time,
    promptRoot: bytes(32),
    promptNonce: bytes(32),
    model: modelId,
    kind: fc.constantFrom(...jobKinds),
    bodyBytes: fc.integer({ min: 1, max: 20 * 1024 * 1024 }),
    sampler: wordOrNone,
    seed: safe,
    maxOutputTokens: uint32,
    firstTokenMs: time,
    totalMs: time,
    maxPrice: fc.option(price, { nil: undefined }),
    verification: fc.constantFrom('none', 'cross-node'),
    jurisdiction: fc.constantFrom('', 'EU', 'DE'),
    publish: fc.constantFrom('receipts', 'none'),
    receiptPrivacy: fc.constantFrom('plain', 'salted'),
    cacheScope: bytesOrNone(32),
    provisional: fc.boolean(),
    drafters: list(fc.constant(other.peerId)),
    attempt: fc.integer({ min: 1, max: 1000 }),
    resume: fc.option(fc.record({ bytes: fc.integer({ min: 1, max: 2 ** 22 }), hash: bytes(32) }), {
      nil: undefined,
    }),
  })
  .map(({ maxPrice, resume, ...rest }) => ({
    provider: other.peerId,
    coordinator: me.peerId,
    ...rest,
    ...(maxPrice === undefined ? {} : { maxPrice }),
    resumeBytes: resume?.bytes ?? 0,
    resumeHash: resume?.hash ?? new Uint8Array(),
  }))

export const resumes: fc.Arbitrary<Resume[]> = fc.uniqueArray(
  fc.record({ choice, text, ids: list(uint32, 20) }),
  { maxLength: 8, selector: ({ choice }) => choice },
)

const signed: fc.Arbitrary<Signed> = fc.record({ payload: bytes(1, 200), signature: bytes(64) })

const typed = <T extends string, F>(type: T, fields: fc.Arbitrary<F>) =>
  fields.map((values) => ({ type, ...values }))

export const toProvider: fc.Arbitrary<ToProvider> = fc.oneof(
  typed('job', fc.record({ job: signed })),
  typed('body', fc.record({ bytes: bytes(1, 300) })),
  typed('cancel', fc.record({ received: list(uint32) })),
  typed('ack', fc.record({ entry: bytes(0, 40), dispute: wordOrNone })),
  typed('committed', fc.record({ choice, first: uint32, ids: list(uint32) })),
)

const chance = fc.oneof(float, fc.constant(Number.NEGATIVE_INFINITY))
const scored = { token: text, bytes: list(fc.nat({ max: 255 })), logprob: chance }
const logprob: fc.Arbitrary<TokenLogprob> = fc.record({ ...scored, top: list(fc.record(scored)) })

const tool = fc.record({ index: uint32, name: shown, callId: shown })

const fault = fc.record({ code: word, message: shown, param: shown, retryAfterMs: time })

const vectors = fc
  .record({ first: fc.nat({ max: 2047 }), length: fc.integer({ min: 1, max: 6 }) })
  .chain(({ first, length }) =>
    fc
      .array(fc.array(float, { minLength: length, maxLength: length }), { minLength: 1 })
      .map((rows) => ({ first, length, values: Float32Array.from(rows.flat()) })),
  )

const done = fc
  .record({
    finish: list(fc.constantFrom('unknown', 'stop', 'length', 'cancelled', 'tool_calls')),
    usage: fc.record({ inputTokens: uint32, cachedTokens: uint32, outputTokens: uint32 }),
    receipt: fc.option(
      fc.record({ resultHash: bytes(32), meteringUnits: safe, signature: bytes(64) }),
      { nil: undefined },
    ),
    entry: bytes(0, 50),
    drafting: list(
      fc.record({
        drafter: fc.constant(me.peerId),
        drafted: uint32,
        accepted: uint32,
        rolledBack: uint32,
      }),
    ),
  })
  .map(({ receipt, ...rest }) => ({ ...rest, ...(receipt === undefined ? {} : { receipt }) }))

export const fromProvider: fc.Arbitrary<FromProvider> = fc.oneof(
  typed(
    'accept',
    fc.record({
      inputTokens: uint32,
      price,
      allowance: uint32,
      openSignature: bytesOrNone(64),
      resumedAt: list(uint32),
    }),
  ),
  typed('refuse', fault),
  typed(
    'progress',
    fc.record({ queued: uint32, prefilled: uint32, total: uint32, inputTokens: uint32 }),
  ),
  typed(
    'tokens',
    fc.record({
      choice,
      first: uint32,
      ids: list(uint32, 16),
      text,
      logprobs: list(logprob),
      channel: fc.constantFrom('content', 'reasoning', 'tool'),
      tool,
    }),
  ),
  typed('vectors', vectors),
  typed(
    'provisional',
    fc.record({
      choice,
      first: uint32,
      ids: list(uint32),
      text,
      drafter: fc.constantFrom('', other.peerId),
    }),
  ),
  typed('commit', fc.record({ choice, until: uint32 })),
  typed('rollback', fc.record({ choice, from: uint32, reason: wordOrNone })),
  typed(
    'segment',
    fc.record({ end: uint32, units: safe, resultHash: bytes(32), signature: bytes(64) }),
  ),
  typed('media', fc.record({ offset: safe, data: bytes(1, 100), mimeType: shown })),
  typed('done', done),
  typed('failed', fault),
)

export const sampling: fc.Arbitrary<Sampling> = fc
  .record({
    temperature: fc.double({ min: 0, max: 2, noNaN: true }),
    topP: fc.double({ min: 0, max: 1, noNaN: true }),
    seed: safe,
    choices: fc.integer({ min: 1, max: 8 }),
    stop: list(fc.string({ unit: 'binary', minLength: 1, maxLength: 20 })),
    presencePenalty: fc.double({ min: -2, max: 2, noNaN: true }),
    frequencyPenalty: fc.double({ min: -2, max: 2, noNaN: true }),
    logitBias: list(
      fc.tuple(fc.nat({ max: 9_999_999 }), fc.double({ min: -100, max: 100, noNaN: true })),
    ),
    maxTokens: fc.option(fc.integer({ min: 1, max: 2 ** 32 - 1 }), { nil: undefined }),
    logprobs: fc.option(fc.nat({ max: 20 }), { nil: undefined }),
  })
  .map(({ maxTokens, logprobs, ...rest }) => ({
    ...rest,
    ...(maxTokens === undefined ? {} : { maxTokens }),
    ...(logprobs === undefined ? {} : { logprobs }),
  }))

export const completionWork: fc.Arbitrary<CompletionWork> = fc.record({
  kind: fc.constant('completion'),
  prompts: fc.array(text, { minLength: 1, maxLength: 5 }),
  sampling,
})

export const embeddingWork: fc.Arbitrary<EmbeddingWork> = fc
  .record({
    inputs: fc.array(fc.string({ unit: 'binary', minLength: 1 }), { minLength: 1, maxLength: 5 }),
    dimensions: fc.option(fc.integer({ min: 1, max: 16_000 }), { nil: undefined }),
  })
  .map(({ inputs, dimensions }) => ({
    kind: 'embedding',
    inputs,
    ...(dimensions === undefined ? {} : { dimensions }),
  }))
