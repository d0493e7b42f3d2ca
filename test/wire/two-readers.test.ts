import { readFileSync } from 'node:fs'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { canonicalJson } from '../../src/wire/canonical-json.ts'
import { Cid, entryCid } from '../../src/wire/cid.ts'
import { type Cbor, type CborMap, decodeDagCbor, encodeDagCbor } from '../../src/wire/dag-cbor.ts'
import type { SealedEntry } from '../../src/wire/entry.ts'
import { encodeBatch } from '../../src/wire/log-batch.ts'
import { proofJson } from '../../src/wire/proof.ts'
import { routingPayload } from '../../src/wire/routing.ts'
import { encode } from '../../src/wire/shape.ts'
import { signedShape, signPayload } from '../../src/wire/signed.ts'
import { rounds } from '../campaign.ts'
import { ExampleLog, execution, filled, network, oneJob } from './log-examples.ts'
import { changedBytes, changedTree } from './mutations.ts'
import { type DoubtfulCase, hasPython, SecondReader } from './second-reader.ts'
import { anyStream, bytesOf } from './v8-examples.ts'
import { alice, bob, signature } from './vectors/cases.ts'
import { packHex, unpackHex } from './vectors/packed-hex.ts'
import { codeOf } from './vectors/readers.ts'

const good: DoubtfulCase[] = ['advert', 'status', 'generate', 'log', 'sync'].flatMap((protocol) =>
  JSON.parse(readFileSync(`protocols/${protocol}/vectors/good.json`, 'utf8'))
    // Nobody here reads keys of the DHT.
    .cases.filter(({ message }: DoubtfulCase) => message !== 'LookupKey')
    .map(({ message, hex }: DoubtfulCase) => ({ protocol, message, hex })),
)

const doubtful = (message: string, bytes: Uint8Array, protocol = 'log'): DoubtfulCase => ({
  protocol,
  message,
  hex: packHex(bytes),
})

/** What a part of a record may be instead: ends of ranges, and values of other kinds. */
const anyCbor: fc.Arbitrary<Cbor> = fc.oneof(
  fc.constantFrom(0, 1, -1, 32, 10 ** 12, 10 ** 12 + 1, 2 ** 53 - 1),
  fc.constantFrom(8_640_000_000_000_000, 8_640_000_000_000_001, 2 ** 32),
  fc.constantFrom('', 'ok', 'dispute', 'salted', 'DE', 'a|b', 'é', '\u0000', '\ufeff', 'job_1.1'),
  fc.constantFrom(32, 33, 128, 129, 257).map((length) => 'w'.repeat(length)),
  fc.constantFrom(0, 8, 31, 32, 33, 64).map((length) => filled(length, length)),
  fc.constantFrom(alice.publicKey, bob.publicKey, new Cid('entry', filled(1))),
  fc.constantFrom(new Cid('receipt', filled(1)), null, true, [], {}, [[[[[[0]]]]]]),
)

const anyJson = fc.oneof(
  fc.constantFrom(0, -0, 1, -1, 1.5, 2 ** 53 - 1, 2 ** 53, 1e300, null, true, '', 'a', [], {}),
  fc.constantFrom('\ud800', '\ufeff', 'PNV1', 'main', 'AA==', 'AB==', 'AAAA', 'é\n', '__proto__'),
  fc.constantFrom(62, 63, 64, 128, 129).map((length) => 'a'.repeat(length)),
)

const { done, told, providerLog } = oneJob()
const sealed = (bytes: Uint8Array): SealedEntry => ({ ...done, bytes, cid: entryCid(bytes) })
const changedEntry = (bytes: Uint8Array): fc.Arbitrary<Uint8Array> =>
  changedTree(cborOf(bytes), anyCbor).map((entry) => encodeDagCbor(entry as Cbor))

const cborOf = (bytes: Uint8Array) =>
  decodeDagCbor(bytes, 'Test', { bytesMax: 2 ** 16, depthMax: 16, valuesMax: 2 ** 16 })

function resigned(body: CborMap): CborMap {
  return { ...body, signature: signature('routing', routingPayload(body), { by: bob }) }
}

/** Whatever is in them, both logs are signed by whom they should be. */
async function proofOf(ofProvider: Uint8Array, ofCoordinator: Uint8Array): Promise<DoubtfulCase> {
  const found = [
    await new ExampleLog(alice).append(sealed(ofProvider)).found(0),
    await new ExampleLog(bob).append(sealed(ofCoordinator)).found(0),
  ]
  const { receipt } = execution()
  const json = proofJson({ network, receipt, entries: found })
  return doubtful('Proof', Buffer.from(canonicalJson(json)))
}

async function batchOf(entry: Uint8Array): Promise<DoubtfulCase> {
  const log = new ExampleLog(alice).append(...providerLog.entries.slice(0, 2), sealed(entry))
  return doubtful('OpenBatch', encodeBatch(await log.batch(0, 3)), 'sync')
}

type Doubt = DoubtfulCase | Promise<DoubtfulCase>

const bytesOfAll: fc.Arbitrary<Doubt> = fc
  .constantFrom(...good)
  .chain(({ protocol, message, hex }) =>
    changedBytes(unpackHex(hex)).map((bytes) => doubtful(message, bytes, protocol)),
  )

const records: fc.Arbitrary<Doubt> = fc
  .constantFrom(...good.filter(({ message }) => ['Entry', 'DagCbor', 'Routing'].includes(message)))
  .chain(({ message, hex }) =>
    changedEntry(unpackHex(hex)).map((bytes) => {
      const value = cborOf(bytes)
      const isMap = message === 'Routing' && typeof value === 'object' && value !== null
      const isSignedAgain = isMap && !Array.isArray(value) && !(value instanceof Cid)
      if (!isSignedAgain || value instanceof Uint8Array) return doubtful(message, bytes)
      return doubtful(message, encodeDagCbor(resigned(value as CborMap)))
    }),
  )

const heads: fc.Arbitrary<Doubt> = changedTree(cborOf(providerLog.head().payload), anyCbor).map(
  (head) => {
    const payload = encodeDagCbor(head as Cbor)
    const byAlice = { network, sign: (message: Uint8Array) => alice.sign(message) }
    return doubtful('SignedHead', encode(signedShape, signPayload('head', payload, byAlice)))
  },
)

const logs: fc.Arbitrary<Doubt> = fc.oneof(
  changedEntry(done.bytes).map(batchOf),
  changedEntry(done.bytes).map((bytes) => proofOf(bytes, told.bytes)),
  changedTree(told.entry.body, anyCbor).map((body) => {
    const isMap = typeof body === 'object' && body !== null && !('length' in body)
    const signed = isMap && !(body instanceof Cid) ? resigned(body as CborMap) : (body as Cbor)
    return proofOf(done.bytes, encodeDagCbor({ v: 1, at: 1, kind: 'routing', body: signed }))
  }),
)

const files: fc.Arbitrary<Doubt> = fc
  .constantFrom(...good.filter(({ message }) => /^Proof$|^body\//.test(message)))
  .chain(({ protocol, message, hex }) =>
    changedTree(JSON.parse(Buffer.from(unpackHex(hex)).toString()), anyJson).map((json) =>
      doubtful(message, Buffer.from(JSON.stringify(json)), protocol),
    ),
  )

const streams: fc.Arbitrary<Doubt> = anyStream
  .chain(({ events }) =>
    fc.oneof(
      changedBytes(bytesOf(events)),
      changedTree(events, anyJson).map((other) =>
        bytesOf(Array.isArray(other) ? other : events.slice(1)),
      ),
    ),
  )
  .map((bytes) => doubtful('Bytes', bytes, 'v8-stream'))

const title = 'both readers come to the same verdict'

describe.skipIf(!hasPython)(hasPython ? title : `${title}: not run without python3`, () => {
  let second: SecondReader
  beforeAll(() => {
    second = new SecondReader()
  })
  afterAll(() => second.stop())

  it.each([
    ['bytes that were changed', bytesOfAll, 400],
    ['records of other values, signed again', records, 300],
    ['heads of other values, signed again', heads, 100],
    ['entries of other values, in logs that their authors signed', logs, 60],
    ['files of other values', files, 200],
    ['streams of other bytes and values', streams, 300],
  ])('on %s', async (_, doubts, few) => {
    const verdicts = new Set<string>()
    await fc.assert(
      fc.asyncProperty(doubts, async (doubt) => {
        const { message, hex, ...rest } = await doubt
        const verdict = codeOf(message, unpackHex(hex)) ?? 'good'
        expect(await second.verdict({ message, hex, ...rest }), message).toBe(verdict)
        verdicts.add(verdict)
      }),
      { numRuns: rounds(few, few * 50) },
    )
    expect(verdicts).toContain('good')
    expect(verdicts.size).toBeGreaterThan(1)
  })
})
