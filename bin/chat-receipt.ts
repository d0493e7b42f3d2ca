import type { HttpClient } from './http-client.ts'
import type { Io, Output } from './io.ts'
import { receiptAt, verify } from './receipt-source.ts'
import { receiptRow, reportLines, type ShownReceipt, shownLines } from './receipts-text.ts'
import { labelled, paintFor } from './text.ts'
import type { Turn } from './trim-turns.ts'

/**
 * The receipt of an answer, checked on this machine: that it is signed and logged as it says, and that
 * it is about this text. What it cost stands in the account, and nobody signs that.
 */
export async function turnReceiptLines(
  { requestId = '', receipt: told, answer, isCut }: Turn,
  client: HttpClient,
  screen: Output,
  { env, signal, ...io }: Io,
): Promise<string[]> {
  const { receipt, cid } = await receiptAt(told?.cid ?? requestId, client, signal)
  // What came of an answer that was cut may be less than what was written and signed.
  const asked = { cid, ...(!isCut && { answer }) }
  const nonce = told?.prompt_nonce
  const plain = verify(receipt, asked)
  // The nonce is in the hash of a salted receipt, and in no other.
  const salted = plain.holds || nonce === undefined ? plain : verify(receipt, { ...asked, nonce })
  const report = salted.holds ? salted : plain
  const shown = receiptRow(receipt) as ShownReceipt
  const cost = await costOf(requestId, client, signal)
  const onScreen = { ...io, env, signal, stdout: screen }
  return [
    ...shownLines(shown, onScreen),
    ...labelled([['Cost', [cost]]], paintFor(screen, env)),
    '',
    ...reportLines(report, onScreen),
  ]
}

const LEDGER = '/api/v1/credits/ledger?limit=100'

/** What the account was charged for a request, of the last hundred transactions. */
async function costOf(request: string, client: HttpClient, signal: AbortSignal): Promise<string> {
  const { data } = ((await client.json('GET', LEDGER, { signal })) ?? {}) as { data?: unknown }
  const charges = (Array.isArray(data) ? data : []).filter(
    (each) => each?.request_id === request && each.type === 'charge',
  )
  if (charges.length === 0) return 'nothing was charged'
  const sum = charges.reduce((total, { amount }) => total - Number(amount), 0)
  return `${sum} micro-credits`
}
