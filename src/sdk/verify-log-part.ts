import { hexToBytes } from '@noble/hashes/utils.js'
import { base64pad } from 'multiformats/bases/base64'
import { verify } from '../identity/verify.ts'
import { badLog, grow, openBatch } from '../wire/log-batch.ts'
import { malformed } from '../wire/malformed.ts'
import type { Peaks } from '../wire/merkle.ts'
import { peerIdOf } from '../wire/peer-id.ts'
import type { LogEntry, LogPart } from './types/receipts.ts'

export interface LogPlace {
  /** The peer whose log it is to be. */
  author: string
  /** Which network it is of: a head is signed for one. */
  network: string
  /** What the part before came to; without it, the part brings what it stands on. */
  before?: Peaks | undefined
}

/**
 * Checks that these are the entries of a log which its author signed the head of, and returns what
 * they come to, for the part behind. Throws `malformed`, `bad_signature` or `bad_log`.
 */
export function verifyLogPart(
  part: LogPart,
  entries: readonly LogEntry[],
  { author, network, before }: LogPlace,
): Peaks {
  const batch = {
    head: { payload: bytesOf(part.head), signature: bytesOf(part.head_signature) },
    first: part.from,
    entries: entries.map(({ entry_b64 }) => bytesOf(entry_b64)),
    path: hashesOf(part.path),
    peaks: hashesOf(part.peaks),
  }
  const open = openBatch(batch, { network, verify })
  if (peerIdOf(open.head.author) !== author) throw badLog('This is the log of another peer.')
  const isAsShown = (entry: LogEntry, at: number) =>
    entry.index === part.from + at && entry.cid === open.entries[at]?.cid.toString()
  const { size } = open.head
  if (!entries.every(isAsShown) || part.size !== size || part.end !== part.from + entries.length) {
    throw badLog('What is shown of the log is not what it is.')
  }
  if (before === undefined) return grow(open)
  if (before.size !== part.from) throw badLog('It does not go on where the part before ended.')
  return grow(open, before)
}

function bytesOf(base64: string): Uint8Array {
  try {
    return base64pad.baseDecode(base64)
  } catch {
    throw malformed('log', 'has something that is not base64')
  }
}

function hashesOf(hexes: readonly string[]): Uint8Array[] {
  try {
    return hexes.map((hex) => hexToBytes(hex))
  } catch {
    throw malformed('log', 'has something that is not a hash in hex')
  }
}
