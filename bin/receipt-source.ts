import { createReadStream } from 'node:fs'
import { messageOf, PeerError } from '../src/index.ts'
import { type ReceiptReport, type VerifyOptions, verifyReceipt } from '../src/sdk/index.ts'
import type { Input } from './command.ts'
import { type HttpClient, RefusedError } from './http-client.ts'
import { CommandError, type Io, UsageError } from './io.ts'
import { requirePeer } from './running-peer.ts'

/** A receipt as a peer shows it. Its word is not needed: see `verify`. */
export interface Fetched {
  receipt: unknown
  /** What must be its CID. */
  cid: string
}

/** Whether this is what a peer can be asked for, and no file. */
export const isAddress = (text: string): boolean => /^(ryv1:sha256:|baf[ky]rei|req_)/.test(text)

/** By a CID, or by the id of a request that the owner made. */
export async function fetchReceipt(
  address: string,
  { dataDir }: Input,
  { signal }: Io,
): Promise<Fetched> {
  const { client } = await requirePeer(dataDir, signal)
  return receiptAt(address, client, signal)
}

export async function receiptAt(
  address: string,
  client: HttpClient,
  signal: AbortSignal,
): Promise<Fetched> {
  const cid = address.startsWith('req_') ? await cidOf(address, client, signal) : address
  return { cid, receipt: await fetchByCid(cid, client, signal) }
}

/** What was not published, its peer shows only to whoever has a key. */
async function fetchByCid(cid: string, client: HttpClient, signal: AbortSignal): Promise<unknown> {
  const name = encodeURIComponent(cid)
  try {
    return await client.json('GET', `/v8/receipts/${name}`, { signal, open: true })
  } catch (error) {
    if (!(error instanceof RefusedError) || error.status !== 404) throw error
    return await client.json('GET', `/v1/receipts/${name}`, { signal })
  }
}

async function cidOf(request: string, client: HttpClient, signal: AbortSignal): Promise<string> {
  const routed = await client.json('GET', `/v1/receipts/${encodeURIComponent(request)}`, { signal })
  const { ryv1_cid: whole, parts } = (routed ?? {}) as { ryv1_cid?: unknown; parts?: unknown }
  const [first] = Array.isArray(parts) ? parts : []
  const cid = whole ?? (first as { cid?: unknown } | undefined)?.cid
  if (typeof cid === 'string') return cid
  throw new CommandError('The peer names no receipt for this request.')
}

export function operandOf({ operands }: Input, what: string): string {
  const [operand] = operands
  if (operand !== undefined) return operand
  throw new UsageError(`Say which: ${what} is missing.`)
}

/** What is no UTF-8 is refused, as by all readers of receipts. */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Bytes of a receipt, or of an answer. */
const FILE_BYTES_MAX = 16 * 1024 * 1024

export async function readText(file: string): Promise<string> {
  try {
    // Of what says no size, such as a pipe or a device, that much is looked at and no more.
    const pieces: Buffer[] = await createReadStream(file, { end: FILE_BYTES_MAX }).toArray()
    const bytes = Buffer.concat(pieces)
    if (bytes.length > FILE_BYTES_MAX) throw new Error('it is too large')
    return utf8.decode(bytes)
  } catch (cause) {
    throw new CommandError(`Cannot read ${file}: ${messageOf(cause)}.`, { cause })
  }
}

/** What cannot be read is not proved: the exit code is the same. */
export function verify(receipt: unknown, options: VerifyOptions): ReceiptReport {
  try {
    return verifyReceipt(receipt, options)
  } catch (cause) {
    if (!(cause instanceof PeerError) || cause.code !== 'malformed') throw cause
    throw new CommandError(`This is no receipt that can be checked: ${cause.message}`, { cause })
  }
}
