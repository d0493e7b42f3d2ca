import { readFile, stat } from 'node:fs/promises'
import { messageOf, PeerError } from '../src/index.ts'
import { type ReceiptReport, type VerifyOptions, verifyReceipt } from '../src/sdk/index.ts'
import { type Command, type Input, numberOf } from './command.ts'
import { CommandError, exitCodes, type Io, print, tableWidthOf, UsageError } from './io.ts'
import {
  receiptLines,
  receiptRow,
  reportLines,
  type ShownReceipt,
  shownLines,
} from './receipts-text.ts'
import { requirePeer } from './running-peer.ts'
import { safeJson } from './text.ts'

const path = '/v8/receipts'

export const receiptsGet: Command = {
  name: 'receipts get',
  operands: 'CID',
  operandsMax: 1,
  summary: 'Show a receipt, found here or at other peers, and check it on this machine.',
  options: [],
  details: [
    'CID is any spelling of the receipt’s (ryv1:sha256:…, bafkrei…), or that of an entry of a log ' +
      '(bafyrei…). The exit code is 1 where the receipt is not found or does not hold. With --json ' +
      'it comes out as a file for "receipts verify".',
  ],
  examples: [
    ['pinaivu-peer receipts get ryv1:sha256:9eeb…600a', 'What it says, and what of it holds'],
    ['pinaivu-peer receipts get bafkrei… --json > receipt.json', 'To keep, or to hand on'],
  ],
  async run(input, io) {
    const cid = operandOf(input, 'CID')
    const receipt = await fetchReceipt(cid, input, io)
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
    const asked = `${path}/recent${query.size === 0 ? '' : `?${query}`}`
    const answer = await client.json('GET', asked, { signal: io.signal, open: true })
    const { data } = (answer ?? {}) as { data?: unknown }
    if (!Array.isArray(data)) throw new CommandError('The peer answered with no list of receipts.')
    const rows = data.map(receiptRow)
    const lines = input.json ? [safeJson(rows)] : receiptLines(rows, io, tableWidthOf(io.stdout))
    print(io.stdout, ...lines)
    return exitCodes.done
  },
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
    'FILE is what "receipts get --json" printed or /v8/receipts/CID answered, or the proof in it. ' +
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
    const isCid = /^(ryv1:sha256:|baf[ky]rei)/.test(operand)
    const receipt = isCid ? await fetchReceipt(operand, input, io) : await readText(operand)
    const cid = isCid ? operand : input.values.cid
    const report = verify(receipt, {
      ...(typeof cid === 'string' && { cid }),
      ...(typeof nonce === 'string' && { nonce }),
      ...(typeof answer === 'string' && { answer: await readText(answer) }),
    })
    print(io.stdout, ...(input.json ? [safeJson(report)] : reportLines(report, io)))
    return report.holds ? exitCodes.done : exitCodes.failed
  },
}

async function fetchReceipt(cid: string, { dataDir }: Input, { signal }: Io): Promise<unknown> {
  const { client } = await requirePeer(dataDir, signal)
  return client.json('GET', `${path}/${encodeURIComponent(cid)}`, { signal, open: true })
}

function operandOf({ operands }: Input, what: string): string {
  const [operand] = operands
  if (operand !== undefined) return operand
  throw new UsageError(`Say which: ${what} is missing.`)
}

/** Bytes of a receipt, or of an answer. */
const FILE_BYTES_MAX = 16 * 1024 * 1024

async function readText(file: string): Promise<string> {
  try {
    const { size } = await stat(file)
    if (size > FILE_BYTES_MAX) throw new Error('it is too large')
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new CommandError(`Cannot read ${file}: ${messageOf(cause)}.`, { cause })
  }
}

/** What cannot be read is not proved: the exit code is the same. */
function verify(receipt: unknown, options: VerifyOptions): ReceiptReport {
  try {
    return verifyReceipt(receipt, options)
  } catch (cause) {
    if (!(cause instanceof PeerError) || cause.code !== 'malformed') throw cause
    throw new CommandError(`This is no receipt that can be checked: ${cause.message}`, { cause })
  }
}
