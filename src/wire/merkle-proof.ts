import { joinPeaks, type NodeRef } from './merkle.ts'

/** The hashes of these whole subtrees, in the same order. One call for each proof. */
export type ReadNodes = (
  nodes: readonly NodeRef[],
) => readonly Uint8Array[] | Promise<readonly Uint8Array[]>

/** Some leaves of the tree: from `begin`, and before `end`. */
type Part = readonly [begin: number, end: number]

/** RFC 6962's PATH: what leads from a leaf to the root of the tree of this size. */
export function proveInclusion(index: number, size: number, read: ReadNodes) {
  if (index >= size) throw new RangeError(`There is no entry ${index} of ${size}.`)
  const parts: Part[] = []
  let [begin, end] = [0, size]
  while (end - begin > 1) {
    const middle = begin + half(end - begin)
    parts.push(index < middle ? [middle, end] : [begin, middle])
    if (index < middle) end = middle
    else begin = middle
  }
  return hashesOf(parts.reverse(), read)
}

/** RFC 6962's PROOF: that the tree of size `from` is the beginning of that of size `to`. */
export function proveConsistency(from: number, to: number, read: ReadNodes) {
  if (from > to) throw new RangeError(`A log of ${from} entries is not the beginning of ${to}.`)
  const parts: Part[] = []
  let [begin, end] = [0, to]
  if (from > 0) {
    while (from < end) {
      const middle = begin + half(end - begin)
      parts.push(from <= middle ? [middle, end] : [begin, middle])
      if (from <= middle) end = middle
      else begin = middle
    }
    // The old tree as a whole is known to whoever has its root.
    if (begin > 0) parts.push([begin, end])
  }
  return hashesOf(parts.reverse(), read)
}

/** The whole subtrees that make up a tree of this size, the largest first. */
export const peakNodes = (size: number): NodeRef[] => wholeNodes([0, size])

/** The largest power of two below `leaves`. */
function half(leaves: number): number {
  let power = 1
  while (power * 2 < leaves) power *= 2
  return power
}

/** Only the last subtree can be split further, so there are a few times log n of them. */
function wholeNodes([begin, end]: Part): NodeRef[] {
  const nodes: NodeRef[] = []
  for (let at = begin; at < end; ) {
    let level = 0
    while (2 ** (level + 1) <= end - at) level++
    nodes.push({ level, index: at / 2 ** level })
    at += 2 ** level
  }
  return nodes
}

async function hashesOf(parts: readonly Part[], read: ReadNodes): Promise<Uint8Array[]> {
  const nodes = parts.map(wholeNodes)
  const hashes = await read(nodes.flat())
  let at = 0
  return nodes.map(({ length }) => {
    at += length
    return joinPeaks(hashes.slice(at - length, at))
  })
}
