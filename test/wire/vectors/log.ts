import { canonicalJson } from '../../../src/wire/canonical-json.ts'
import { Cid, entryCid } from '../../../src/wire/cid.ts'
import { type Cbor, type CborMap, encodeDagCbor } from '../../../src/wire/dag-cbor.ts'
import {
  encodeEntry,
  executionEntry,
  revocationEntry,
  routingEntry,
  type SealedEntry,
} from '../../../src/wire/entry.ts'
import { segmentReceiptsOf } from '../../../src/wire/execution.ts'
import { type Head, signHead } from '../../../src/wire/head.ts'
import { type Proof, proofJson } from '../../../src/wire/proof.ts'
import { signReceipt } from '../../../src/wire/receipt.ts'
import { signRouting } from '../../../src/wire/routing.ts'
import { encode } from '../../../src/wire/shape.ts'
import { signedShape } from '../../../src/wire/signed.ts'
import { ExampleLog, execution, filled, oneJob, routing, signing } from '../log-examples.ts'
import { alice, type Bad, bad, bob, type Good, good, network, signature } from './cases.ts'
import { refusedCbor } from './cbor-bad.ts'
import { draftEntry, draftRouting } from './draft-log.ts'
import { join } from './raw.ts'

const json = (value: object) => join(canonicalJson(value))
const cbor = (message: string, name: string, value: Cbor) =>
  good(message, name, encodeDagCbor(value))

const { done, told, providerLog, coordinatorLog } = oneJob()
const full = {
  ...execution(),
  sampler: 'v1',
  seed: Number.MAX_SAFE_INTEGER,
  drafting: [{ drafter: bob.publicKey, drafted: 326, accepted: 312, rolledBack: 14 }],
}
const [segment = full.receipt] = segmentReceiptsOf(full)

const whole = signReceipt(
  { jobId: 'job_1', nodePk: bob.publicKey, resultHash: filled(4), meteringUnits: 400 },
  signing.sign,
)
const severalParts = {
  ...routing([{ receipt: segment }, { execution: done.cid }]),
  whole,
  verdict: 'dispute' as const,
  dispute: 'bad_count',
}
const severalBody = signRouting(severalParts, signing)
const routingBody = told.entry.body

/** Signed again after a change that this version's writer would not make. */
function resigned(change: CborMap): CborMap {
  const { signature: _, ...fields } = { ...routingBody, ...change }
  return { ...fields, signature: signature('routing', encodeDagCbor(fields), { by: bob }) }
}

const headFields: Omit<Head, 'net'> = {
  author: alice.publicKey,
  epoch: filled(3, 8),
  size: 4,
  root: providerLog.peaks().root(),
  at: 1_790_000_009_000,
}
const byAlice = { network, sign: (message: Uint8Array) => alice.sign(message) }
const head = (change: Partial<Head>) =>
  encode(signedShape, signHead({ ...headFields, ...change }, byAlice))

/** Whatever the map, signed by its author. */
function oddHead(change: CborMap, of = network): Uint8Array {
  const payload = encodeDagCbor({ ...headFields, after: undefined, net: network, ...change })
  return encode(signedShape, { payload, signature: signature('head', payload, { of }) })
}

const proved: Proof = {
  network,
  receipt: execution().receipt,
  entries: [await providerLog.found(2), await coordinatorLog.found(1)],
}
/** Shorter, where one entry shows it as well. */
const proofOfOne: Proof = { ...proved, entries: proved.entries.slice(0, 1) }
const alone = proofJson({ ...proved, entries: [] })
const severalLog = new ExampleLog(bob).append(routingEntry(1, severalBody))
const severalProof: Proof = {
  network,
  receipt: whole,
  entries: [await severalLog.found(0), await providerLog.found(2)],
}

export const logGood: Good[] = [
  cbor('DagCbor', 'an empty map', {}),
  cbor('DagCbor', 'numbers', [
    0,
    23,
    24,
    255,
    256,
    65_535,
    65_536,
    2 ** 32 - 1,
    2 ** 32,
    2 ** 53 - 1,
  ]),
  cbor('DagCbor', 'numbers below zero', [-1, -24, -25, -256, -257, -(2 ** 32), -(2 ** 53 - 1)]),
  cbor('DagCbor', 'the rest', [true, false, null, '', 'ü😀\0', new Uint8Array(), filled(1, 300)]),
  cbor('DagCbor', 'keys of all lengths', {
    ab: 1,
    b: 2,
    a: 3,
    aaa: 4,
    a_1: 5,
    ['k'.repeat(32)]: 6,
  }),
  cbor('DagCbor', 'CIDs', [new Cid('entry', filled(1)), new Cid('receipt', filled(2))]),
  cbor('DagCbor', 'eight levels', [[[[[[[[1]]]]]]]]),
  cbor('DagCbor', '4,096 values: lists, maps and CIDs are some, keys are none', values(4096)),
  good('Entry', 'execution', done.bytes),
  good('Entry', 'execution, every field', executionEntry(2, full).bytes),
  good('Entry', 'routing', told.bytes),
  good('Entry', 'routing of several parts, disputed', routingEntry(3, severalBody).bytes),
  good('Entry', 'revocation', revocationEntry(4, { key: alice.publicKey }).bytes),
  good(
    'Entry',
    'revocation, every field',
    revocationEntry(4, { key: alice.publicKey, successor: bob.publicKey, reason: 'lost' }).bytes,
  ),
  good('Entry', 'execution of drafting', draftEntry.bytes),
  good('Entry', 'routing of drafting', routingEntry(6, draftRouting).bytes),
  cbor('Entry', 'a kind of a newer version', { v: 1, at: 0, kind: 'audit', body: { a: [1] } }),
  good(
    'Entry',
    'execution, its segments in no order and one of them twice',
    executionEntry(2, { ...full, segments: [...segmentsUntil(64, 32), ...segmentsUntil(32)] })
      .bytes,
  ),
  cbor('Entry', 'keys of a newer version', {
    v: 1,
    at: 1,
    kind: 'execution',
    body: { ...done.entry.body, mood: ['good', { why: null }] },
    mood: 1,
  }),
  good('SignedHead', 'a head', head({})),
  good(
    'SignedHead',
    'of an epoch that goes on from another',
    head({
      after: { epoch: filled(2, 8), size: 3, root: filled(6) },
    }),
  ),
  good('SignedHead', 'keys of a newer version', oddHead({ mood: 'good' })),
  cbor('Routing', 'a routing', routingBody),
  cbor('Routing', 'of several parts, disputed', severalBody),
  cbor('Routing', 'keys of a newer version', resigned({ mood: 'good' })),
  cbor('Routing', 'of eight levels, for which no entry has room', resigned({ mood: deep(7) })),
  good('Proof', 'receipt, execution and routing', json(proofJson(proved))),
  good('Proof', 'a receipt alone', json(proofJson({ ...proved, entries: [] }))),
  good('Proof', 'an answer that several made', json(proofJson(severalProof))),
  respelled('in another spelling', JSON.stringify(alone, null, 2).replace('326', '3260e-1')),
  respelled(
    'members of a newer version, of sixteen levels',
    JSON.stringify({ mood: deep(15), ...alone, receipt: { at: -1, ...alone.receipt } }),
  ),
]

/** So many in all. */
function values(count: number): Cbor {
  const first = [new Cid('entry', filled(1)), { a: 1, b: {} }]
  return [...first, ...Array.from({ length: count - 5 }, () => 0)]
}

function deep(levels: number): Cbor[] {
  return levels === 1 ? [] : [deep(levels - 1)]
}

function segmentsUntil(...ends: number[]) {
  return ends.flatMap((end) => full.segments.map((segment) => ({ ...segment, end })))
}

/** Written again in the one spelling that canonical JSON has. */
function respelled(name: string, text: string): Good {
  return good('Proof', name, join(text), json(JSON.parse(text)))
}

const entryOf = (change: CborMap) =>
  encodeDagCbor({ v: 1, at: 1, kind: 'note', body: {}, ...change })
const executionOf = (change: CborMap) =>
  entryOf({ kind: 'execution', body: { ...done.entry.body, ...change } })
const partOf = (change: object) => [
  { ...(routingBody.parts as CborMap[])[0], ...change } as CborMap,
]
const receiptMap = done.entry.body.receipt as CborMap

const badEntries: [name: string, bytes: Uint8Array][] = [
  ['a list', encodeDagCbor([])],
  ['no kind', entryOf({ kind: undefined })],
  ['a kind in capital letters', entryOf({ kind: 'Note' })],
  ['no time', entryOf({ at: undefined })],
  ['a time below zero', entryOf({ at: -1 })],
  ['a time that no date has', entryOf({ at: 8_640_000_000_000_001 })],
  ['no body', entryOf({ body: undefined })],
  ['a body that is a CID', entryOf({ body: done.cid })],
  ['more than 32 KiB', entryOf({ body: { a: new Uint8Array(32 * 1024) } })],
  ['4,097 values', entryOf({ body: { a: Array.from({ length: 4091 }, () => 0) } })],
  ['nine levels', entryOf({ body: { a: deep(7) } })],
  ['no version', entryOf({ v: undefined })],
  ['a version below zero', entryOf({ v: -1 })],
  ['a version in words', entryOf({ v: 'one' })],
  ['an execution without its receipt', executionOf({ receipt: undefined })],
  ['an execution of no units', executionOf({ receipt: { ...receiptMap, metering_units: 0 } })],
  ['an execution with a bar', executionOf({ receipt: { ...receiptMap, job_id: 'a|b' } })],
  ['an execution of a model by its name', executionOf({ model: 'llama' })],
  ['an execution of 129 segments', executionOf({ segments: many(129, done.entry.body.segments) })],
  ['an execution with a null', executionOf({ region: null })],
  ['a price above 10^12', executionOf({ price: { input: 10 ** 12 + 1, output: 0 } })],
]

function many(count: number, list: Cbor | undefined): Cbor {
  return Array.from({ length: count }, () => (list as Cbor[])[0] as Cbor)
}

const badBodies: [name: string, change: CborMap][] = [
  ['a dispute without a word', { verdict: 'dispute' }],
  ['a word without a dispute', { dispute: 'bad_hash' }],
  ['a verdict that there is none of', { verdict: 'fine' }],
  ['a part with neither entry nor receipt', { parts: partOf({ execution: undefined }) }],
  ['a part with both', { parts: partOf({ receipt: receiptMap }) }],
  [
    'a part with the receipt of another',
    { parts: partOf({ execution: undefined, receipt: receiptMap, node: bob.publicKey }) },
  ],
  [
    'a part that links to a receipt',
    { parts: partOf({ execution: new Cid('receipt', filled(1)) }) },
  ],
  ['a whole by another', { whole: receiptMap }],
  ['33 parts', { parts: many(33, routingBody.parts) }],
  ['33 attempts', { attempts: many(33, routingBody.attempts) }],
]

const forgedRoutings: [name: string, body: CborMap][] = [
  ['another amount', { ...routingBody, amount: 0 }],
  ['a key more', { ...routingBody, mood: 'good' }],
  ['a key less', { ...routingBody, region: undefined }],
  ['a signature of zeros', { ...routingBody, signature: filled(0, 64) }],
  ['another coordinator', { ...routingBody, coordinator: alice.publicKey }],
  [
    'for another network',
    signRouting(routing([{ execution: done.cid }]), { ...signing, network: 'main' }),
  ],
]

const place = providerLog.head()
const badHeads: [name: string, bytes: Uint8Array, error?: string][] = [
  ['of no entries', oddHead({ size: 0 })],
  ['of another network', oddHead({ net: 'main' })],
  ['with an epoch of 7 bytes', oddHead({ epoch: filled(1, 7) })],
  ['with a root of 33 bytes', oddHead({ root: filled(1, 33) })],
  ['without a time', oddHead({ at: undefined })],
  ['of more than 1 KiB', oddHead({ mood: filled(1, 1024) })],
  [
    'that goes on from no entries',
    oddHead({ after: { epoch: filled(1, 8), size: 0, root: filled(1) } }),
  ],
  ['of another peer', oddHead({ author: bob.publicKey }), 'bad_signature'],
  ['signed for another network', oddHead({}, 'main'), 'bad_signature'],
  ['signed as an advert', signedAs('advert'), 'bad_signature'],
  [
    'with a bit changed',
    encode(signedShape, { ...place, signature: filled(1, 64) }),
    'bad_signature',
  ],
  ['cut off', head({}).subarray(0, -1)],
]

function signedAs(record: string): Uint8Array {
  const { payload } = place
  return encode(signedShape, { payload, signature: signature(record, payload) })
}

type ProofChange = (file: ReturnType<typeof proofJson>) => object
const [executionFound, routingFound] = proofJson(proved).entries
const badProofs: [name: string, change: ProofChange, error?: string][] = [
  ['of another version', (file) => ({ ...file, version: 'PNV2' }), 'malformed'],
  ['without entries', ({ entries: _, ...file }) => file, 'malformed'],
  ['with a path of 31 bytes', (file) => withFirst(file, { path: ['ab'.repeat(31)] }), 'malformed'],
  ['with an index below zero', (file) => withFirst(file, { index: -1 }), 'malformed'],
  ['with base64 that has bits left over', (file) => withFirst(file, { head: 'AB==' }), 'malformed'],
  ['of another network', (file) => ({ ...file, network: 'main' })],
  ['with another number of units', (file) => withReceipt(file, { metering_units: 327 })],
  ['with another job', (file) => withReceipt(file, { job_id: 'job_1.2' })],
  ['at another index', (file) => withFirst(file, { index: 1 })],
  [
    'with a path that is too short',
    (file) => withFirst(file, { path: executionFound?.path.slice(1) }),
  ],
  ['under the head of another log', (file) => withFirst(file, headOf(routingFound))],
  ['with another entry', (file) => withFirst(file, { entry: routingFound?.entry })],
  ['of another receipt', (file) => ({ ...file, receipt: otherReceipt })],
]

const otherReceipt = proofJson({ ...proved, receipt: execution('job_2.1').receipt }).receipt
const headOf = (found: typeof executionFound) => ({
  head: found?.head,
  head_signature: found?.head_signature,
})
const withFirst = (file: ReturnType<typeof proofJson>, change: object) => ({
  ...file,
  entries: [{ ...file.entries[0], ...change }, ...file.entries.slice(1)],
})
const withReceipt = (file: ReturnType<typeof proofJson>, change: object) => ({
  ...file,
  receipt: { ...file.receipt, ...change },
})

const spoilt = (text: string, by: string) => join(text.replace('{', `{${by},`))
const aloneText = canonicalJson(alone)
const oddFiles: [name: string, bytes: Uint8Array][] = [
  ['that is no JSON', join('{')],
  ['with a byte order mark', join('\u{feff}', aloneText)],
  ['that is not UTF-8', spoilt(aloneText, '"mood":"').fill(0xff, 9, 10)],
  ['with a member twice', spoilt(aloneText, `"receipt":${JSON.stringify(otherReceipt)}`)],
  ['with a member twice, by another spelling', spoilt(aloneText, '"\\u006eetwork":"main"')],
  ['with a member twice, in a member of a newer version', spoilt(aloneText, '"a":{"b":1,"b":1}')],
  ['with half of a surrogate pair', spoilt(aloneText, '"mood":"\\ud83d"')],
  ['with a name that is half of a surrogate pair', spoilt(aloneText, '"\\ude00":1')],
  ['with a number that no double holds', spoilt(aloneText, '"mood":1e999')],
  ['with a number that JSON has not', spoilt(aloneText, '"mood":NaN')],
  ['of seventeen levels', spoilt(aloneText, `"mood":${'['.repeat(16)}${']'.repeat(16)}`)],
  ['of more than 32,768 values', spoilt(aloneText, `"mood":[${'0,'.repeat(32_768)}0]`)],
  ['of more than 4 MiB', join(aloneText, ' '.repeat(4 * 1024 * 1024))],
]

const inLog = async (name: string, log: ExampleLog, at: number[]): Promise<Bad> => {
  const entries = await Promise.all(at.map((index) => log.found(index)))
  return bad('Proof', name, json(proofJson({ ...proved, entries })), 'does_not_hold')
}
const forgedRouting = routingEntry(1, { ...routingBody, amount: 0 })
const newerBytes = entryOf({ v: 2 })
const newerEntry: SealedEntry = { ...done, bytes: newerBytes, cid: entryCid(newerBytes) }
const brokenExecution: SealedEntry = encodeEntry({ kind: 'execution', at: 1, body: {} })

export const logBad: Bad[] = [
  ...refusedCbor.map(([name, hex]) => bad('DagCbor', name, Buffer.from(hex, 'hex'))),
  ...badEntries.map(([name, bytes]) => bad('Entry', name, bytes)),
  bad('Entry', 'of a newer version', entryOf({ v: 2 }), 'unsupported_value'),
  bad(
    'Entry',
    'of a newer version, and nothing else',
    encodeDagCbor({ v: 0 }),
    'unsupported_value',
  ),
  ...badBodies.map(([name, change]) => bad('Routing', name, encodeDagCbor(resigned(change)))),
  ...forgedRoutings.map(([name, body]) =>
    bad('Routing', name, encodeDagCbor(body), 'bad_signature'),
  ),
  ...badHeads.map(([name, bytes, error]) => bad('SignedHead', name, bytes, error)),
  ...badProofs.map(([name, change, error = 'does_not_hold']) =>
    bad('Proof', name, json(change(proofJson(proofOfOne))), error),
  ),
  ...oddFiles.map(([name, bytes]) => bad('Proof', name, bytes)),
  await inLog('with an execution in the log of another', new ExampleLog(bob).append(done), [0]),
  await inLog(
    'with a routing in the log of another',
    new ExampleLog(alice).append(done, told),
    [0, 1],
  ),
  await inLog('with a routing that is not signed', new ExampleLog(bob).append(forgedRouting), [0]),
  await inLog(
    'with a routing alone, that only names an entry',
    new ExampleLog(bob).append(told),
    [0],
  ),
  await inLog('with an entry of a newer version', new ExampleLog(alice).append(newerEntry), [0]),
  await inLog('with a body that is none', new ExampleLog(alice).append(brokenExecution), [0]),
]
