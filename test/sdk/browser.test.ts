import { beforeAll, describe, expect, it } from 'vitest'
import { receiptJson } from '../../src/api/receipts/receipt-json.ts'
import type { ReceiptJson } from '../../src/api/receipts/receipt-schema.ts'
import { PeerError } from '../../src/base/errors.ts'
import { createVerifyNative } from '../../src/identity/verify-native.ts'
import { verifyReceipt } from '../../src/sdk/index.ts'
import type { ProofJson } from '../../src/wire/proof.ts'
import { finalView, openView, segmentView } from '../api/receipt-views.ts'
import { network } from '../wire/log-examples.ts'
import { chromium, withPage } from './browser.ts'
import { type PageCase, type PageResult, servePage } from './page-server.ts'

const verifying = { network, verify: createVerifyNative() }

/** On this side; what is sent to the page is JSON, so this is as well. */
function judge({ receipt, options }: PageCase): PageResult {
  try {
    return JSON.parse(JSON.stringify({ report: verifyReceipt(receipt, options) }))
  } catch (error) {
    return { refused: error instanceof PeerError ? error.code : String(error) }
  }
}

const isGood = (result: PageResult) =>
  'report' in result && 'holds' in result.report && result.report.holds === true

/** A character of the middle is another one. */
function spoilt(text: string): string {
  const at = Math.floor(text.length / 2)
  return text.slice(0, at) + (text[at] === 'a' ? 'b' : 'a') + text.slice(at + 1)
}

const title = 'the SDK in a browser'
if (!chromium) console.warn('There is no Chromium on this machine: the SDK was not tried in one.')

describe.skipIf(!chromium)(chromium ? title : `${title}: not run without Chromium`, () => {
  let final: ReceiptJson
  let good: PageCase[]
  let bad: PageCase[]
  beforeAll(async () => {
    final = receiptJson(await finalView(), verifying)
    const segment = receiptJson(await segmentView(), verifying)
    const open = receiptJson(await openView({ isOver: true }), verifying)
    good = [
      { receipt: final, options: { cid: final.cid, answer: 'job_1.1' } },
      { receipt: JSON.stringify(final, null, 2) },
      { receipt: final.proof },
      { receipt: segment, options: { cid: segment.cid } },
      { receipt: open, options: { cid: open.cid } },
    ]
    bad = tampered(final, open)
  })

  it('takes what is good, refuses what was tampered with, and says of it what Node says', async () => {
    const cases = [...good, ...bad]
    const page = await servePage(cases)
    try {
      const results = await withPage(page.url, page.results)
      expect(results).toEqual(cases.map(judge))
      expect(results.map(isGood)).toEqual(cases.map((each) => good.includes(each)))
    } finally {
      await page.stop()
    }
  }, 60_000)
})

function tampered(final: ReceiptJson, open: ReceiptJson): PageCase[] {
  const proof = final.proof as ProofJson
  const [first, second] = proof.entries
  const around: object = {
    metering_units: 9999,
    model: 'gpt-9',
    signature: 'AAAA',
    verdict: 'dispute',
  }
  const inProof = (change: object) => ({ ...final, proof: { ...proof, ...change } })
  const inFirst = (change: object) => inProof({ entries: [{ ...first, ...change }, second] })
  const receipts: unknown[] = [
    ...Object.entries(around).map(([name, value]) => ({ ...final, [name]: value })),
    inProof({ network: 'main' }),
    inProof({ version: 'PNV2' }),
    inProof({ receipt: { ...proof.receipt, metering_units: 327 } }),
    inProof({ receipt: { ...proof.receipt, signature: spoilt(proof.receipt.signature ?? '') } }),
    inFirst({ index: 1 }),
    inFirst({ path: first?.path.slice(1) }),
    inFirst({ entry: spoilt(first?.entry ?? '') }),
    inFirst({ head: spoilt(first?.head ?? '') }),
    inFirst({ head_signature: spoilt(first?.head_signature ?? '') }),
    inFirst({ entry: second?.entry }),
    { ...open, input_tokens: 15 },
    { object: 'list' },
    JSON.stringify(final).replace('{', '{"cid":"another",'),
    'hello',
    7,
  ]
  const asked = [
    { receipt: final, options: { cid: open.cid } },
    { receipt: final, options: { answer: 'job_1.2' } },
    { receipt: final, options: { cid: 'bafy' } },
  ]
  return [...receipts.map((receipt) => ({ receipt })), ...asked]
}
