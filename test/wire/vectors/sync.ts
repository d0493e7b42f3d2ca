import { Cid, entryCid } from '../../../src/wire/cid.ts'
import { encodeDagCbor } from '../../../src/wire/dag-cbor.ts'
import { encodeEntry, type SealedEntry } from '../../../src/wire/entry.ts'
import {
  type Equivocation,
  equivocationShape,
  headsEquivocation,
} from '../../../src/wire/equivocation.ts'
import { openReceiptOf } from '../../../src/wire/execution.ts'
import { type Batch, encodeBatch } from '../../../src/wire/log-batch.ts'
import { encode } from '../../../src/wire/shape.ts'
import {
  encodeLogMessage,
  encodeSyncAnswer,
  encodeSyncRequest,
  type Found,
  getRequest,
  type SyncAnswer,
  type SyncRequest,
} from '../../../src/wire/sync.ts'
import { FeedsDigest, type Place } from '../../../src/wire/sync-digest.ts'
import { foundShape } from '../../../src/wire/sync-shape.ts'
import { ExampleLog, execution, filled, oneJob } from '../log-examples.ts'
import { alice, type Bad, bad, bob, type Good, good } from './cases.ts'
import { content, hex, join, number, padded, unknown } from './raw.ts'

const note = (n: number) => encodeEntry({ kind: 'note', at: n, body: { n } })
const notes = (count: number, from = 0) => Array.from({ length: count }, (_, at) => note(from + at))
const log = new ExampleLog(alice).append(...notes(20))
const fork = new ExampleLog(alice).append(...notes(7), note(99), ...notes(12, 8))
const { done, providerLog } = oneJob()
const newerBytes = encodeDagCbor({ v: 2, what: 'nobody knows' })
const newer: SealedEntry = { ...note(0), bytes: newerBytes, cid: entryCid(newerBytes) }
const newerLog = new ExampleLog(alice).append(...notes(2), newer)

const author = alice.publicKey
const epoch = filled(3, 8)
const range = { author, epoch, from: 5, to: 0, peaks: false }
const byHeads = headsEquivocation(log.head(), fork.head())
const [one, other] = [await log.found(7, 9), await fork.found(7, 20)]
const byEntries: Equivocation = {
  one: one.head,
  other: other.head,
  index: 7,
  oneCid: note(7).cid.bytes,
  onePath: one.path,
  otherCid: note(99).cid.bytes,
  otherPath: other.path,
}

const asked = (name: string, request: SyncRequest) =>
  good('SyncRequest', name, encodeSyncRequest(request))
const answered = (name: string, answer: SyncAnswer) =>
  good('SyncAnswer', name, encodeSyncAnswer(answer))

const whole = await log.batch(0, 20)
const beginning = await log.batch(0, 12)
const middle = { ...(await log.batch(13, 17)), peaks: [...log.peaks(13).hashes] }
const none = { ...(await log.batch(20, 20)), peaks: [...log.peaks(20).hashes] }
const opened = (name: string, batch: Batch) => good('OpenBatch', name, encodeBatch(batch))
const found = (name: string, found: Found) => good('OpenFound', name, encode(foundShape, found))
const place = { author, epoch, size: 20, rootMark: log.peaks().root().slice(0, 8) }

export const syncGood: Good[] = [
  asked('digest', { type: 'digest', buckets: filled(0x5a, 2048) }),
  asked('heads of two peers', { type: 'authors', authors: [author, bob.publicKey] }),
  asked('nobody’s heads', { type: 'authors', authors: [] }),
  asked('two ranges', {
    type: 'ranges',
    ranges: [range, { ...range, from: 0, to: 3, peaks: true }],
  }),
  asked('an entry', getRequest(done.cid)),
  asked('a receipt', getRequest(new Cid('receipt', filled(1)))),
  asked('follow', { type: 'follow', ranges: [range] }),
  asked('an equivocation', { type: 'equivocation', ...byHeads }),
  good('SyncRequest', 'of a newer version', unknown()),
  answered('places', { type: 'places', places: [place, { ...place, size: 2 ** 53 - 1 }] }),
  answered('heads', { type: 'heads', heads: [log.head(), log.head(9)] }),
  answered('a batch', { type: 'batch', batch: beginning }),
  answered('what was found', { type: 'found', ...(await providerLog.found(2)) }),
  answered('an open receipt', { type: 'open', receipt: openReceiptOf(execution()) }),
  answered('an equivocation', { type: 'equivocation', ...byEntries }),
  answered('the end', { type: 'end', reason: '' }),
  answered('the end, for a reason', { type: 'end', reason: 'too_much' }),
  good('SyncAnswer', 'of a newer version', unknown()),
  good('LogMessage', 'a batch', encodeLogMessage({ type: 'batch', batch: whole })),
  good('LogMessage', 'an equivocation', encodeLogMessage({ type: 'equivocation', ...byHeads })),
  good('LogMessage', 'of a newer version', unknown()),
  opened('a whole log', whole),
  opened('its beginning', beginning),
  opened('its middle, with peaks', middle),
  opened('no entries, with peaks', none),
  found('an entry', await providerLog.found(2)),
  found('an entry alone', await new ExampleLog(alice).append(note(1)).found(0)),
  good('OpenEquivocation', 'of two heads', encode(equivocationShape, byHeads)),
  good(
    'OpenEquivocation',
    'of two heads, with what says nothing',
    encode(equivocationShape, { ...byHeads, index: 7, oneCid: byEntries.oneCid }),
  ),
  good('OpenEquivocation', 'of two entries', encode(equivocationShape, byEntries)),
]

const ofNewer = await newerLog.batch(0, 3)
const badBatches: [name: string, change: Partial<Batch>, error?: string][] = [
  ['beyond its head', { head: log.head(12) }, 'malformed'],
  ['with a path that it does not need', { path: [filled(1)] }, 'malformed'],
  ['with peaks of another size', { peaks: [filled(1)] }, 'malformed'],
  ['from the middle, without peaks', { first: 5, entries: whole.entries.slice(5) }, 'malformed'],
  ['with an entry that is none', { entries: whole.entries.with(3, filled(1)) }, 'malformed'],
  ['with another entry', { entries: whole.entries.with(3, note(99).bytes) }],
  ['in another order', { entries: whole.entries.toReversed() }],
  ['with an entry too few', { entries: whole.entries.slice(0, -1) }],
  ['with another path', { ...beginning, path: beginning.path.toReversed() }],
  ['with other peaks', { ...middle, peaks: middle.peaks.toReversed() }],
  ['under the head of a fork', { head: fork.head() }],
  ['not signed', unsigned(whole), 'bad_signature'],
  ['with an entry of a newer version', ofNewer, 'unsupported_value'],
  [
    'with an entry of a newer version, and one that is none',
    { ...ofNewer, entries: [filled(1), ...ofNewer.entries.slice(1)] },
    'malformed',
  ],
  [
    'with an entry of a newer version, and another entry',
    { ...ofNewer, entries: ofNewer.entries.with(0, note(99).bytes) },
    'unsupported_value',
  ],
  [
    'with an entry of a newer version, not signed',
    { ...ofNewer, ...unsigned(ofNewer) },
    'bad_signature',
  ],
  [
    'with peaks of another size, not signed',
    { ...unsigned(whole), peaks: [filled(1)] },
    'malformed',
  ],
]

function unsigned({ head }: Pick<Batch, 'head'>) {
  return { head: { ...head, signature: filled(1, 64) } }
}

const at2 = await providerLog.found(2)
const badFound: [name: string, change: Partial<Found>, error?: string][] = [
  ['at another index', { index: 1 }],
  ['with a path that is too short', { path: at2.path.slice(1) }],
  ['with a path that is too long', { path: [...at2.path, filled(1)] }],
  ['under another head', { head: providerLog.head(3) }],
  ['of another entry', { entry: note(1).bytes }],
  ['that is none', { entry: filled(1) }, 'malformed'],
  ['not signed', unsigned(at2), 'bad_signature'],
  ['of a newer version', await newerLog.found(2), 'unsupported_value'],
]

const unsignedClaim = { one: unsigned(one).head }
const badClaims: [name: string, change: Partial<Equivocation>, error?: string][] = [
  ['of a log that grew', headsEquivocation(log.head(), log.head(9))],
  ['of one head', headsEquivocation(log.head(), log.head())],
  ['of two epochs', headsEquivocation(log.head(), forkOf(alice, filled(4, 8)))],
  ['of two peers', headsEquivocation(log.head(), forkOf(bob, epoch))],
  ['at another index', { index: 6 }],
  ['with one entry twice', { otherCid: byEntries.oneCid }],
  ['with an entry that is not there', { otherCid: note(98).cid.bytes }],
  ['without a CID', { otherCid: new Uint8Array() }],
  ['with a CID that is none', { otherCid: filled(1, 36) }, 'malformed'],
  ['with the CID of a receipt', { otherCid: new Cid('receipt', filled(1)).bytes }, 'malformed'],
  ['of two heads, with a CID that is none', { ...byHeads, oneCid: filled(1, 36) }, 'malformed'],
  [
    'not signed, beside a head that is none',
    { ...unsignedClaim, other: { ...other.head, payload: filled(1) } },
    'malformed',
  ],
  ['not signed', unsignedClaim, 'bad_signature'],
]

function forkOf(peer: typeof alice, epoch: Uint8Array) {
  return new ExampleLog(peer, epoch).append(...notes(20, 50)).head()
}

const requestOf = (request: SyncRequest) => encodeSyncRequest(request)
const key = content(1, author)
const badRequests: [name: string, bytes: Uint8Array][] = [
  ['two requests', join(requestOf(getRequest(done.cid)), requestOf(getRequest(done.cid)))],
  ['a digest of 2,047 bytes', content(1, content(1, new Uint8Array(2047)))],
  ['a digest of 2,049 bytes', content(1, content(1, new Uint8Array(2049)))],
  [
    '257 authors',
    requestOf({ type: 'authors', authors: Array.from({ length: 257 }, () => author) }),
  ],
  ['an author of 31 bytes', content(2, content(1, author.slice(1)))],
  ['257 ranges', requestOf({ type: 'ranges', ranges: Array.from({ length: 257 }, () => range) })],
  ['a range without an epoch', content(3, content(1, key))],
  [
    'a range that ends where it begins',
    requestOf({ type: 'ranges', ranges: [{ ...range, to: 5 }] }),
  ],
  [
    'a range that ends before it begins',
    requestOf({ type: 'follow', ranges: [{ ...range, to: 4 }] }),
  ],
  ['a CID of 35 bytes', content(4, content(1, new Uint8Array(35)))],
  ['a CID that is none', content(4, content(1, filled(1, 36)))],
  ['a number for a CID', content(4, number(1, 1))],
  ['cut off', requestOf(getRequest(done.cid)).subarray(0, -1)],
]

const badAnswers: [name: string, bytes: Uint8Array][] = [
  [
    'a place of no entries',
    content(1, content(1, join(key, content(2, epoch), content(4, epoch)))),
  ],
  [
    '513 places',
    encodeSyncAnswer({ type: 'places', places: Array.from({ length: 513 }, () => place) }),
  ],
  ['a head of 1,025 bytes', content(2, content(1, signedOf(new Uint8Array(1025))))],
  ['a batch of 65,529 bytes', content(3, padded(encodeBatch(beginning), 65_529))],
  ['a batch without a head', content(3, number(2, 1))],
  [
    'a batch with an empty entry',
    encodeSyncAnswer({ type: 'batch', batch: { ...whole, entries: [new Uint8Array()] } }),
  ],
  ['a path of 33 bytes', content(4, join(encodeFound(), content(4, new Uint8Array(33))))],
  ['a path of 54 hashes', content(4, join(encodeFound(), content(4, new Uint8Array(54 * 32))))],
  ['an end for a reason in words', content(7, content(1, 'No more.'))],
]

function encodeFound(): Uint8Array {
  return join(content(1, signedOf(log.head().payload)), content(3, 'e'))
}

function signedOf(payload: Uint8Array): Uint8Array {
  return join(content(1, payload), content(2, log.head().signature))
}

export const syncBad: Bad[] = [
  ...badRequests.map(([name, bytes]) => bad('SyncRequest', name, bytes)),
  ...badAnswers.map(([name, bytes]) => bad('SyncAnswer', name, bytes)),
  bad('LogMessage', 'a batch of 65,529 bytes', content(1, padded(encodeBatch(whole), 65_529))),
  bad('LogMessage', 'of more than 64 KiB', content(1, new Uint8Array(65_533))),
  ...badBatches.map(([name, change, error = 'bad_log']) =>
    bad('OpenBatch', name, encodeBatch({ ...whole, ...change }), error),
  ),
  ...badFound.map(([name, change, error = 'bad_log']) =>
    bad('OpenFound', name, encode(foundShape, { ...at2, ...change }), error),
  ),
  ...badClaims.map(([name, change, error = 'no_equivocation']) =>
    bad('OpenEquivocation', name, encode(equivocationShape, { ...byEntries, ...change }), error),
  ),
]

const places: Place[] = Array.from({ length: 6 }, (_, at) => ({
  author: filled(at),
  epoch: filled(at + 1, 8),
  size: 10 ** (at * 3) || 1,
  root: filled(at + 2),
}))
const digest = new FeedsDigest()
for (const place of places) digest.toggle(place)

export const digestHead = { buckets: hex(digest.bytes) }
export const digestPlaces = places.map(({ author, epoch, size, root }) => ({
  author: hex(author),
  epoch: hex(epoch),
  size,
  root: hex(root),
}))
