import { hexToBytes } from '@noble/hashes/utils.js'
import { InvalidError } from '../base/errors.ts'
import { verify } from '../identity/verify.ts'
import type { Json } from '../wire/canonical-json.ts'
import { type Cid, entryCid, parseCid, ryv1Cid } from '../wire/cid.ts'
import { parseIJson } from '../wire/i-json.ts'
import { isObject } from '../wire/json-reader.ts'
import { malformed } from '../wire/malformed.ts'
import { sameBytes } from '../wire/octets.ts'
import { peerIdOf } from '../wire/peer-id.ts'
import {
  type Finding as Checked,
  checkProof,
  fileBounds,
  type Proof,
  readProofJson,
} from '../wire/proof.ts'
import { openDigest, openReceiptHolds, receiptDigest } from '../wire/receipt.ts'
import { compare, type Members } from './comparing.ts'
import { coveredByOpen, coveredByProof, coveredInFile } from './covered-members.ts'
import { readOpenReceipt } from './open-receipt.ts'

export interface VerifyOptions {
  /** What was asked for, in any spelling: another good receipt is not it. */
  cid?: string
  /**
   * What was answered, to see whether the receipt is about this: the text of one choice, or the
   * messages of all choices in order, as `choices[].message` has them.
   */
  answer?: string | readonly AnsweredMessage[]
  /** 64 hex digits, where the receipt is salted: `receipt.prompt_nonce` of the answer. */
  nonce?: string
}

/** A message as it is answered. */
export interface AnsweredMessage {
  content?: string | null | undefined
  tool_calls?: readonly object[] | null | undefined
}

/** One thing that was looked at. */
export interface Finding {
  /** `object`: what stands around the proof. `cid`: that it is what was asked for. */
  what: Checked['what'] | 'object' | 'cid' | 'open'
  holds: boolean
  /** A sentence for people. */
  says: string
}

export interface ReceiptReport {
  /** `ryv1:sha256:…`, from the bytes that were signed. */
  cid: string
  /** The peer that signed. */
  node: string
  status: 'final' | 'segment' | 'open'
  /** All that was looked at holds. */
  holds: boolean
  findings: Finding[]
  /** Members that nobody signed: whoever showed it may say there what they like. */
  unsigned: string[]
  /** What this leaves open, in sentences. */
  unproved: string[]
}

/**
 * Checks a receipt with nothing but itself: what `GET /v8/receipts/{cid}` answers, or the `proof`
 * in it, as text or parsed. Throws a PeerError `malformed` for what is neither.
 *
 * ```ts
 * const receipt = await (await fetch(`${peer}/v8/receipts/${cid}`)).json()
 * const { holds, findings, unproved } = verifyReceipt(receipt, { cid })
 * ```
 */
export function verifyReceipt(receipt: unknown, options: VerifyOptions = {}): ReceiptReport {
  const asked = options.cid === undefined ? undefined : parseCid(options.cid)
  const given = toJson(receipt)
  if (given.object === 'receipt' && given.status === 'open') return openReport(given, asked)
  const proof = toProof(given)
  const { nonce, answer } = options
  const report = checkProof(proof, {
    verify,
    ...(answer !== undefined && { answer: toChoices(answer) }),
    ...(nonce !== undefined && { nonce: toNonce(nonce) }),
  })
  const isShown = given.object === 'receipt'
  const { wrong, unsigned } = compare(
    given,
    isShown ? coveredByProof(proof, given) : coveredInFile(proof),
  )
  const findings = [
    ...report.findings,
    ...(isShown ? [agreement(wrong)] : []),
    ...askedFor(asked, digestsOf(proof)),
  ]
  return {
    cid: report.cid,
    node: report.node,
    status: proof.receipt.jobId.includes('#') ? 'segment' : 'final',
    holds: findings.every(({ holds }) => holds),
    findings,
    unsigned,
    unproved: [...unsaid(unsigned), ...report.unproved],
  }
}

function toChoices(answer: string | readonly AnsweredMessage[]) {
  if (typeof answer === 'string') return answer
  return answer.map(({ content, tool_calls: calls }) => ({
    content: content ?? '',
    calls: (calls ?? []).map(toCall),
  }))
}

function toCall(call: object): { name: string; arguments: string } {
  const { name, arguments: said } = { ...(call as { function?: object }).function } as Members
  if (typeof name === 'string' && typeof said === 'string') return { name, arguments: said }
  throw new InvalidError('answer', 'A tool call is a function with a name and arguments.')
}

function toJson(receipt: unknown): Record<string, Json> {
  // Also of an object: what is checked is then plain data, whatever was given.
  const text = typeof receipt === 'string' ? receipt : textOf(receipt)
  const value = parseIJson(text, 'receipt', fileBounds)
  if (!isObject(value)) throw malformed('receipt', 'is not an object')
  return value
}

function textOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? ''
  } catch {
    throw malformed('receipt', 'is not JSON')
  }
}

/** Without a proof, as of a receipt that stands in no log, its own fields are all there is. */
function toProof(given: Record<string, Json>): Proof {
  if (given.object !== 'receipt') return readProofJson(given)
  const alone = {
    ...{ object: 'receipt_proof', version: 'PNV1', network: 'none' },
    ...{ receipt: given, entries: [] },
  }
  return readProofJson(given.proof ?? alone)
}

function toNonce(text: string): Uint8Array {
  if (/^[0-9a-f]{64}$/.test(text)) return hexToBytes(text)
  throw new InvalidError('nonce', 'A nonce is 64 hex digits, as the answer had it.')
}

const agreement = (wrong: string[]): Finding => ({
  what: 'object',
  holds: wrong.length === 0,
  says:
    wrong.length === 0
      ? 'What stands around the proof agrees with it, as far as it is signed.'
      : `What stands around the proof says something else: ${wrong.join(', ')}.`,
})

const NAMES_MAX = 16
const NAME_LENGTH_MAX = 64

/** Names are of whoever showed it, and as many as they like. */
function unsaid(unsigned: readonly string[]): string[] {
  if (unsigned.length === 0) return []
  const names = unsigned.slice(0, NAMES_MAX).map((name) => name.slice(0, NAME_LENGTH_MAX))
  const more = unsigned.length > NAMES_MAX ? ` and ${unsigned.length - NAMES_MAX} more` : ''
  return [`What it says of ${names.join(', ')}${more}: nobody signed that here.`]
}

function digestsOf({ receipt, entries }: Proof): Uint8Array[] {
  return [receiptDigest(receipt), ...entries.map(({ entry }) => entryCid(entry).digest)]
}

function askedFor(asked: Cid | undefined, digests: readonly Uint8Array[]): Finding[] {
  if (asked === undefined) return []
  const [receipt, ...entries] = digests
  const among = asked.kind === 'receipt' ? [receipt ?? new Uint8Array()] : entries
  const holds = among.some((digest) => sameBytes(digest, asked.digest))
  const says = holds ? 'It is the one that was asked for.' : `It is not ${asked}, as was asked for.`
  return [{ what: 'cid', holds, says }]
}

/** Signed when the work was taken on, and in no log until it is over. */
function openReport(given: Record<string, Json>, asked: Cid | undefined): ReceiptReport {
  const open = readOpenReceipt(given)
  const digest = openDigest(open)
  const node = peerIdOf(open.nodePk)
  const holds = openReceiptHolds(open, verify)
  const says = `${node} took on job ${open.jobId}.`
  const { wrong, unsigned } = compare(given, coveredByOpen(open))
  const findings: Finding[] = [
    { what: 'open', holds, says: holds ? says : `This does not hold: ${says}` },
    agreement(wrong),
    ...askedFor(asked, [digest]),
  ]
  return {
    cid: ryv1Cid(digest),
    node,
    status: 'open',
    holds: findings.every((finding) => finding.holds),
    findings,
    unsigned,
    unproved: [
      ...unsaid(unsigned),
      'That anything came of it, and which model it was: the final receipt says so.',
    ],
  }
}
