import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import * as fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { receiptJson } from '../../src/api/receipts/receipt-json.ts'
import type { ReceiptJson } from '../../src/api/receipts/receipt-schema.ts'
import { seededRandom } from '../../src/base/random.ts'
import { createVerifyNative } from '../../src/identity/verify-native.ts'
import { verifyReceipt } from '../../src/sdk/index.ts'
import type { ProofJson } from '../../src/wire/proof.ts'
import { entryCids, finalView, openView, receiptView, segmentView } from '../api/receipt-views.ts'
import { rounds } from '../campaign.ts'
import { refusalOf } from '../wire/hostile.ts'
import { execution, network, provider } from '../wire/log-examples.ts'
import { isAmong, tampered } from '../wire/tampered.ts'

const verifying = { network, verify: createVerifyNative() }

let final: ReceiptJson
let segment: ReceiptJson
let open: ReceiptJson
beforeAll(async () => {
  final = receiptJson(await finalView(), verifying)
  segment = receiptJson(await segmentView(), verifying)
  open = receiptJson(await openView({ isOver: true }), verifying)
})

const failing = (receipt: unknown, options = {}) => {
  const { holds, findings } = verifyReceipt(receipt, options)
  const failed = findings.filter((finding) => !finding.holds).map(({ what }) => what)
  expect(holds).toBe(failed.length === 0)
  return failed
}

describe('a receipt as a peer shows it', () => {
  it('holds as an object, as text, and as the file in it', () => {
    const report = verifyReceipt(final, { cid: final.cid })
    expect(report).toMatchObject({
      cid: final.cid,
      node: provider.peerId,
      status: 'final',
      holds: true,
    })
    expect(report.findings.map(({ what }) => what)).toEqual([
      ...['receipt', 'entry', 'entry', 'execution', 'routing', 'object', 'cid'],
    ])
    expect(report.unproved.length).toBeGreaterThan(0)
    expect(verifyReceipt(JSON.stringify(final), { cid: final.cid })).toEqual(report)
    expect(failing(final.proof)).toEqual([])
  })

  it('holds while it is open, of a segment, and where it stands in no log', () => {
    expect(verifyReceipt(open, { cid: open.cid })).toMatchObject({ holds: true, status: 'open' })
    const ofSegment = verifyReceipt(segment, { cid: segment.cid })
    expect(ofSegment).toMatchObject({ holds: true, status: 'segment' })
    const alone = receiptJson(receiptView(execution().receipt), verifying)
    expect(failing({ ...alone, proof: null })).toEqual([])
    expect(failing({ ...alone, proof: null, metering_units: 327 })).toContain('receipt')
  })

  it('is what was asked for, by any CID that it has', () => {
    for (const cid of [final.cid, final.multiformats_cid, ...Object.values(entryCids)]) {
      expect(failing(final, { cid })).toEqual([])
    }
    expect(failing(segment, { cid: final.cid })).toEqual(['cid'])
    expect(failing(open, { cid: final.cid })).toEqual(['cid'])
    expect(failing(final, { cid: open.cid })).toEqual(['cid'])
    expect(refusalOf(() => verifyReceipt(final, { cid: 'x' }))?.code).toBe('invalid_cid')
  })

  it('tells whether a text is the one', () => {
    expect(failing(final, { answer: 'job_1.1' })).toEqual([])
    expect(failing(final, { answer: 'job_1.2' })).toEqual(['answer'])
    expect(failing(final, { answer: 'job_1.1', nonce: '00'.repeat(32) })).toEqual(['answer'])
    expect(refusalOf(() => verifyReceipt(final, { nonce: 'AB' }))?.code).toBe('invalid_value')
  })

  it.each([
    ['cid', `ryv1:sha256:${'0'.repeat(64)}`],
    ['multiformats_cid', 'bafkreiflvov2xk5lvov2xk5lvov2xk5lvov2xk5lvov2xk5lvov2xk5lvm'],
    ['status', 'segment'],
    ['node', '12D3KooWQYzWbKBFmnJxMHyvqMRgMPDhPxDZdNRGnbvxbWvQyDDj'],
    ['node_pk', '00'.repeat(32)],
    ['job_id', 'job_2'],
    ['result_hash', '00'.repeat(32)],
    ['metering_units', 9999],
    ['signed_payload', 'RYV1|receipt|…'],
    ['signature', 'AAAA'],
    ['model', 'gpt-9'],
    ['content_id', 'cid:other'],
    ['coordinator', 'me'],
    ['tokens', { input: 1, cached: 0, output: 1 }],
    ['verdict', 'dispute'],
    ['count', 'claimed'],
    ['endpoint', '/v1/embeddings'],
    ['version', 'RYV2'],
    ['alg', 'none'],
    ['verified', false],
    ['entry_cid', null],
    ['created_at', '2026-09-21T14:13:29Z'],
    ['verdict', null],
    ['dispute', 'hash'],
    ['tokens', null],
    ['segments', []],
    ['final_cid', `ryv1:sha256:${'0'.repeat(64)}`],
    ['parts', []],
    ['resumed', true],
    ['speculative', { drafted: 1 }],
    ['privacy', 'salted'],
    ['jurisdiction', { requested: 'EU', resolved: 'CA' }],
  ])('does not hold with another %s around the same proof', (name, value) => {
    const { findings } = verifyReceipt({ ...final, [name]: value })
    const wrong = findings.filter(({ holds }) => !holds)
    expect(wrong).toMatchObject([{ what: 'object', says: expect.stringContaining(name) }])
  })

  it.each(['prompt_root', 'node_pk', 'input_tokens', 'job_id'] as const)(
    'does not hold while it is open, with another %s',
    (name) => {
      const other = { node_pk: final.result_hash, input_tokens: 15, job_id: 'job_9' }
      const changed = { prompt_root: final.result_hash, ...other }[name]
      expect(failing({ ...open, [name]: changed })).toContain('open')
    },
  )
})

describe('what nobody signed', () => {
  const unsignedOf = (receipt: unknown) => verifyReceipt(receipt).unsigned
  /** Of what the entries say. */
  const told = [
    ...[
      'entry_cid',
      'model',
      'created_at',
      'content_id',
      'endpoint',
      'jurisdiction',
      'coordinator',
    ],
    ...['verdict', 'count', 'segments', 'privacy'],
  ]

  it('is named, and is nothing where all entries are there', () => {
    for (const each of [final, segment, final.proof]) expect(unsignedOf(each)).toEqual([])
    expect(unsignedOf(open)).toEqual(expect.arrayContaining([...told, 'final_cid']))
    const lone = unsignedOf({ ...final, proof: null })
    expect(lone).toEqual(expect.arrayContaining([...told, 'status', 'tokens']))
    const proof = final.proof as ProofJson
    const [done, summary] = proof.entries as [object, object]
    const byNode = { ...final, proof: { ...proof, entries: [done] } }
    expect(unsignedOf(byNode)).toEqual([
      ...['endpoint', 'jurisdiction.requested', 'verdict', 'count', 'resumed'],
    ])
    const byOther = { ...final, proof: { ...proof, entries: [summary] } }
    expect(verifyReceipt(byOther).holds).toBe(false)
    expect(unsignedOf({ ...final, proof: { ...proof, entries: [] } })).toContain('proof.network')
    expect(unsignedOf({ ...proof, entries: [] })).toEqual(['network'])
  })

  it('is told at any depth, and says something', () => {
    const proof = final.proof as ProofJson
    const more = {
      ...{ note: 1, fuzzy_trace: [null, {}], retrieved_chunks: [{ sha256: 'a' }] },
      tokens: { ...final.tokens, draft: 3, other: null },
      proof: { ...proof, receipt: { ...proof.receipt, model: 'gpt-9' } },
    }
    const { holds, unsigned, unproved } = verifyReceipt({ ...final, ...more })
    expect(holds).toBe(true)
    const names = ['note', 'retrieved_chunks', 'tokens.draft', 'proof.receipt.model']
    expect([...unsigned].sort()).toEqual(names.sort())
    expect(unproved[0]).toContain('proof.receipt.model')
  })

  it('is told in few words, however much it is', () => {
    const names = Array.from({ length: 30_000 }, (_, at) => [`${at}${'x'.repeat(100)}`, 1])
    const { unsigned, unproved } = verifyReceipt({ ...final, ...Object.fromEntries(names) })
    expect(unsigned).toHaveLength(30_000)
    expect(unproved[0]?.length).toBeLessThan(2_000)
    expect(unproved[0]).toContain('and 29984 more')
  })

  it('is all that can be changed in a receipt that holds', () => {
    for (const each of [final, segment, open]) {
      for (const { at, text } of tampered(JSON.stringify(each), seededRandom(1))) {
        const unsigned = unsignedIfHolds(text)
        expect([at, unsigned === undefined || isAmong(unsigned, at)]).toEqual([at, true])
      }
    }
  })
})

/** Undefined for what does not hold. */
function unsignedIfHolds(file: string): string[] | undefined {
  try {
    const { holds, unsigned } = verifyReceipt(file)
    return holds ? unsigned : undefined
  } catch {
    return undefined
  }
}

describe('what is no receipt', () => {
  it.each([
    ['nothing', undefined],
    ['null', null],
    ['a number', 7],
    ['text', 'hello'],
    ['a list', '[]'],
    ['another object', { object: 'list' }],
    ['a receipt with no fields', { object: 'receipt' }],
    ['an open one with no fields', { object: 'receipt', status: 'open' }],
    ['one with a member twice', '{"object":"receipt","object":"receipt"}'],
    ['one that JSON has not', { object: 'receipt', at: 7n }],
    ['one without end', `"${' '.repeat(4 * 1024 * 1024)}"`],
  ])('is refused: %s', (_name, value) => {
    expect(refusalOf(() => verifyReceipt(value))?.code).toBe('malformed')
  })

  it('is never taken for one, and never breaks the check, however it is changed', () => {
    const text = JSON.stringify(final)
    const change = fc.record({ at: fc.nat(text.length - 1), to: fc.string({ maxLength: 2 }) })
    fc.assert(
      fc.property(change, ({ at, to }) => {
        const changed = text.slice(0, at) + to + text.slice(at + 1)
        try {
          const report = verifyReceipt(changed)
          if (report.holds) expect(report.cid).toBe(final.cid)
        } catch (error) {
          expect(error).toHaveProperty('code')
        }
      }),
      { numRuns: rounds(20, 2000) },
    )
  })
})

it('needs nothing of Node, however deep one looks', () => {
  const seen = new Set<string>()
  const strangers: string[] = []
  const visit = (path: string) => {
    if (seen.has(path)) return
    seen.add(path)
    const text = readFileSync(path, 'utf8')
    for (const [, specifier = ''] of text.matchAll(/^(?:import|export|\}) .*?from '([^']+)'/gm)) {
      if (specifier.startsWith('.')) visit(join(dirname(path), specifier))
      else if (specifier.startsWith('node:')) strangers.push(`${path}: ${specifier}`)
    }
    if (/\b(Buffer|process)\.\w/.test(text)) strangers.push(`${path}: a global of Node`)
  }
  visit(join(import.meta.dirname, '../../src/sdk/index.ts'))
  expect(seen.size).toBeGreaterThan(10)
  expect(strangers).toEqual([])
})
