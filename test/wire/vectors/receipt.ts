import { sha256 } from '@noble/hashes/sha2.js'
import { identityFromSeed } from '../../../src/identity/identity.ts'
import { Cid, rawCid, ryv1Cid } from '../../../src/wire/cid.ts'
import { receiptJson } from '../../../src/wire/proof-file.ts'
import {
  type OpenReceipt,
  openDigest,
  openPayload,
  type Receipt,
  type ReceiptFields,
  receiptDigest,
  receiptPayload,
  segmentJobId,
  signOpenReceipt,
  signReceipt,
} from '../../../src/wire/receipt.ts'
import { guessesHash, ResultHasher, vectorsHash } from '../../../src/wire/result-hash.ts'
import { alice, bob, malleated, smallOrder } from './cases.ts'
import { hex } from './raw.ts'

const published = identityFromSeed(Uint8Array.from({ length: 32 }, (_, at) => at + 1))
const utf8 = new TextEncoder()
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')

const hello = sha256(utf8.encode('Hello! How can I help you today?'))
const byAlice = (message: Uint8Array) => alice.sign(message)
const fields = { jobId: 'job_1.1', nodePk: alice.publicKey, resultHash: hello, meteringUnits: 326 }
const honest = signReceipt(fields, byAlice)

const openJson = ({ jobId, nodePk, promptRoot, inputTokens, signature }: OpenReceipt) => ({
  job_id: jobId,
  node_pk: hex(nodePk),
  prompt_root: hex(promptRoot),
  input_tokens: inputTokens,
  signature: base64(signature),
})

const goodReceipt = (name: string, receipt: Receipt) => ({
  name,
  message: 'Receipt',
  receipt: receiptJson(receipt),
  payload: receiptPayload(receipt),
  digest: hex(receiptDigest(receipt)),
  cid: ryv1Cid(receiptDigest(receipt)),
  multiformats_cid: rawCid(receiptDigest(receipt)),
})

const signed = (change: Partial<ReceiptFields>) => signReceipt({ ...fields, ...change }, byAlice)

const goodReceipts = [
  goodReceipt(
    'as published',
    signReceipt(
      { jobId: 'job_1', nodePk: published.publicKey, resultHash: hello, meteringUnits: 1 },
      (message) => published.sign(message),
    ),
  ),
  goodReceipt('of an attempt', honest),
  goodReceipt('of a segment', signed({ jobId: segmentJobId('job_1.1', 32), meteringUnits: 46 })),
  goodReceipt('of drafting', signed({ jobId: 'job_1.d1' })),
  goodReceipt('an id of one character', signed({ jobId: '-' })),
  goodReceipt('an id of 128 characters', signed({ jobId: 'aZ09_.#-'.repeat(16) })),
  goodReceipt('2^53 - 1 units', signed({ meteringUnits: Number.MAX_SAFE_INTEGER })),
  goodReceipt('work that counted nothing', signed({ meteringUnits: 0 })),
]

const openFields = {
  jobId: 'job_1.1',
  nodePk: alice.publicKey,
  promptRoot: sha256(utf8.encode('root')),
  inputTokens: 14,
}

const goodOpen = (name: string, change: Partial<OpenReceipt>) => {
  const receipt = signOpenReceipt({ ...openFields, ...change }, byAlice)
  const payload = openPayload(receipt)
  const digest = hex(openDigest(receipt))
  return { name, message: 'OpenReceipt', receipt: openJson(receipt), payload, digest }
}

const goodCids = (['receipt', 'entry'] as const).map((kind) => {
  const text = `${new Cid(kind, hello)}`
  return { name: `of an ${kind}`, message: 'Cid', text, kind, digest: hex(hello) }
})

const choice = (content: string, more: object = {}) => ({
  content,
  reasoning_content: '',
  tool_calls: [] as { name: string; arguments: string }[],
  ...more,
})

type Choice = ReturnType<typeof choice>

function resultOf(name: string, choices: Choice[], nonce?: Uint8Array) {
  const hasher = new ResultHasher({ choices: choices.length, ...(nonce && { nonce }) })
  choices.forEach(({ content, reasoning_content, tool_calls }, at) => {
    hasher.text(at, content)
    hasher.reasoning(at, reasoning_content)
    tool_calls.forEach((call, index) => {
      hasher.tool(at, index, { name: call.name, piece: call.arguments })
    })
  })
  const salt = nonce && { nonce: hex(nonce) }
  return { name, message: 'Result', choices, ...salt, hash: hex(hasher.digest()) }
}

const nonce = new Uint8Array(32).fill(0xcc)
const numbers = Float32Array.of(0.25, -1, 0, 3.5)
const guesses = [0, 1, 300, 2 ** 32 - 1]
const call = { name: 'look_up', arguments: '{"of": "Köln \\n"}' }

const results = [
  resultOf('plain text', [choice('Hello! How can I help you today?')]),
  resultOf('other letters', [choice('Grüße, 世界 😀 \u2028')]),
  resultOf('nothing', [choice('')]),
  resultOf('salted', [choice('yes')], nonce),
  resultOf('a tool call', [choice('', { tool_calls: [call, { name: 'end', arguments: '' }] })]),
  resultOf('reasoning', [choice('4', { reasoning_content: 'two and "two"' })]),
  resultOf('two choices', [choice('a\u0007'), choice('')]),
  resultOf('two choices, salted', [choice('a'), choice('b')], nonce),
  {
    name: 'vectors',
    message: 'Result',
    vectors: [hex(new Uint8Array(numbers.buffer, 0, 8)), hex(new Uint8Array(numbers.buffer, 8))],
    hash: hex(vectorsHash([numbers.subarray(0, 2), numbers.subarray(2)])),
  },
  { name: 'guesses', message: 'Result', guesses, hash: hex(guessesHash(guesses)) },
  {
    ...{ name: 'guesses, salted', message: 'Result', guesses, nonce: hex(nonce) },
    hash: hex(guessesHash(guesses, nonce)),
  },
]

const badReceipt = (name: string, change: object, error = 'bad_signature') => ({
  name,
  message: 'Receipt',
  receipt: { ...receiptJson(honest), ...change },
  error,
})

const { signature } = honest
const outOfBounds: [name: string, change: object][] = [
  ['no job id', { job_id: '' }],
  ['a job id with a bar', { job_id: 'job_1|2' }],
  ['a job id with a line break', { job_id: 'job_1\n' }],
  ['a job id with a letter that is none of ASCII', { job_id: 'jöb' }],
  ['a job id of 129 characters', { job_id: 'a'.repeat(129) }],
  ['a key of 31 bytes', { node_pk: hex(alice.publicKey).slice(2) }],
  ['a key in capital letters', { node_pk: hex(alice.publicKey).toUpperCase() }],
  ['a hash of 33 bytes', { result_hash: `${hex(hello)}00` }],
  ['no units', { metering_units: 0 }],
  ['less than no units', { metering_units: -1 }],
  ['half a unit', { metering_units: 1.5 }],
  ['2^53 units', { metering_units: 2 ** 53 }],
  ['units as text', { metering_units: '326' }],
  ['a signature of 63 bytes', { signature: base64(signature.subarray(1)) }],
  ['a signature that is not base64', { signature: `${base64(signature).slice(0, -2)}` }],
]

const forged: [name: string, change: object][] = [
  ['another job', { job_id: 'job_1.2' }],
  ['another key', { node_pk: hex(bob.publicKey) }],
  ['another hash', { result_hash: hex(alice.publicKey) }],
  ['one unit more', { metering_units: 327 }],
  ['a signature of zeros', { signature: base64(new Uint8Array(64)) }],
  [
    'a bit of the signature changed',
    { signature: base64(signature.with(3, (signature[3] ?? 0) ^ 1)) },
  ],
  ['S + L', { signature: base64(malleated(signature)) }],
  ['the payload signed, not its digest', signedAs(utf8.encode(receiptPayload(honest)))],
  ['signed as an open receipt', signedAs(openDigest(openFields))],
  [
    'a key of small order',
    { node_pk: hex(smallOrder.key), signature: base64(smallOrder.signature) },
  ],
  ['a key that is no point', { node_pk: `${'00'.repeat(30)}0100` }],
]

function signedAs(message: Uint8Array): object {
  return { signature: base64(alice.sign(message)) }
}

const openOf = (change: object, error: string) => ({
  message: 'OpenReceipt',
  receipt: { ...openJson(signOpenReceipt(openFields, byAlice)), ...change },
  error,
})

const badCids = [
  ['nothing', ''],
  ['63 digits', `ryv1:sha256:${'a'.repeat(63)}`],
  ['capital digits', `ryv1:sha256:${'A'.repeat(64)}`],
  ['another hash', `ryv1:sha512:${'a'.repeat(64)}`],
  ['capital letters', rawCid(hello).toUpperCase()],
  ['bits left over', `${rawCid(hello).slice(0, -1)}b`],
  ['a character too few', rawCid(hello).slice(0, -1)],
  ['a character too many', `${rawCid(hello)}a`],
  ['identity', 'bafkqabdjmq'],
  ['version 0', 'QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG'],
  ['dag-pb', 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi'],
].map(([name, text]) => ({ name: `${name}`, message: 'Cid', text, error: 'invalid_cid' }))

export const receiptGood: object[] = [
  ...goodReceipts,
  goodOpen('counted', {}),
  goodOpen('not counted yet', { inputTokens: 0 }),
  ...goodCids,
  {
    name: 'of a receipt, as this network writes it',
    message: 'Cid',
    text: ryv1Cid(hello),
    kind: 'receipt',
    digest: hex(hello),
  },
  ...results,
]

export const receiptBad: object[] = [
  ...outOfBounds.map(([name, change]) => badReceipt(name, change, 'malformed')),
  ...forged.map(([name, change]) => badReceipt(name, change)),
  { name: 'less than no tokens', ...openOf({ input_tokens: -1 }, 'malformed') },
  { name: 'a root of 31 bytes', ...openOf({ prompt_root: 'ab'.repeat(31) }, 'malformed') },
  { name: 'another root', ...openOf({ prompt_root: hex(hello) }, 'bad_signature') },
  { name: 'another count', ...openOf({ input_tokens: 15 }, 'bad_signature') },
  ...badCids,
]
