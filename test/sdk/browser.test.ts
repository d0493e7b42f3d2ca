import { beforeAll, describe, expect, it } from 'vitest'
import { receiptJson } from '../../src/api/receipts/receipt-json.ts'
import type { ReceiptJson } from '../../src/api/receipts/receipt-schema.ts'
import { PeerError } from '../../src/base/errors.ts'
import { createVerifyNative } from '../../src/identity/verify-native.ts'
import { ghost, verifyReceipt } from '../../src/sdk/index.ts'
import type { ProofJson } from '../../src/wire/proof.ts'
import { finalView, openView, segmentView } from '../api/receipt-views.ts'
import { network } from '../wire/log-examples.ts'
import { bytesOf } from '../wire/v8-examples.ts'
import { commit, draft, finalize, opened } from '../wire/vectors/v8-events.ts'
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

const streamed = bytesOf([
  ...[opened, draft(0, 'Grü'), draft(1, 'ne'), commit(0, 'Grü'), commit(1, 'ße 😀')],
  finalize(2, 0),
])

async function here(bytes: Uint8Array<ArrayBuffer>): Promise<object[]> {
  const answer = new Response(bytes, { headers: { 'content-type': 'text/event-stream' } })
  const views: object[] = []
  for await (const view of ghost(answer)) views.push(view)
  return views
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

  it('says what Node says of receipts good and bad, and of a stream with drafts', async () => {
    const cases = [...good, ...bad]
    const pieces = Array.from(streamed, (_, at) => streamed.subarray(at, at + 1))
    const page = await servePage(cases, pieces)
    try {
      const { results, views } = await withPage(page.url, page.said)
      expect(views).toEqual(JSON.parse(JSON.stringify(await here(streamed))))
      expect(views.at(-1)).toMatchObject({ committed: 'Grüße 😀', isDone: true })
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
