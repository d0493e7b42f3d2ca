import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createVerifyNative } from '../../src/identity/verify-native.ts'
import { type CborMap, encodeDagCbor } from '../../src/wire/dag-cbor.ts'
import {
  decodeEntry,
  ENTRY_BYTES_MAX,
  encodeEntry,
  entryMentions,
  executionEntry,
  readBody,
  referencesOf,
  revocationEntry,
  routingEntry,
} from '../../src/wire/entry.ts'
import { openReceiptOf, SEGMENTS_MAX, segmentReceiptsOf } from '../../src/wire/execution.ts'
import { openHead, readHead, signHead } from '../../src/wire/head.ts'
import { openDigest, receiptDigest, segmentJobId, signReceipt } from '../../src/wire/receipt.ts'
import {
  ATTEMPTS_MAX,
  PARTS_MAX,
  readRouting,
  routingHolds,
  signRouting,
  signRoutingLater,
} from '../../src/wire/routing.ts'
import { rounds } from '../campaign.ts'
import { refusalOf } from './hostile.ts'
import {
  coordinator,
  execution,
  filled,
  network,
  provider,
  routing,
  signing,
} from './log-examples.ts'

const verifying = { network, verify: createVerifyNative() }
const done = executionEntry(1000, execution())
const longWords = Array.from({ length: SEGMENTS_MAX }, (_, at) => ({
  ...execution().segments[0],
  end: 2 ** 31 + at,
  units: 2 ** 31 + at,
  resultHash: filled(1),
  signature: filled(2, 64),
}))

/** The body of an entry, as whoever reads its bytes has it. */
const bodyOf = (bytes: Uint8Array): CborMap => decodeEntry(bytes).entry.body

describe('an entry', () => {
  it('comes back as it was, under the same CID', () => {
    const told = routingEntry(5, signRouting(routing([{ execution: done.cid }]), signing))
    const ended = revocationEntry(6, { key: provider.publicKey, reason: 'the disk was stolen' })
    for (const { read, ...sealed } of [done, told, ended]) {
      expect(decodeEntry(sealed.bytes)).toEqual(sealed)
      if (read !== undefined) expect(readBody(decodeEntry(sealed.bytes).entry)).toEqual(read)
    }
    expect([done.read?.kind, told.read?.kind]).toEqual(['execution', 'routing'])
    expect(readBody(done.entry)).toEqual({ kind: 'execution', body: execution() })
    expect(readBody(ended.entry)?.body).toEqual({
      key: provider.publicKey,
      reason: 'the disk was stolen',
    })
  })

  it('keeps kinds and keys of a newer version, which count in its CID', () => {
    const { entry } = done
    const newer = { ...entry, body: { ...entry.body, mood: ['good', 7, { why: null }] } }
    const sealed = encodeEntry(newer)
    expect(decodeEntry(sealed.bytes)).toEqual(sealed)
    expect(`${sealed.cid}`).not.toBe(`${done.cid}`)
    expect(readBody(sealed.entry)).toEqual(readBody(entry))

    const audit = encodeEntry({ kind: 'audit', at: 1, body: { verdict: 'pass' } })
    expect(readBody(decodeEntry(audit.bytes).entry)).toBeUndefined()
    expect(referencesOf(audit.entry)).toEqual({ receipts: [], opens: [], entries: [] })
  })

  it('may have keys of its own of a newer version', () => {
    const bytes = encodeDagCbor({ v: 1, at: 1, body: {}, kind: 'note', more: 1 })
    expect(decodeEntry(bytes).entry).toEqual({ at: 1, body: {}, kind: 'note' })
  })

  it.each<[string, object]>([
    ['no kind', { v: 1, at: 1, body: {} }],
    ['a kind that is no word', { v: 1, at: 1, body: {}, kind: 'A note' }],
    ['no body', { v: 1, at: 1, kind: 'note' }],
    ['a body that is a list', { v: 1, at: 1, body: [], kind: 'note' }],
    ['a body that is a CID', { v: 1, at: 1, body: done.cid, kind: 'note' }],
    ['a time before 1970', { v: 1, at: -1, body: {}, kind: 'note' }],
    ['a time that no date has', { v: 1, at: 2 ** 53 - 1, body: {}, kind: 'note' }],
    ['no version', { at: 1, body: {}, kind: 'note' }],
  ])('with %s is none', (_, map) => {
    const refusal = refusalOf(() => decodeEntry(encodeDagCbor(map as CborMap)))
    expect([refusal?.code, refusal?.action]).toEqual(['malformed', 'penalise'])
  })

  it('of a newer version is no fault of its peer', () => {
    const bytes = encodeDagCbor({ v: 2, at: 1, body: {}, kind: 'note' })
    const refusal = refusalOf(() => decodeEntry(bytes))
    expect([refusal?.code, refusal?.action]).toEqual(['unsupported_value', 'ignore'])
  })

  it('is not made when others would refuse it', () => {
    const body = { text: 'x'.repeat(ENTRY_BYTES_MAX) }
    expect(refusalOf(() => encodeEntry({ kind: 'note', at: 1, body }))?.code).toBe('malformed')
  })

  it('has room for all that its lists may have', () => {
    const full = executionEntry(1, { ...execution(), segments: longWords })
    expect(decodeEntry(full.bytes).cid).toEqual(full.cid)
    const receipt = { ...execution().receipt, jobId: `job_${'x'.repeat(60)}` }
    const fields = routing(Array.from({ length: PARTS_MAX }, () => ({ receipt })))
    const attempts = Array.from({ length: ATTEMPTS_MAX }, () => ({
      node: provider.publicKey,
      outcome: 'w'.repeat(32),
      ms: 2 ** 40,
    }))
    const told = routingEntry(1, signRouting({ ...fields, attempts }, signing))
    expect(decodeEntry(told.bytes).cid).toEqual(told.cid)
  })

  it('that was changed is another one, or none', () => {
    const change = fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 }))
    fc.assert(
      fc.property(change, ([at, bits]) => {
        const bytes = done.bytes.slice()
        bytes[at % bytes.length] = (bytes[at % bytes.length] ?? 0) ^ bits
        const refusal = refusalOf(() => {
          const other = decodeEntry(bytes)
          expect(`${other.cid}`).not.toBe(`${done.cid}`)
          readBody(other.entry)
        })
        expect([undefined, 'malformed', 'unsupported_value']).toContain(refusal?.code)
      }),
      { numRuns: rounds(500, 20_000) },
    )
  })
})

describe('the bodies', () => {
  it('say by what an entry is found', () => {
    const body = execution()
    expect(referencesOf(done.entry)).toEqual({
      receipts: [receiptDigest(body.receipt)],
      opens: [openDigest(openReceiptOf(body))],
      entries: [],
    })
    const sign = (message: Uint8Array) => coordinator.sign(message)
    const nodePk = coordinator.publicKey
    const whole = signReceipt(
      { jobId: 'job_1', nodePk, resultHash: filled(4), meteringUnits: 400 },
      sign,
    )
    const [segment = body.receipt] = segmentReceiptsOf(body)
    const parts = [{ receipt: segment }, { execution: done.cid }]
    const told = routingEntry(1, signRouting({ ...routing(parts), whole }, signing))
    expect(referencesOf(told.entry)).toEqual({
      receipts: [receiptDigest(whole), receiptDigest(segment)],
      opens: [],
      entries: [done.cid.digest],
    })
    expect(entryMentions(done.entry, receiptDigest(segment))).toBe(true)
    expect(entryMentions(done.entry, openDigest(openReceiptOf(body)))).toBe(true)
    expect(entryMentions(done.entry, receiptDigest(whole))).toBe(false)
    expect(segment.jobId).toBe(segmentJobId(body.receipt.jobId, 32))
  })

  it('that are not what their kind is refer to nothing', () => {
    const { receipt: _, ...rest } = done.entry.body
    const broken = { ...done.entry, body: rest }
    expect(refusalOf(() => readBody(broken))?.message).toMatch(/Execution.receipt is missing/)
    expect(referencesOf(broken)).toEqual({ receipts: [], opens: [], entries: [] })
    expect(entryMentions(broken, filled(1))).toBe(false)
  })

  it.each<[string, CborMap]>([
    ['a model that is none', { model: 'phi-4' }],
    ['a price above all', { price: { input: 2 ** 50, output: 0 } }],
    ['a key of 31 bytes', { coordinator: filled(1, 31) }],
    ['text for a number', { tokens: { input: '1', cached: 0, output: 0 } }],
    ['a number below zero', { tokens: { input: -1, cached: 0, output: 0 } }],
    ['a privacy that there is none of', { privacy: 'secret' }],
    ['a region in words', { region: 'Germany' }],
    ['129 segments', { segments: [...longWords, ...longWords.slice(0, 1)] }],
    [
      'segments of a job whose id leaves them no room',
      { receipt: { ...(done.entry.body.receipt as CborMap), job_id: 'j'.repeat(126) } },
    ],
    ['a map for a list', { finish: {} }],
    ['a list for a map', { times: [] }],
    ['bytes for a map', { times: filled(1) }],
    ['a name of 257 bytes', { model_name: 'ü'.repeat(129) }],
  ])('are refused with %s', (_, change) => {
    const body = { ...done.entry.body, ...change }
    const refusal = refusalOf(() => readBody({ ...done.entry, body }))
    expect([refusal?.code, refusal?.action]).toEqual(['malformed', 'penalise'])
  })
})

describe('a routing', () => {
  const body = signRouting(routing([{ execution: done.cid }]), signing)

  it('stands by itself, signed for one network', () => {
    const read = bodyOf(routingEntry(1, body).bytes)
    expect(routingHolds(read, verifying)).toBe(true)
    expect(routingHolds(read, { ...verifying, network: 'main' })).toBe(false)
  })

  it('is the same when another thread signs it', async () => {
    const { network, sign } = signing
    const later = { network, sign: async (message: Uint8Array) => sign(message) }
    expect(await signRoutingLater(routing([{ execution: done.cid }]), later)).toEqual(body)
  })

  it('does not hold once anything in it is another, a key of a newer version included', () => {
    const newer = { ...body, mood: 'good' }
    expect(routingHolds(newer, verifying)).toBe(false)
    const changes: CborMap[] = [
      { amount: 1 },
      { verdict: 'dispute', dispute: 'bad_hash' },
      { coordinator: provider.publicKey },
      { count: 'claimed' },
      { parts: [] },
      { attestation: 'nitro' },
      { region: undefined },
      { signature: filled(1, 64) },
    ]
    for (const change of changes) {
      expect(routingHolds({ ...body, ...change }, verifying)).toBe(false)
    }
  })

  it('covers keys of a newer version', () => {
    const { signature: _, ...known } = body
    const fields = { ...known, mood: 'good' }
    const covered = Buffer.concat([Buffer.from(`PNV1|routing|${network}|`), encodeDagCbor(fields)])
    const signature = coordinator.sign(covered)
    expect(routingHolds({ ...fields, signature }, verifying)).toBe(true)
  })

  const receipt = execution().receipt
  it.each<[string, object]>([
    ['a dispute without a word', { verdict: 'dispute' }],
    ['a word without a dispute', { dispute: 'bad_hash' }],
    ['a part without proof', { parts: [{ ...routing([{}]).parts[0] }] }],
    ['a part with two', { parts: [{ ...routing([{ receipt, execution: done.cid }]).parts[0] }] }],
    [
      'a part of another node',
      { parts: [{ ...routing([{ receipt }]).parts[0], node: filled(9) }] },
    ],
    ['a whole of another', { whole: receipt }],
  ])('is neither made nor read with %s', (_, change) => {
    const fields = { ...routing([{ execution: done.cid }]), ...change }
    const make = () => routingEntry(1, signRouting(fields, signing))
    expect(refusalOf(make)?.code).toBe('malformed')
  })

  it('is read as it was made', () => {
    const { signature: _, ...read } = readRouting(body)
    expect(read).toEqual(routing([{ execution: done.cid }]))
  })
})

describe('a head', () => {
  const { publicKey: author } = coordinator
  const head = { author, epoch: filled(3, 8), size: 7, root: filled(5), at: 1000 }
  const after = { epoch: filled(2, 8), size: 5, root: filled(6) }

  it('comes back as it was', () => {
    for (const each of [head, { ...head, after }]) {
      expect(openHead(signHead(each, signing), verifying)).toEqual({ ...each, net: network })
    }
  })

  it('counts for one network and one author', () => {
    const signed = signHead(head, signing)
    const elsewhere = { ...verifying, network: 'main' }
    expect(refusalOf(() => openHead(signed, elsewhere))?.code).toBe('malformed')
    const foreign = signHead({ ...head, author: provider.publicKey }, signing)
    expect(refusalOf(() => openHead(foreign, verifying))?.code).toBe('bad_signature')
    const renamed = signHead(head, { ...signing, network: 'main' })
    expect(refusalOf(() => openHead(renamed, verifying))?.code).toBe('malformed')
  })

  it('is refused once any byte is another', () => {
    const { payload, signature } = signHead({ ...head, after }, signing)
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 255 }), (at, bits) => {
        const all = Buffer.concat([payload, signature])
        all[at % all.length] = (all[at % all.length] ?? 0) ^ bits
        const changed = {
          payload: new Uint8Array(all.subarray(0, payload.length)),
          signature: new Uint8Array(all.subarray(payload.length)),
        }
        expect(refusalOf(() => openHead(changed, verifying))).toBeDefined()
      }),
      { numRuns: rounds(300, 10_000) },
    )
  })

  it('of no entries is none', () => {
    const empty = signHead({ ...head, size: 0 }, signing)
    expect(refusalOf(() => readHead(empty))?.message).toMatch(/Head.size/)
  })

  it('may have fields of a newer version, which its signature covers', () => {
    const payload = encodeDagCbor({ ...head, net: network, mood: 'good' })
    const covered = Buffer.concat([Buffer.from(`PNV1|head|${network}|`), payload])
    const signature = coordinator.sign(covered)
    expect(openHead({ payload, signature }, verifying)).toEqual({ ...head, net: network })
  })
})
