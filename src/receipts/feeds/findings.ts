import { type Body, type Entry, readBody, type SealedEntry } from '../../wire/entry.ts'
import { openReceiptOf } from '../../wire/execution.ts'
import { sameBytes } from '../../wire/octets.ts'
import { openDigest, type Receipt, receiptDigest } from '../../wire/receipt.ts'
import type { Verify } from '../../wire/signed.ts'
import type { Find } from './keys.ts'

/** One way to find an entry. */
export interface Finding {
  find: Find
  digest: Uint8Array
  /** 0 where the log's author signed what is found, 1 where it stands in the entry of another. */
  rank: number
}

const OWN = 0
const EMBEDDED = 1

/**
 * All ways to find this entry in the log of `author`. A receipt whose signature does not hold is no
 * way to find anything: else whoever writes such an entry could stand in the way of the real one.
 */
export function findingsOf({ entry, cid }: SealedEntry, author: Uint8Array, verify: Verify) {
  const findings: Finding[] = [{ find: 'entry', digest: cid.digest, rank: OWN }]
  const rankOf = (key: Uint8Array) => (sameBytes(key, author) ? OWN : EMBEDDED)

  const addReceipt = (receipt: Receipt | undefined): void => {
    if (receipt === undefined) return
    const digest = receiptDigest(receipt)
    if (!verify(receipt.nodePk, digest, receipt.signature)) return
    findings.push({ find: 'receipt', digest, rank: rankOf(receipt.nodePk) })
  }

  const read = readable(entry)
  if (read?.kind === 'execution') {
    const open = openReceiptOf(read.body)
    addReceipt(read.body.receipt)
    // Its digest names the key; under another's log it would be somebody else's word.
    if (sameBytes(open.nodePk, author)) {
      findings.push({ find: 'open', digest: openDigest(open), rank: OWN })
    }
  } else if (read?.kind === 'routing') {
    addReceipt(read.body.whole)
    for (const { receipt, execution } of read.body.parts) {
      addReceipt(receipt)
      if (execution === undefined) continue
      findings.push({
        find: 'mention',
        digest: execution.digest,
        rank: rankOf(read.body.coordinator),
      })
    }
  }
  return findings
}

/** Undefined for kinds of a newer version, and for bodies that are not as their kind's should be. */
function readable(entry: Entry): Body | undefined {
  try {
    return readBody(entry)
  } catch {
    return undefined
  }
}
