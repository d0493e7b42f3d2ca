import { PeerError } from '../base/errors.ts'
import { cid } from './cid-field.ts'
import { needed, uint64 } from './fields.ts'
import type { Signed } from './generate.ts'
import { type Head, openHead, readHeadOf, signedHeadShape } from './head.ts'
import { hashes } from './list-fields.ts'
import { includes, leafHash, PATH_MAX } from './merkle.ts'
import { sameBytes } from './octets.ts'
import { message } from './shape.ts'
import type { Verifying } from './signed.ts'

const leaf = { kind: 'entry', optional: true } as const

export const equivocationShape = message('Equivocation', {
  one: needed(1, signedHeadShape),
  other: needed(2, signedHeadShape),
  index: uint64(3),
  oneCid: cid(4, leaf),
  onePath: hashes(5, PATH_MAX),
  otherCid: cid(6, leaf),
  otherPath: hashes(7, PATH_MAX),
})

/**
 * That a peer told two stories of one log: two heads of one size with different roots; or, with CIDs
 * and paths, two entries at one index. Whoever has it can check it alone.
 */
export interface Equivocation {
  one: Signed
  other: Signed
  index: number
  oneCid: Uint8Array
  onePath: Uint8Array[]
  otherCid: Uint8Array
  otherPath: Uint8Array[]
}

const none = new Uint8Array()

/** Of two heads of one size. */
export const headsEquivocation = (one: Signed, other: Signed): Equivocation => ({
  one,
  other,
  index: 0,
  oneCid: none,
  onePath: [],
  otherCid: none,
  otherPath: [],
})

/** Whose log it is about; throws `no_equivocation` when it proves nothing. */
export function openEquivocation(
  claim: Equivocation,
  verifying: Verifying,
): Pick<Head, 'author' | 'epoch'> {
  // What is malformed is told first, also where it stands second.
  readHeadOf(verifying.network, claim.other)
  const one = openHead(claim.one, verifying)
  const other = openHead(claim.other, verifying)
  if (!sameBytes(one.author, other.author) || !sameBytes(one.epoch, other.epoch)) {
    throw unproved('The heads are of different logs.')
  }
  if (!(differAsHeads(one, other) || differAt(claim, one, other))) {
    throw unproved('The heads may be of one log.')
  }
  return { author: one.author, epoch: one.epoch }
}

const differAsHeads = (one: Head, other: Head): boolean =>
  one.size === other.size && !sameBytes(one.root, other.root)

function differAt(claim: Equivocation, one: Head, other: Head): boolean {
  const { index, oneCid, onePath, otherCid, otherPath } = claim
  if (oneCid.length === 0 || otherCid.length === 0 || sameBytes(oneCid, otherCid)) return false
  const stands = (head: Head, cid: Uint8Array, path: Uint8Array[]) =>
    includes({
      leaf: leafHash(cid),
      index,
      size: head.size,
      root: head.root,
      path,
    })
  return stands(one, oneCid, onePath) && stands(other, otherCid, otherPath)
}

const unproved = (reason: string) =>
  new PeerError('no_equivocation', `This proves no equivocation: ${reason}`, {
    action: 'penalise',
  })
