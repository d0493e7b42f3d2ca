import { execFile } from 'node:child_process'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { safeJson } from '../../bin/text.ts'
import { receiptJson } from '../../src/api/receipts/receipt-json.ts'
import type { ReceiptJson } from '../../src/api/receipts/receipt-schema.ts'
import { seededRandom } from '../../src/base/random.ts'
import { createVerifyNative } from '../../src/identity/verify-native.ts'
import { verifyReceipt } from '../../src/sdk/index.ts'
import { anyView } from '../api/any-view.ts'
import { finalView, openView, receiptView, segmentView } from '../api/receipt-views.ts'
import { rounds } from '../campaign.ts'
import { execution, network } from './log-examples.ts'
import { hasPython, SecondReader } from './second-reader.ts'
import { isAmong, tampered } from './tampered.ts'

const verifying = { network, verify: createVerifyNative() }

interface Verified {
  holds: boolean
  says: string
}

/** What `python3 protocols/reader/verify.py -` makes of a file. */
function verify(file: string, ...words: string[]): Promise<Verified> {
  const { promise, resolve, reject } = Promise.withResolvers<Verified>()
  const command = ['protocols/reader/verify.py', '-', ...words]
  const child = execFile('python3', command, (error, says) => {
    const isVerdict = error === null || (error.code === 1 && says.startsWith('It proves nothing: '))
    if (isVerdict) resolve({ holds: error === null, says })
    else reject(error)
  })
  child.stdin?.end(file)
  return promise
}

const title = 'the second reader verifies a file of'

describe.skipIf(!hasPython)(hasPython ? title : `${title}: not run without python3`, () => {
  let final: ReceiptJson
  let segment: ReceiptJson
  let open: ReceiptJson
  let alone: ReceiptJson
  let second: SecondReader
  beforeAll(async () => {
    second = new SecondReader()
    final = receiptJson(await finalView(), verifying)
    segment = receiptJson(await segmentView(), verifying)
    open = receiptJson(await openView({ isOver: true }), verifying)
    alone = { ...receiptJson(receiptView(execution().receipt), verifying), proof: null }
  })
  afterAll(() => second.stop())

  it('a proof, as it is exported', async () => {
    for (const { proof, cid, multiformats_cid } of [final, segment]) {
      const { holds, says } = await verify(safeJson(proof), '--network', network)
      expect(holds).toBe(true)
      expect(says).toContain(`receipt ${multiformats_cid}, ${cid}`)
    }
    expect(await verify(safeJson(final.proof), '--network', 'main')).toMatchObject({ holds: false })
  })

  it('a receipt as a peer shows it, when the SDK does', async () => {
    const good = [final, segment, open, alone]
    const bad = [
      { ...final, metering_units: 327 },
      { ...final, cid: segment.cid },
      { ...final, verified: 1 },
      { ...final, tokens: { ...final.tokens, cached: false } },
      { ...final, verdict: null },
      { ...open, input_tokens: 15 },
      { ...alone, metering_units: 327 },
      { object: 'list' },
    ]
    const all = [...good, ...bad]
    for (const each of all) {
      const unsigned = await second.unsignedOf(safeJson(each))
      expect(unsigned !== undefined).toBe(good.includes(each as never))
      expect(unsignedOf(safeJson(each))).toEqual(unsigned)
    }
  })

  it('a receipt as a peer shows it, and tells what in it nobody signed', async () => {
    const { says } = await verify(safeJson({ ...final, fuzzy_trace: 1, 'a\nb': 2 }))
    expect(says).toContain(String.raw`what it says of fuzzy_trace, 'a\nb': nobody signed that here`)
    const whole = await verify(safeJson(final))
    expect(whole.holds).toBe(true)
    expect(whole.says).not.toContain('nobody signed')
    const other = await verify(safeJson({ ...final, model: 'gpt-9' }))
    expect(other).toEqual({ holds: false, says: expect.stringContaining('model') })
  })

  it('any receipt, and of any copy the SDK says the same', async () => {
    const copy = fc.record({ at: fc.nat(), seed: fc.nat() })
    const doubt = fc.tuple(anyView, copy)
    await fc.assert(
      fc.asyncProperty(doubt, async ([any, { at, seed }]) => {
        const { view, isProved } = await any
        const file = safeJson(receiptJson(view, verifying))
        const unsigned = unsignedOf(file)
        expect(unsigned).toBeDefined()
        expect(unsigned?.length === 0).toBe(isProved)
        expect(await second.unsignedOf(file)).toEqual(unsigned)
        const copies = [...tampered(file, seededRandom(seed))]
        const { at: changed, text } = copies[at % copies.length] ?? { at: '', text: '' }
        const left = unsignedOf(text)
        expect([changed, left === undefined || isAmong(left, changed)]).toEqual([changed, true])
        expect(await second.unsignedOf(text)).toEqual(left)
      }),
      { numRuns: rounds(40, 3000) },
    )
  })
})

/** Undefined for what does not hold. */
function unsignedOf(file: string): string[] | undefined {
  try {
    const { holds, unsigned } = verifyReceipt(file)
    return holds ? unsigned : undefined
  } catch {
    return undefined
  }
}
