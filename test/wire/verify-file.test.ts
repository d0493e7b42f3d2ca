import { spawnSync } from 'node:child_process'
import { beforeAll, describe, expect, it } from 'vitest'
import { receiptJson } from '../../src/api/receipts/receipt-json.ts'
import type { ReceiptJson } from '../../src/api/receipts/receipt-schema.ts'
import { createVerifyNative } from '../../src/identity/verify-native.ts'
import { verifyReceipt } from '../../src/sdk/index.ts'
import { finalView, openView, receiptView, segmentView } from '../api/receipt-views.ts'
import { execution, network } from './log-examples.ts'
import { hasPython } from './second-reader.ts'

const verifying = { network, verify: createVerifyNative() }

/** What `python3 protocols/reader/verify.py -` says of a file. */
function verify(input: string, ...words: string[]) {
  const command = ['protocols/reader/verify.py', '-', ...words]
  const { status, stdout, stderr } = spawnSync('python3', command, { input, encoding: 'utf8' })
  expect(stderr).toBe('')
  return { status, lines: stdout.trimEnd().split('\n') }
}

const title = 'the second reader verifies a file of'

describe.skipIf(!hasPython)(hasPython ? title : `${title}: not run without python3`, () => {
  let final: ReceiptJson
  let all: ReceiptJson[]
  beforeAll(async () => {
    final = receiptJson(await finalView(), verifying)
    all = [
      final,
      receiptJson(await segmentView(), verifying),
      receiptJson(await openView({ isOver: true }), verifying),
      { ...receiptJson(receiptView(execution().receipt), verifying), proof: null },
    ]
  })

  it('a receipt as a peer shows it, printed in either way, and of its proof', () => {
    const texts = [final, final.proof].flatMap((value) => [
      JSON.stringify(value),
      JSON.stringify(value, null, 2),
    ])
    for (const text of texts) {
      const { status, lines } = verify(text, '--network', network)
      expect([status, lines[0]]).toEqual([0, 'It holds.'])
      expect(lines.join('\n')).toContain(`receipt ${final.multiformats_cid}, ${final.cid}`)
    }
    expect(verify(JSON.stringify(final), '--network', 'main').status).toBe(1)
  })

  it('an open receipt', () => {
    const { status, lines } = verify(JSON.stringify(all[2]))
    expect([status, lines[0]]).toEqual([0, 'It holds.'])
    expect(lines.join('\n')).toContain('signed that it took on the job job_1.1')
  })

  it('many, a line each, as the SDK does', () => {
    const wrong: object[] = [
      { ...final, metering_units: 327 },
      { ...final, cid: all[1]?.cid },
      { ...all[2], input_tokens: 15 },
      { ...all[3], metering_units: 327 },
      { object: 'list' },
    ]
    const everything = [...all, ...wrong]
    const { status, lines } = verify(everything.map((each) => JSON.stringify(each)).join('\n\n'))
    expect(status).toBe(1)
    expect(lines.at(-1)).toBe(`${all.length} of ${everything.length} hold.`)
    const said = lines.slice(0, -1).map((line) => line.includes(': holds: '))
    expect(said).toEqual(everything.map(holds))
    expect(verify(all.map((each) => JSON.stringify(each)).join('\n')).status).toBe(0)
  })
})

function holds(receipt: object): boolean {
  try {
    return verifyReceipt(receipt).holds
  } catch {
    return false
  }
}
