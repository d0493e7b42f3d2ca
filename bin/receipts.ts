import type { ReceiptReport } from '../src/sdk/index.ts'
import { type Command, numberOf } from './command.ts'
import { CommandError, exitCodes, print, tableWidthOf } from './io.ts'
import { fetchReceipt, isAddress, operandOf, readText, verify } from './receipt-source.ts'
import {
  receiptLines,
  receiptRow,
  reportLines,
  type ShownReceipt,
  shownLines,
} from './receipts-text.ts'
import { requirePeer } from './running-peer.ts'
import { safeJson } from './text.ts'

export const receiptsGet: Command = {
  name: 'receipts get',
  operands: 'CID|REQUEST',
  operandsMax: 1,
  summary: 'Show a receipt, found here or at other peers, and check it on this machine.',
  options: [],
  details: [
    'CID is any spelling of the receipt’s (ryv1:sha256:…, bafkrei…), or that of an entry of a log ' +
      '(bafyrei…). REQUEST is the id of a request that was made through the running peer (req_…). ' +
      'The exit code is 1 where the receipt is not found or does not hold. With --json ' +
      'it comes out as a file for "receipts verify".',
  ],
  examples: [
    ['pinaivu-peer receipts get ryv1:sha256:9eeb…600a', 'What it says, and what of it holds'],
    ['pinaivu-peer receipts get req_01j9z4… --json', 'All of it, of an own request'],
  ],
  async run(input, io) {
    const { receipt, cid } = await fetchReceipt(operandOf(input, 'CID or REQUEST'), input, io)
    const shown = receiptRow(receipt) as ShownReceipt
    // The peer says so too, but its word is not needed.
    const report = verify(receipt, { cid })
    const lines = input.json
      ? [safeJson(receipt)]
      : [...shownLines(shown, io), '', ...reportLines(report, io)]
    print(io.stdout, ...lines)
    return report.holds ? exitCodes.done : exitCodes.failed
  },
}

export const receiptsList: Command = {
  name: 'receipts list',
  summary: 'List the newest receipts that the running peer has, its own and those of others.',
  options: [
    {
      name: 'limit',
      placeholder: 'N',
      help: 'How many, 100 at most.',
      defaultText: '32',
    },
    { name: 'model', placeholder: 'MODEL', help: 'Only those of this model.' },
    { name: 'node', placeholder: 'PEER', help: 'Only those that this peer signed.' },
    { name: 'after', placeholder: 'CID', help: 'Only older ones than this.' },
  ],
  details: ['TOKENS is read + written. CHECKED is what the peer found when it looked just now.'],
  examples: [
    ['pinaivu-peer receipts list', 'The last 32'],
    ['pinaivu-peer receipts list --model phi-4 --json', 'For programs: an array of objects'],
  ],
  async run(input, io) {
    numberOf(input, 'limit', { min: 1, max: 100, whole: true })
    const query = new URLSearchParams()
    for (const name of ['limit', 'model', 'node', 'after'] as const) {
      const value = input.values[name]
      if (typeof value === 'string') query.set(name, value)
    }
    const { client } = await requirePeer(input.dataDir, io.signal)
    const asked = `/v8/receipts/recent${query.size === 0 ? '' : `?${query}`}`
    const answer = await client.json('GET', asked, { signal: io.signal, open: true })
    const { data } = (answer ?? {}) as { data?: unknown }
    if (!Array.isArray(data)) throw new CommandError('The peer answered with no list of receipts.')
    const rows = data.map(receiptRow)
    const lines = input.json ? [safeJson(rows)] : receiptLines(rows, io, tableWidthOf(io.stdout))
    print(io.stdout, ...lines)
    return exitCodes.done
  },
}

/** `chat > FILE` ends the file with a line end that is no part of the answer. */
function aboutText(
  answer: string,
  check: (text: { answer: string }) => ReceiptReport,
): ReceiptReport {
  const report = check({ answer })
  if (report.holds || !answer.endsWith('\n')) return report
  const withoutEnd = check({ answer: answer.slice(0, -1) })
  return withoutEnd.holds ? withoutEnd : report
}

export const receiptsVerify: Command = {
  name: 'receipts verify',
  operands: 'CID|FILE',
  operandsMax: 1,
  summary: 'Check a receipt from a file with nothing but the file: no peer, no network.',
  options: [
    { name: 'cid', placeholder: 'CID', help: 'That it must be the receipt of this CID.' },
    { name: 'answer', placeholder: 'FILE', help: 'That it must be about the text in this file.' },
    {
      name: 'nonce',
      placeholder: 'HEX',
      help: 'The prompt_nonce of the answer, where the receipt is salted.',
    },
  ],
  details: [
    'FILE is what "receipts export" wrote, "receipts get --json" printed or /v8/receipts/CID ' +
      'answered. ' +
      'What is given by its CID is asked of the running peer, and checked here. ' +
      'The exit code is 0 when all that can be checked holds, and 1 when something does not.',
  ],
  examples: [
    ['pinaivu-peer receipts verify receipt.json', 'What is proved, and what is not'],
    [
      'pinaivu-peer receipts verify receipt.json --answer answer.txt',
      'Whether it is about this text',
    ],
  ],
  async run(input, io) {
    const { nonce, answer } = input.values
    const operand = operandOf(input, 'CID or FILE')
    const fetched = isAddress(operand) ? await fetchReceipt(operand, input, io) : undefined
    const cid = fetched?.cid ?? input.values.cid
    const receipt = fetched?.receipt ?? (await readText(operand))
    const check = (more: { answer?: string }) =>
      verify(receipt, {
        ...(typeof cid === 'string' && { cid }),
        ...(typeof nonce === 'string' && { nonce }),
        ...more,
      })
    const report = typeof answer === 'string' ? aboutText(await readText(answer), check) : check({})
    print(io.stdout, ...(input.json ? [safeJson(report)] : reportLines(report, io)))
    return report.holds ? exitCodes.done : exitCodes.failed
  },
}
