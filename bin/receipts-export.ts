import { writeFile } from 'node:fs/promises'
import { messageOf } from '../src/index.ts'
import type { Command } from './command.ts'
import { CommandError, exitCodes, print } from './io.ts'
import { fetchReceipt, operandOf, verify } from './receipt-source.ts'
import { reportLines } from './receipts-text.ts'
import { safeJson, safeLine } from './text.ts'

export const receiptsExport: Command = {
  name: 'receipts export',
  operands: 'CID|REQUEST [FILE]',
  operandsMax: 2,
  summary: 'Write the proof of a receipt into one file that anybody can check offline.',
  options: [{ name: 'force', help: 'Write over a file that is there already.' }],
  details: [
    'The file has the receipt, the entries of logs that tell of it, and the signed heads and ' +
      'paths that prove where they stand: protocols/log/proof.schema.json. "receipts verify FILE" ' +
      'checks it without any peer. Without FILE its name is made from the CID; "-" is the output. ' +
      'A proof that does not hold is not written, and the exit code is 1.',
  ],
  examples: [
    ['pinaivu-peer receipts export ryv1:sha256:9eeb…600a', 'Into receipt-9eeb6b2c601d.json'],
    ['pinaivu-peer receipts export req_01j9z4… proof.json', 'Of an own request'],
    ['pinaivu-peer receipts export bafkrei… - | jq .entries', 'For other programs'],
  ],
  async run(input, io) {
    const fetched = await fetchReceipt(operandOf(input, 'CID or REQUEST'), input, io)
    const { final_cid: final } = (fetched.receipt ?? {}) as { final_cid?: unknown }
    const isOver = typeof final === 'string' && proofOf(fetched.receipt) === undefined
    // Of an open receipt there is no proof; of what came of it there is.
    const { receipt, cid } = isOver ? await fetchReceipt(final, input, io) : fetched
    const proof = proofOf(receipt)
    if (proof === undefined) {
      throw new CommandError('The work is still open: there is a proof when it is done.')
    }
    const report = verify(proof, { cid })
    if (!report.holds) {
      print(io.stderr, ...reportLines(report, io))
      throw new CommandError('What the peer shows does not hold, and was not written.')
    }
    const file = input.operands[1] ?? `receipt-${report.cid.slice(-64).slice(0, 12)}.json`
    const text = safeJson(proof)
    if (file === '-') {
      print(io.stdout, text)
      return exitCodes.done
    }
    await writeNew(file, `${text}\n`, input.values.force === true)
    const lines = input.json
      ? [safeJson({ file, report })]
      : [`Written to ${safeLine(file)}.`, '', ...reportLines(report, io)]
    print(io.stdout, ...lines)
    return exitCodes.done
  },
}

function proofOf(receipt: unknown): object | undefined {
  const { proof } = (receipt ?? {}) as { proof?: unknown }
  return typeof proof === 'object' && proof !== null ? proof : undefined
}

async function writeNew(file: string, text: string, isForced: boolean): Promise<void> {
  try {
    await writeFile(file, text, { flag: isForced ? 'w' : 'wx' })
  } catch (cause) {
    const { code } = cause as { code?: unknown }
    const hint =
      code === 'EEXIST' ? 'it is there already. --force writes over it' : messageOf(cause)
    throw new CommandError(`Cannot write ${file}: ${hint}.`, { cause })
  }
}
