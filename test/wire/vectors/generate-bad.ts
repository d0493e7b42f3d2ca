import type { Field } from '../../../src/wire/fields.ts'
import { fromProviderShape, jobShape, toProviderShape } from '../../../src/wire/generate-shape.ts'
import { encode } from '../../../src/wire/shape.ts'
import { alice, type Bad, bad, bob, malleated, signature } from './cases.ts'
import { hash, minimalJob } from './generate.ts'
import { content, fixed32, group, join, lying, number, varint } from './raw.ts'

const times = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value)
const OVER_32_BITS = 2 ** 32

const { maxPrice: _, ...rest } = minimalJob
const flatJob = { ...rest, priceCapped: false, maxPriceInput: 0, maxPriceOutput: 0 }
type FlatJob = typeof flatJob

const signed = (payload: Uint8Array, by = signature('job', payload)) =>
  join(content(1, payload), content(2, by))
const job = (change: Partial<FlatJob>) => encode(jobShape, { ...flatJob, ...change })

const jobsOutOfBounds: [name: string, change: Partial<FlatJob>][] = [
  ['no job id', { jobId: '' }],
  ['a job id with a space', { jobId: 'a b' }],
  ['a job id with a bar', { jobId: 'a|b' }],
  ['a job id of 129 characters', { jobId: 'j'.repeat(129) }],
  ['no provider', { provider: '' }],
  ['no coordinator', { coordinator: '' }],
  ['no expiry', { expiresInMs: 0 }],
  ['an expiry of more than an hour', { expiresInMs: 3_600_001 }],
  ['a prompt root of 31 bytes', { promptRoot: hash(1).slice(1) }],
  ['no prompt nonce', { promptNonce: new Uint8Array() }],
  ['a prompt nonce of 33 bytes', { promptNonce: join(hash(1), '\0') }],
  ['a model by its name', { model: 'llama' }],
  ['a body of nothing', { bodyBytes: 0 }],
  ['a body above 20 MiB', { bodyBytes: 20 * 1024 * 1024 + 1 }],
  ['a sampler with a space', { sampler: 'a b' }],
  ['a seed of 2^53', { seed: 2 ** 53 }],
  ['tokens above 32 bits', { maxOutputTokens: OVER_32_BITS }],
  ['no time for the first token', { firstTokenMs: 0 }],
  ['more than an hour for the first token', { firstTokenMs: 3_600_001 }],
  ['no time at all', { totalMs: 0 }],
  ['a price above 10^12', { maxPriceInput: 1_000_000_000_001, priceCapped: true }],
  ['a price that is not said to cap', { maxPriceOutput: 1 }],
  ['a jurisdiction in small letters', { jurisdiction: 'eu' }],
  ['a cache scope of 31 bytes', { cacheScope: hash(1).slice(1) }],
  ['a cache scope of 33 bytes', { cacheScope: join(hash(1), '\0') }],
  ['9 drafters', { drafters: times(9, bob.peerId) }],
  ['a drafter by name', { drafters: ['bob'] }],
  ['attempt 0', { attempt: 0 }],
  ['attempt 1001', { attempt: 1001 }],
  ['a resume above 4 MiB', { resumeBytes: 4 * 1024 * 1024 + 1, resumeHash: hash(1) }],
  ['a resume without a hash', { resumeBytes: 1 }],
  ['the hash of no resume', { resumeHash: hash(1) }],
]

const payload = job({})
const honest = signature('job', payload)

const newer = number(18, 2)
const strange = { provider: alice.peerId, coordinator: bob.peerId }
const faulty = number(25, 1001)
const forged = new Uint8Array(64)

/** Which one is told. */
const severalFaults: [
  name: string,
  payload: Uint8Array,
  by: Uint8Array | undefined,
  code: string,
][] = [
  [
    'malformed, not theirs, not for us, not signed',
    job({ ...strange, attempt: 0 }),
    forged,
    'malformed',
  ],
  [
    'a price that is no cap, and not theirs',
    job({ ...strange, maxPriceInput: 1 }),
    forged,
    'malformed',
  ],
  ['a resume without a hash, not signed', job({ resumeBytes: 1 }), forged, 'malformed'],
  ['not theirs, not for us, not signed, new', join(job(strange), newer), forged, 'not_yours'],
  [
    'not for us, not signed, new',
    join(job({ provider: alice.peerId }), newer),
    forged,
    'not_for_me',
  ],
  ['not signed, new', join(payload, newer), forged, 'bad_signature'],
  ['new, then malformed', join(newer, job({ attempt: 0 }), faulty), undefined, 'malformed'],
  ['malformed, then new', join(job({ attempt: 0 }), faulty, newer), undefined, 'malformed'],
  ['new, and cut off', join(newer, payload.subarray(0, -1)), undefined, 'malformed'],
]

const jobs: Bad[] = [
  ...jobsOutOfBounds.map(([name, change]) => bad('SignedJob', name, signed(job(change)))),
  bad('SignedJob', 'a kind in the wrong wire type', signed(join(payload, content(8, '\x01')))),
  bad('SignedJob', 'cut off', signed(payload.subarray(0, -1))),
  bad('SignedJob', 'an attempt twice', signed(join(payload, number(25, 2)))),
  bad('SignedJob', 'no signature', content(1, payload)),
  ...(
    [
      ['a verification', 18, 2],
      ['a way to publish', 20, 2],
      ['a receipt privacy', 21, 2],
    ] as const
  ).map(([name, field, value]) => {
    const bytes = signed(join(payload, number(field, value)))
    return bad('SignedJob', `${name} of a newer version`, bytes, 'unsupported_value')
  }),
  bad('SignedJob', 'for another provider', signed(job({ provider: alice.peerId })), 'not_for_me'),
  bad('SignedJob', 'of another coordinator', signed(job({ coordinator: bob.peerId })), 'not_yours'),
  ...(
    [
      ['a kind of 2^31', 8, 2 ** 31],
      ['a kind of -1', 8, 2n ** 64n - 1n],
      ['a verification of 2^31', 18, 2 ** 31],
      ['a verification of -1', 18, 2n ** 64n - 1n],
    ] as const
  ).map(([name, field, value]) =>
    bad('SignedJob', name, signed(join(payload, number(field, value)))),
  ),
  ...severalFaults.map(([name, payload, by, error]) =>
    bad('SignedJob', name, signed(payload, by ?? signature('job', payload)), error),
  ),
  ...(
    [
      ['a signature of zeros', new Uint8Array(64)],
      ['a signature of another job', signature('job', job({ attempt: 2 }))],
      ['signed by the provider', signature('job', payload, { by: bob })],
      ['S + L', malleated(honest)],
      ['for another network', signature('job', payload, { of: 'main' })],
      ['signed as an advert', signature('advert', payload)],
    ] as const
  ).map(([name, by]) => bad('SignedJob', name, signed(payload, by), 'bad_signature')),
]

interface AnyOneof {
  readonly fields: Readonly<Record<string, Field>>
  encode(type: string, value: object): Uint8Array
}

/** A member with some of its fields out of bounds, encoded as if nothing were wrong. */
function member(oneof: unknown, type: string, changes: object): Uint8Array {
  const { fields, encode } = oneof as AnyOneof
  const members = Object.entries(fields[type]?.shape?.fields ?? {})
  const blanks = Object.fromEntries(members.map(([key, field]) => [key, field.blank()]))
  return encode(type, { ...blanks, ...changes })
}

const toProviderBad: [name: string, type: string, fields: object][] = [
  ['a job without a signature', 'job', { payload }],
  ['a job without a payload', 'job', { signature: honest }],
  ['a payload above 16 KiB', 'job', { payload: new Uint8Array(16_385), signature: honest }],
  ['tokens received of 129 choices', 'cancel', { received: times(129, 1) }],
  ['tokens received above 32 bits', 'cancel', { received: [OVER_32_BITS] }],
  ['an entry above 32 KiB', 'ack', { entry: new Uint8Array(32 * 1024 + 1) }],
  ['a dispute in words', 'ack', { dispute: 'it is wrong' }],
  ['choice 128', 'committed', { choice: 128 }],
  ['257 committed tokens', 'committed', { ids: times(257, 1) }],
]

const logprob = { token: '', bytes: [], logprob: 0, top: [] }
const vectors = { first: 0, length: 1, values: new Uint8Array(4) }
const segment = { end: 1, units: 1, resultHash: hash(1), signature: honest }
const receipt = { resultHash: hash(1), meteringUnits: 1, signature: honest }
const drafting = { drafter: bob.peerId, drafted: 0, accepted: 0, rolledBack: 0 }
const fault = { code: 'busy', message: '', param: '', retryAfterMs: 0 }
const media = { offset: 0, data: hash(1), mimeType: '' }

const fromProviderBad: [name: string, type: string, fields: object][] = [
  ['input tokens above 32 bits', 'accept', { inputTokens: OVER_32_BITS }],
  ['a price above 10^12', 'accept', { priceInput: 1_000_000_000_001 }],
  ['an open signature of 63 bytes', 'accept', { openSignature: honest.slice(1) }],
  ['resumed at 129 places', 'accept', { resumedAt: times(129, 1) }],
  ['a refusal without a code', 'refuse', { ...fault, code: '' }],
  ['a code in capital letters', 'refuse', { ...fault, code: 'BUSY' }],
  ['a message with a line break', 'refuse', { ...fault, message: 'a\nb' }],
  ['a message of 1025 bytes', 'refuse', { ...fault, message: 'm'.repeat(1025) }],
  ['a param of 257 bytes', 'refuse', { ...fault, param: 'p'.repeat(257) }],
  ['to be asked again in two hours', 'refuse', { ...fault, retryAfterMs: 7_200_000 }],
  ['a failure without a code', 'failed', { ...fault, code: '' }],
  ['queued above 32 bits', 'progress', { queued: OVER_32_BITS }],
  ['choice 128', 'tokens', { choice: 128 }],
  ['257 tokens', 'tokens', { ids: times(257, 1) }],
  ['a token above 32 bits', 'tokens', { ids: [OVER_32_BITS] }],
  ['text above 32 KiB', 'tokens', { text: 'x'.repeat(32 * 1024 + 1) }],
  ['257 log-probabilities', 'tokens', { logprobs: times(257, logprob) }],
  ['21 alternatives', 'tokens', { logprobs: [{ ...logprob, top: times(21, logprob) }] }],
  ['a token of 513 bytes', 'tokens', { logprobs: [{ ...logprob, token: 't'.repeat(513) }] }],
  ['a probability that is no number', 'tokens', { logprobs: [{ ...logprob, logprob: NaN }] }],
  [
    'more than certain',
    'tokens',
    { logprobs: [{ ...logprob, logprob: Number.POSITIVE_INFINITY }] },
  ],
  ['a tool with a line break', 'tokens', { toolName: 'a\nb' }],
  ['vectors of no length', 'vectors', { ...vectors, length: 0 }],
  ['vectors above 16,000', 'vectors', { ...vectors, length: 16_001 }],
  ['vector 2048', 'vectors', { ...vectors, first: 2048 }],
  ['no values', 'vectors', { ...vectors, values: new Uint8Array() }],
  ['half a number', 'vectors', { ...vectors, values: new Uint8Array(6) }],
  ['one vector and a half', 'vectors', { ...vectors, length: 2, values: new Uint8Array(12) }],
  ['a value that is no number', 'vectors', { ...vectors, values: Uint8Array.of(0, 0, 0xc0, 0x7f) }],
  ['a value without an end', 'vectors', { ...vectors, values: Uint8Array.of(0, 0, 0x80, 0xff) }],
  ['a drafter by name', 'provisional', { drafter: 'bob' }],
  ['a commit of choice 128', 'commit', { choice: 128 }],
  ['a roll-back for a reason in words', 'rollback', { reason: 'no match' }],
  ['a segment with half a hash', 'segment', { ...segment, resultHash: hash(1).slice(16) }],
  ['a segment without a signature', 'segment', { ...segment, signature: new Uint8Array() }],
  ['media without data', 'media', { ...media, data: new Uint8Array() }],
  ['media at 2^53', 'media', { ...media, offset: 2 ** 53 }],
  ['a type of media with a null', 'media', { ...media, mimeType: 'a\0b' }],
  ['129 ends', 'done', { finish: times(129, 'stop') }],
  ['a receipt without a hash', 'done', { receipt: { ...receipt, resultHash: new Uint8Array() } }],
  ['units of 2^53', 'done', { receipt: { ...receipt, meteringUnits: 2 ** 53 } }],
  ['an entry above 32 KiB', 'done', { entry: new Uint8Array(32 * 1024 + 1) }],
  ['9 drafters', 'done', { drafting: times(9, drafting) }],
]

const tokens = content(4, join(content(3, '\x05'), content(4, 'x')))

export const generateBad: Bad[] = [
  ...jobs,
  ...toProviderBad.map(([name, type, fields]) =>
    bad('ToProvider', name, member(toProviderShape, type, fields)),
  ),
  bad('ToProvider', 'an empty piece of a body', content(2, '')),
  bad('ToProvider', 'two contents', join(content(2, 'a'), content(2, 'b'))),
  bad('ToProvider', 'a job and a cancel', join(content(1, signed(payload)), content(3, ''))),
  bad('ToProvider', 'a body in the wrong wire type', number(2, 1)),
  bad('ToProvider', 'a group', group(3)),
  bad('ToProvider', 'cut off', content(2, 'abc').subarray(0, -1)),
  ...fromProviderBad.map(([name, type, fields]) =>
    bad('FromProvider', name, member(fromProviderShape, type, fields)),
  ),
  bad('FromProvider', 'two contents', join(tokens, content(7, ''))),
  bad('FromProvider', 'the same content twice', join(tokens, tokens)),
  bad('FromProvider', 'ids that are not packed', content(4, number(3, 5))),
  bad(
    'FromProvider',
    'ids in two pieces',
    content(4, join(content(3, '\x05'), content(3, '\x06'))),
  ),
  bad('FromProvider', 'an id that is cut off', content(4, content(3, Uint8Array.of(0x80)))),
  bad('FromProvider', 'ids that reach beyond their field', content(4, lying(3, 3, '\x05'))),
  bad('FromProvider', 'a text of 4 GiB', content(4, lying(4, 2 ** 32 - 1, 'x'))),
  bad('FromProvider', 'a content longer than its frame', lying(4, 200, 'x')),
  bad('FromProvider', 'text that is not UTF-8', content(4, content(4, Uint8Array.of(0xff)))),
  bad('FromProvider', 'a float in place of text', content(4, fixed32(4, 0, 0, 0, 0))),
  bad(
    'FromProvider',
    'a channel of a newer version',
    content(4, number(6, 3)),
    'unsupported_value',
  ),
  bad('FromProvider', 'a channel of -1', content(4, number(6, 2n ** 64n - 1n))),
  bad(
    'FromProvider',
    'a channel of a newer version, and faults',
    content(4, join(number(6, 3), number(1, 128))),
  ),
  bad(
    'FromProvider',
    'a channel of a newer version twice',
    content(4, join(number(6, 3), number(6, 3))),
  ),
  bad(
    'FromProvider',
    'a channel of a newer version, and more',
    join(content(4, number(6, 3)), content(7, '')),
  ),
  bad('FromProvider', 'an end of 2^31', content(11, content(1, varint(2n ** 31n)))),
  bad(
    'FromProvider',
    'an id longer than it needs to be',
    content(4, content(3, Uint8Array.of(0x81, 0))),
  ),
  bad('FromProvider', 'no ids, and ids', content(4, join(content(3, ''), content(3, '\x05')))),
  bad('FromProvider', 'cut off', tokens.subarray(0, -1)),
  bad('Resumes', 'choice 128', content(1, number(1, 128))),
  bad('Resumes', 'of more than 4 MiB', content(200, new Uint8Array(4 * 1024 * 1024 - 5))),
  bad('Resumes', 'a choice twice', join(content(1, number(1, 3)), content(1, number(1, 3)))),
  bad('Resumes', 'the first choice twice', join(content(1, ''), content(1, number(1, 0)))),
  bad('Resumes', '129 choices', join(...times(129, content(1, '')))),
  bad('Resumes', 'text that is not UTF-8', content(1, content(2, Uint8Array.of(0xff)))),
  bad('Resumes', 'cut off', content(1, content(2, 'x')).subarray(0, -1)),
]
