import type { Head } from './head.ts'
import { malformed } from './malformed.ts'
import { joinBytes } from './octets.ts'
import { sha256 } from './sha256.ts'

const BUCKETS = 256
const MARK_BYTES = 8
export const DIGEST_BYTES = BUCKETS * MARK_BYTES

/** Which log, how long it is and its root: what two peers compare. */
export type Place = Pick<Head, 'author' | 'epoch' | 'size' | 'root'>

/** Of a log, by the hash of its name: nobody can tell beforehand whose logs share one. */
export const bucketOf = ({ author, epoch }: Pick<Head, 'author' | 'epoch'>): number =>
  sha256(joinBytes(author, epoch))[0] ?? 0

/**
 * What is known of all logs, in 2 KiB: for each bucket the exclusive or of its logs' marks. Two
 * peers that know the same have the same digest, and a log that grows changes it in one place.
 */
export class FeedsDigest {
  readonly #bytes = new Uint8Array(DIGEST_BYTES)

  get bytes(): Uint8Array {
    return this.#bytes.slice()
  }

  /** Also takes it out again: adding twice is as not adding. */
  toggle(place: Place): void {
    const start = bucketOf(place) * MARK_BYTES
    const mark = markOf(place)
    for (let at = 0; at < MARK_BYTES; at++) {
      this.#bytes[start + at] = (this.#bytes[start + at] ?? 0) ^ (mark[at] ?? 0)
    }
  }

  /** The buckets in which the other peer knows something else. */
  differing(other: Uint8Array): Set<number> {
    if (other.length !== DIGEST_BYTES) throw malformed('Digest.buckets', 'has not 2,048 bytes')
    const buckets = new Set<number>()
    for (let at = 0; at < DIGEST_BYTES; at++) {
      if (this.#bytes[at] !== other[at]) buckets.add(Math.floor(at / MARK_BYTES))
    }
    return buckets
  }
}

function markOf({ author, epoch, size, root }: Place): Uint8Array {
  const count = new Uint8Array(8)
  new DataView(count.buffer).setBigUint64(0, BigInt(size))
  return sha256(joinBytes(author, epoch, count, root)).subarray(0, MARK_BYTES)
}
