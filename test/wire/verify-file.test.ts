import { execFile } from 'node:child_process'
import { beforeAll, describe, expect, it } from 'vitest'
import { safeJson } from '../../bin/text.ts'
import { receiptJson } from '../../src/api/receipts/receipt-json.ts'
import type { ReceiptJson } from '../../src/api/receipts/receipt-schema.ts'
import { createVerifyNative } from '../../src/identity/verify-native.ts'
import { verifyReceipt } from '../../src/sdk/index.ts'
import { finalView, openView, receiptView, segmentView } from '../api/receipt-views.ts'
import { execution, network } from './log-examples.ts'
import { hasPython } from './second-reader.ts'

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
  beforeAll(async () => {
    final = receiptJson(await finalView(), verifying)
    segment = receiptJson(await segmentView(), verifying)
    open = receiptJson(await openView({ isOver: true }), verifying)
    alone = { ...receiptJson(receiptView(execution().receipt), verifying), proof: null }
  })

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
      { ...open, input_tokens: 15 },
      { ...alone, metering_units: 327 },
      { object: 'list' },
    ]
    const all = [...good, ...bad]
    const verdicts = await Promise.all(all.map((receipt) => verify(safeJson(receipt))))
    expect(verdicts.map(({ holds }) => holds)).toEqual(
      all.map((each) => good.includes(each as never)),
    )
    expect(all.map(holds)).toEqual(verdicts.map(({ holds }) => holds))
  })
})

function holds(receipt: object): boolean {
  try {
    return verifyReceipt(receipt).holds
  } catch {
    return false
  }
}
