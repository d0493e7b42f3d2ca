import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createVerifyNative } from '../../src/identity/verify-native.ts'
import { Cid, type CidKind } from '../../src/wire/cid.ts'
import { encodeEntry } from '../../src/wire/entry.ts'
import {
  type Equivocation,
  headsEquivocation,
  openEquivocation,
} from '../../src/wire/equivocation.ts'
import { openReceiptOf, segmentReceiptsOf } from '../../src/wire/execution.ts'
import { readHead } from '../../src/wire/head.ts'
import {
  BATCH_BYTES_MAX,
  type Batch,
  decodeBatch,
  encodeBatch,
  grow,
  openBatch,
} from '../../src/wire/log-batch.ts'
import type { NodeRef } from '../../src/wire/merkle.ts'
import { proveInclusion } from '../../src/wire/merkle-proof.ts'
import { openDigest, receiptDigest } from '../../src/wire/receipt.ts'
import {
  checkOpen,
  decodeLogMessage,
  decodeSyncAnswer,
  decodeSyncRequest,
  encodeLogMessage,
  encodeSyncAnswer,
  encodeSyncRequest,
  getRequest,
  type LogMessage,
  openFound,
  type SyncAnswer,
  type SyncRequest,
} from '../../src/wire/sync.ts'
import { FeedsDigest, type Place } from '../../src/wire/sync-digest.ts'
import { rounds } from '../campaign.ts'
import { refusalOf, unknownFields } from './hostile.ts'
import {
  coordinator,
  ExampleLog,
  execution,
  filled,
  network,
  oneJob,
  provider,
} from './log-examples.ts'

const verifying = { network, verify: createVerifyNative() }
const note = (n: number) => encodeEntry({ kind: 'note', at: n, body: { n } })
const notes = (count: number, from = 0) => Array.from({ length: count }, (_, at) => note(from + at))
const log = new ExampleLog(provider).append(...notes(20))
const codeOf = (read: () => unknown) => refusalOf(read)?.code

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const count = fc.oneof(fc.nat({ max: 300 }), fc.maxSafeNat())
const list = <T>(of: fc.Arbitrary<T>, maxLength = 4) => fc.array(of, { maxLength })
const signed = fc.record({
  payload: fc.uint8Array({ minLength: 1, maxLength: 99 }),
  signature: bytes(64),
})
const hashes = list(bytes(32))
const cidOf = (kind: CidKind) =>
  bytes(32).map((digest) => new Cid(kind, digest).bytes as Uint8Array)

const batch: fc.Arbitrary<Batch> = fc.record({
  head: signed,
  first: count,
  entries: list(fc.uint8Array({ minLength: 1, maxLength: 99 })),
  path: hashes,
  peaks: hashes,
})
const equivocation: fc.Arbitrary<Equivocation> = fc.record({
  one: signed,
  other: signed,
  index: count,
  oneCid: fc.oneof(cidOf('entry'), bytes(0)),
  onePath: hashes,
  otherCid: fc.oneof(cidOf('entry'), bytes(0)),
  otherPath: hashes,
})
const range = fc
  .record({
    author: bytes(32),
    epoch: bytes(8),
    from: fc.nat(),
    more: fc.nat(),
    peaks: fc.boolean(),
  })
  .map(({ more, ...rest }) => ({ ...rest, to: more === 0 ? 0 : rest.from + more }))

const typed = <T extends string, F>(type: T, fields: fc.Arbitrary<F>) =>
  fields.map((values) => ({ type, ...values }))

const request: fc.Arbitrary<SyncRequest> = fc.oneof(
  typed('digest', fc.record({ buckets: bytes(2048) })),
  typed('authors', fc.record({ authors: list(bytes(32)) })),
  typed('ranges', fc.record({ ranges: list(range) })),
  typed('get', fc.record({ cid: fc.oneof(cidOf('entry'), cidOf('receipt')) })),
  typed('follow', fc.record({ ranges: list(range) })),
  typed('equivocation', equivocation),
)
const place = fc.record({
  author: bytes(32),
  epoch: bytes(8),
  size: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  rootMark: bytes(8),
})
const found = fc.record({
  head: signed,
  index: count,
  entry: fc.uint8Array({ minLength: 1, maxLength: 99 }),
  path: hashes,
})
const receipt = fc.record({
  jobId: fc.stringMatching(/^[A-Za-z0-9_.#-]{1,128}$/),
  nodePk: bytes(32),
  promptRoot: bytes(32),
  inputTokens: count,
  signature: bytes(64),
})
const answer: fc.Arbitrary<SyncAnswer> = fc.oneof(
  typed('places', fc.record({ places: list(place) })),
  typed('heads', fc.record({ heads: list(signed) })),
  typed('batch', fc.record({ batch })),
  typed('found', found),
  typed('open', fc.record({ receipt })),
  typed('equivocation', equivocation),
  typed('end', fc.record({ reason: fc.constantFrom('', 'pruned') })),
)
const said: fc.Arbitrary<LogMessage> = fc.oneof(
  typed('batch', fc.record({ batch })),
  typed('equivocation', equivocation),
)

interface Codec {
  name: string
  any: fc.Arbitrary<unknown>
  write(value: never): Uint8Array
  read(bytes: Uint8Array): unknown
}

describe.each<Codec>([
  { name: 'SyncRequest', any: request, write: encodeSyncRequest, read: decodeSyncRequest },
  { name: 'SyncAnswer', any: answer, write: encodeSyncAnswer, read: decodeSyncAnswer },
  { name: 'LogMessage', any: said, write: encodeLogMessage, read: decodeLogMessage },
  { name: 'Batch', any: batch, write: encodeBatch, read: decodeBatch },
])('$name', ({ name, any, write, read }) => {
  it('comes back as it was, whatever a newer version adds', () => {
    fc.assert(
      fc.property(any, unknownFields, (value, unknown) => {
        const bytes = write(value as never)
        expect(read(bytes)).toEqual(value)
        if (name !== 'Batch') expect(read(Buffer.concat([unknown, bytes]))).toEqual(value)
      }),
    )
  })

  it('is refused with our own errors, or read, when bytes are changed or random', () => {
    const noise = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.tuple(any, fc.nat(), fc.nat({ max: 255 })).map(([value, at, byte]) => {
        const bytes = write(value as never)
        return bytes.with(at % bytes.length, byte)
      }),
    )
    fc.assert(
      fc.property(noise, (bytes) => {
        const refusal = refusalOf(() => read(bytes))
        expect([undefined, 'malformed']).toContain(refusal?.code)
      }),
      { numRuns: rounds(300, 20_000) },
    )
  })
})

it('a range ends behind its beginning', () => {
  const ranges = [{ author: filled(1), epoch: filled(1, 8), from: 5, to: 5, peaks: false }]
  const bytes = encodeSyncRequest({ type: 'ranges', ranges })
  expect(codeOf(() => decodeSyncRequest(bytes))).toBe('malformed')
})

describe('a batch', () => {
  it('lets a log grow, piece by piece, as long as each leads to the head', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: 18 }), fc.nat({ max: 18 }), async (a, b) => {
        const [first, end] = [Math.min(a, b), Math.max(a, b) + 1]
        const opened = openBatch(await log.batch(first, end), verifying)
        const nodes: NodeRef[] = []
        const after = grow(opened, log.peaks(first), (node) => nodes.push(node))
        expect(after.root()).toEqual(log.peaks(end).root())
        expect(nodes.filter(({ level }) => level === 0)).toHaveLength(end - first)
        expect(log.peaks(first).size).toBe(first)
      }),
    )
  })

  it('brings the peaks of what its reader does not have', async () => {
    const batch = { ...(await log.batch(13, 20)), peaks: [...log.peaks(13).hashes] }
    expect(grow(openBatch(batch, verifying)).root()).toEqual(log.peaks(20).root())
    const [first = filled(0), ...rest] = batch.peaks
    const forged = { ...batch, peaks: [first.with(0, (first[0] ?? 0) ^ 1), ...rest] }
    expect(codeOf(() => grow(openBatch(forged, verifying)))).toBe('bad_log')
    const short = { ...batch, peaks: rest }
    expect(codeOf(() => grow(openBatch(short, verifying)))).toBe('malformed')
  })

  it('does not grow a log whose entries are others, fewer or in another order', async () => {
    const batch = await log.batch(5, 20)
    const other = batch.entries.with(3, note(99).bytes)
    const swapped = [...batch.entries.slice(1), ...batch.entries.slice(0, 1)]
    for (const entries of [other, swapped, batch.entries.slice(1)]) {
      const opened = openBatch({ ...batch, entries }, verifying)
      expect(codeOf(() => grow(opened, log.peaks(5)))).toBe('bad_log')
    }
    const behind = openBatch(batch, verifying)
    const fork = new ExampleLog(provider).append(...notes(5, 50))
    expect(codeOf(() => grow(behind, fork.peaks(5)))).toBe('bad_log')
    expect(() => grow(behind, log.peaks(6))).toThrow(RangeError)
  })

  it('is refused with a path that is not that of its head', async () => {
    const batch = await log.batch(5, 12)
    const [first = filled(0), ...rest] = batch.path
    for (const path of [rest, [...batch.path, first], [filled(7), ...rest]]) {
      const opened = openBatch({ ...batch, path }, verifying)
      expect(codeOf(() => grow(opened, log.peaks(5)))).toBe('bad_log')
    }
    const whole = { ...(await log.batch(5, 20)), path: [first] }
    expect(codeOf(() => openBatch(whole, verifying))).toBe('malformed')
  })

  it('is refused when it reaches beyond its head, or the head is not signed', async () => {
    const batch = await log.batch(5, 20)
    const beyond = { ...batch, head: log.head(12) }
    expect(codeOf(() => openBatch(beyond, verifying))).toBe('malformed')
    const head = { ...batch.head, signature: filled(1, 64) }
    expect(codeOf(() => openBatch({ ...batch, head }, verifying))).toBe('bad_signature')
    expect(codeOf(() => openBatch({ ...batch, head }, verifying, 'known'))).toBeUndefined()
  })

  it('is not written when it does not fit', () => {
    const entries = Array.from({ length: 3 }, () => new Uint8Array(30_000))
    const batch = { head: log.head(), first: 0, entries, path: [], peaks: [] }
    expect(codeOf(() => encodeBatch(batch))).toBe('malformed')
    const fits = { ...batch, entries: entries.slice(1), path: [], peaks: [] }
    expect(encodeLogMessage({ type: 'batch', batch: fits }).length).toBeLessThan(BATCH_BYTES_MAX)
  })
})

describe('an equivocation', () => {
  const fork = new ExampleLog(provider).append(...notes(7), note(99), ...notes(12, 8))

  it('is two heads of one size with different roots', () => {
    const claim = headsEquivocation(log.head(), fork.head())
    const { author, epoch } = readHead(log.head())
    expect(openEquivocation(claim, verifying)).toEqual({ author, epoch })
  })

  it('is two entries at one index, whatever the sizes', async () => {
    const [one, other] = [await log.found(7, 9), await fork.found(7, 20)]
    const claim: Equivocation = {
      one: one.head,
      other: other.head,
      index: 7,
      oneCid: log.entries[7]?.cid.bytes ?? filled(0),
      onePath: one.path,
      otherCid: note(99).cid.bytes,
      otherPath: other.path,
    }
    expect(openEquivocation(claim, verifying).author).toEqual(provider.publicKey)
    const wrong: Partial<Equivocation>[] = [
      { index: 6 },
      { otherCid: claim.oneCid },
      { otherCid: new Uint8Array() },
      { otherPath: claim.onePath },
      { other: claim.one },
      { otherCid: note(98).cid.bytes },
    ]
    for (const change of wrong) {
      const refusal = refusalOf(() => openEquivocation({ ...claim, ...change }, verifying))
      expect([refusal?.code, refusal?.action]).toEqual(['no_equivocation', 'penalise'])
    }
  })

  it('is none where an honest log only grew, or began again in another epoch', () => {
    const restored = new ExampleLog(provider, filled(4, 8)).append(...notes(20, 7))
    const foreign = new ExampleLog(coordinator).append(...notes(20, 7))
    for (const other of [log.head(12), log.head(), restored.head(), foreign.head()]) {
      const claim = headsEquivocation(log.head(), other)
      expect(codeOf(() => openEquivocation(claim, verifying))).toBe('no_equivocation')
    }
  })

  it('is none that its author did not sign', () => {
    const forged = { ...fork.head(), signature: filled(1, 64) }
    const claim = headsEquivocation(log.head(), forged)
    expect(codeOf(() => openEquivocation(claim, verifying))).toBe('bad_signature')
  })
})

describe('what was found', () => {
  const { done, providerLog } = oneJob()
  const [segment] = segmentReceiptsOf(execution())
  const open = openReceiptOf(execution())

  it('is the entry, or one that has the receipt', async () => {
    const found = await providerLog.found(2)
    const digests = [receiptDigest(execution().receipt), openDigest(open)]
    if (segment !== undefined) digests.push(receiptDigest(segment))
    const asked = [done.cid, ...digests.map((digest) => new Cid('receipt', digest))]
    expect(asked).toHaveLength(4)
    for (const cid of asked) expect(openFound(found, cid, verifying).index).toBe(2)
  })

  it('is refused when it is another, or stands elsewhere', async () => {
    const found = await providerLog.found(2)
    const wrong = [
      [found, new Cid('entry', filled(1)), 'not_asked'],
      [found, new Cid('receipt', filled(1)), 'not_asked'],
      [found, new Cid('receipt', done.cid.digest), 'not_asked'],
      [{ ...found, index: 1 }, done.cid, 'bad_log'],
      [{ ...found, path: found.path.slice(1) }, done.cid, 'bad_log'],
      [{ ...found, head: providerLog.head(3) }, done.cid, 'bad_log'],
      [{ ...found, head: { ...found.head, signature: filled(1, 64) } }, done.cid, 'bad_signature'],
    ] as const
    for (const [answer, cid, code] of wrong) {
      expect(codeOf(() => openFound(answer, cid, verifying))).toBe(code)
    }
  })

  it('may be an open receipt, while there is no entry', () => {
    const asked = new Cid('receipt', openDigest(open))
    expect(codeOf(() => checkOpen(open, asked, verifying))).toBeUndefined()
    expect(codeOf(() => checkOpen({ ...open, inputTokens: 1 }, asked, verifying))).toBe('not_asked')
    const forged = { ...open, signature: filled(1, 64) }
    expect(codeOf(() => checkOpen(forged, asked, verifying))).toBe('bad_signature')
  })

  it('is asked for by its bytes', () => {
    expect(getRequest(done.cid)).toEqual({ type: 'get', cid: done.cid.bytes })
  })

  it('comes with a short path', async () => {
    const many = new ExampleLog(provider).append(...notes(1000))
    expect(await proveInclusion(500, 1000, many.read)).toHaveLength(10)
  })
})

describe('the digest of all logs', () => {
  const places = fc.uniqueArray(
    fc.record({
      author: bytes(32),
      epoch: bytes(8),
      size: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
      root: bytes(32),
    }),
    { selector: ({ author }) => author.join(), maxLength: 30 },
  )
  const digestOf = (places: Place[]) => {
    const digest = new FeedsDigest()
    for (const place of places) digest.toggle(place)
    return digest
  }

  it('is the same in any order, and shows in few buckets what is another', () => {
    fc.assert(
      fc.property(places, places, (known, more) => {
        const mine = digestOf(known)
        expect(mine.differing(digestOf([...known].reverse()).bytes).size).toBe(0)
        const theirs = digestOf([...known, ...more])
        const differing = mine.differing(theirs.bytes)
        expect(differing.size).toBeLessThanOrEqual(more.length)
        if (more.length > 0) expect(differing.size).toBeGreaterThan(0)
        for (const place of more) theirs.toggle(place)
        expect(theirs.bytes).toEqual(mine.bytes)
      }),
    )
  })

  it('shows a log that is longer, or has another root', () => {
    const place = { author: filled(1), epoch: filled(2, 8), size: 5, root: filled(3) }
    const mine = digestOf([place])
    for (const change of [{ size: 6 }, { root: filled(4) }, { epoch: filled(4, 8) }]) {
      expect(mine.differing(digestOf([{ ...place, ...change }]).bytes).size).toBeGreaterThan(0)
    }
  })
})
