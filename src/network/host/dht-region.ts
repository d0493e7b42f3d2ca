import { createHash } from 'node:crypto'
import type { Random } from '../../base/random.ts'
import { dhtLimits } from './limits.ts'

// What is said under a key is kept by those closest to it, and whoever wants to be closest to a key
// makes up ids until it is. It can't be all there is in a larger region around it, though: the honest
// are as dense there as anywhere, and as dense as around this peer itself.

/** In as many parts of the region somebody is looked for, besides the key's own place. */
const PARTS_BITS = 2
/** Of the largest network that is thought of, some hundred thousand peers: each bit doubles the work. */
const BITS_MAX = 12

/** Where a key, or the id of a peer, is in the DHT. */
export function placeOf(key: Uint8Array): Uint8Array {
  return createHash('sha256').update(key).digest()
}

/**
 * How many first bits all places of a region have in common. Undefined where the network is so small
 * that everybody is among the closest.
 * @param neighbours the places closest to this peer's own, the closest first
 */
export function regionBits(own: Uint8Array, neighbours: readonly Uint8Array[]): number | undefined {
  const furthest = neighbours[dhtLimits.closest - 1]
  if (furthest === undefined) return undefined
  return Math.min(BITS_MAX, Math.max(0, commonBits(own, furthest) - 1))
}

/** Keys whose places are spread over the region around `place`. */
export function keysAround(place: Uint8Array, bits: number, random: Random): Uint8Array[] {
  return Array.from({ length: 2 ** PARTS_BITS }, (_, part) => keyAt(place, bits, part, random))
}

function keyAt(place: Uint8Array, bits: number, part: number, random: Random): Uint8Array {
  const key = random.bytes(16)
  const counter = new DataView(key.buffer, key.byteOffset)
  for (let tries = 0; ; tries++) {
    counter.setUint32(0, tries)
    const found = placeOf(key)
    const isThere = commonBits(found, place) >= bits
    if (isThere && bitsOf(found, bits, PARTS_BITS) === part) return key
  }
}

export function commonBits(a: Uint8Array, b: Uint8Array): number {
  const at = a.findIndex((byte, index) => byte !== b[index])
  if (at < 0) return 8 * a.length
  return 8 * at + Math.clz32((a[at] ?? 0) ^ (b[at] ?? 0)) - 24
}

function bitsOf(place: Uint8Array, from: number, count: number): number {
  let bits = 0
  for (let at = from; at < from + count; at++) {
    bits = (bits << 1) | (((place[at >> 3] ?? 0) >> (7 - (at & 7))) & 1)
  }
  return bits
}
