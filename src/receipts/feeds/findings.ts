import type { VerifyLater } from '../../identity/verify-native.ts'
import { type Body, type SealedEntry, tryToReadBody } from '../../wire/entry.ts'
import { openReceiptOf, segmentReceiptsOf } from '../../wire/execution.ts'
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

export const OWN = 0
const EMBEDDED = 1

/** A receipt by which an entry is found, if its signature holds. */
interface Claim {
  receipt: Receipt
  finding: Finding
}

/**
 * All ways to find this entry in the log of `author`. A receipt whose signature does not hold is no
 * way to find anything: else whoever writes such an entry could stand in the way of the real one.
 */
export function findingsOf(sealed: SealedEntry, author: Uint8Array, verify: Verify): Finding[] {
  const { sure, claims } = readingOf(sealed, author)
  const holds = ({ receipt, finding }: Claim) =>
    verify(receipt.nodePk, finding.digest, receipt.signature)
  return [...sure, ...claims.filter(holds).map(({ finding }) => finding)]
}

/** The same, for entries of others: there are many. */
export async function findingsLater(
  sealed: SealedEntry,
  author: Uint8Array,
  verify: VerifyLater,
): Promise<Finding[]> {
  const { sure, claims } = readingOf(sealed, author)
  const proved = claims.map(async ({ receipt, finding }) => {
    const holds = await verify(receipt.nodePk, finding.digest, receipt.signature)
    return holds ? [finding] : []
  })
  return [...sure, ...(await Promise.all(proved)).flat()]
}

function readingOf({ entry, cid, ...sealed }: SealedEntry, author: Uint8Array) {
  const claims: Claim[] = []
  const rankOf = (key: Uint8Array) => (sameBytes(key, author) ? OWN : EMBEDDED)

  const claim = (receipt: Receipt | undefined): void => {
    if (receipt === undefined) return
    const rank = rankOf(receipt.nodePk)
    claims.push({ receipt, finding: { find: 'receipt', digest: receiptDigest(receipt), rank } })
  }

  const read = sealed.read ?? tryToReadBody(entry)
  // Anybody can put a copy of it into their own log.
  const rank = rankOf(writerOf(read) ?? author)
  const sure: Finding[] = [{ find: 'entry', digest: cid.digest, rank }]
  if (read?.kind === 'execution') {
    const open = openReceiptOf(read.body)
    claim(read.body.receipt)
    // Their digests name the key; under another's log they would be somebody else's word.
    if (sameBytes(open.nodePk, author)) {
      sure.push({ find: 'open', digest: openDigest(open), rank: OWN })
      for (const segment of segmentReceiptsOf(read.body)) {
        sure.push({ find: 'receipt', digest: receiptDigest(segment), rank: OWN })
      }
    }
  } else if (read?.kind === 'routing') {
    claim(read.body.whole)
    for (const { receipt, execution } of read.body.parts) {
      claim(receipt)
      if (execution === undefined) continue
      sure.push({ find: 'mention', digest: execution.digest, rank })
    }
  }
  return { sure, claims }
}

/** In whose log it belongs; undefined where that is not said. */
export function writerOf(read: Body | undefined): Uint8Array | undefined {
  if (read?.kind === 'execution') return read.body.receipt.nodePk
  return read?.kind === 'routing' ? read.body.coordinator : undefined
}
