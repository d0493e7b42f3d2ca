import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  includes,
  isConsistent,
  joinPeaks,
  leafHash,
  type NodeRef,
  nodeHash,
  PATH_MAX,
  Peaks,
  peakCount,
} from '../../src/wire/merkle.ts'
import {
  peakNodes,
  proveConsistency,
  proveInclusion,
  type ReadNodes,
} from '../../src/wire/merkle-proof.ts'
import { refusalOf } from './hostile.ts'
import { pathOf, proofOf, rootOf } from './naive-tree.ts'

const leavesOf = (size: number): Uint8Array[] =>
  Array.from({ length: size }, (_, at) => Uint8Array.from({ length: 36 }, (_, n) => at * 7 + n))

/** A log in memory, with every hash of its whole subtrees. */
function grown(leaves: Uint8Array[]) {
  const nodes = new Map<string, Uint8Array>()
  const name = ({ level, index }: NodeRef) => `${level}/${index}`
  const peaks = new Peaks()
  for (const leaf of leaves) {
    peaks.append(leafHash(leaf), (node, hash) => nodes.set(name(node), hash))
  }
  const reads: number[] = []
  const read: ReadNodes = (wanted) => {
    reads.push(wanted.length)
    return wanted.map((node) => {
      const hash = nodes.get(name(node))
      if (hash === undefined) throw new Error(`no node ${name(node)} of ${leaves.length}`)
      return hash
    })
  }
  return { peaks, read, reads, nodes }
}

const size = fc.integer({ min: 1, max: 70 })
const sizeAndPart = size.chain((size) => fc.tuple(fc.constant(size), fc.nat({ max: size })))
const sizeAndIndex = size.chain((size) => fc.tuple(fc.constant(size), fc.nat({ max: size - 1 })))

describe('the tree', () => {
  it('has the root that RFC 6962 says, at every size', () => {
    for (let n = 0; n <= 70; n++) {
      const leaves = leavesOf(n)
      const { peaks } = grown(leaves)
      expect(peaks.root()).toEqual(rootOf(leaves))
      expect(peaks.hashes).toHaveLength(peakCount(n))
    }
  })

  it('goes on from its peaks alone', () => {
    fc.assert(
      fc.property(sizeAndPart, ([size, part]) => {
        const leaves = leavesOf(size)
        const { peaks } = grown(leaves.slice(0, part))
        const later = new Peaks(part, peaks.hashes)
        for (const leaf of leaves.slice(part)) later.append(leafHash(leaf))
        expect(later.root()).toEqual(rootOf(leaves))
        expect(peaks.size).toBe(part)
      }),
    )
  })

  it('has its peaks at the nodes that are named', async () => {
    for (let n = 0; n <= 70; n++) {
      const { peaks, read } = grown(leavesOf(n))
      expect(await read(peakNodes(n))).toEqual(peaks.hashes)
      expect(joinPeaks(peaks.hashes)).toEqual(peaks.root())
    }
  })

  it('has each hash of a whole subtree once, and no other', () => {
    const { nodes } = grown(leavesOf(70))
    const expected = [0, 1, 2, 3, 4, 5, 6].flatMap((level) =>
      Array.from({ length: Math.floor(70 / 2 ** level) }, (_, index) => `${level}/${index}`),
    )
    expect([...nodes.keys()].sort()).toEqual(expected.sort())
  })

  it('takes no peaks of another size', () => {
    for (const [size, count] of [
      [3, 1],
      [4, 3],
      [0, 1],
      [2 ** 53, 2],
    ] as const) {
      const hashes = Array.from({ length: count }, () => new Uint8Array(32))
      expect(refusalOf(() => new Peaks(size, hashes))?.code).toBe('malformed')
    }
    expect(refusalOf(() => new Peaks(1, [new Uint8Array(31)]))?.code).toBe('malformed')
  })

  it('goes beyond 32 bits', () => {
    const size = 2 ** 40 + 5
    const hashes = Array.from({ length: peakCount(size) }, (_, at) => new Uint8Array(32).fill(at))
    const peaks = new Peaks(size, hashes)
    const nodes: NodeRef[] = []
    peaks.append(leafHash(new Uint8Array(36)), (node) => nodes.push(node))
    expect(nodes).toEqual([
      { level: 0, index: size },
      { level: 1, index: (size - 1) / 2 },
    ])
    expect(peakNodes(size)[0]).toEqual({ level: 40, index: 0 })
  })
})

describe('inclusion', () => {
  it('is proved as RFC 6962 says, with few reads', async () => {
    for (let n = 1; n <= 40; n++) {
      const leaves = leavesOf(n)
      const { read, reads, peaks } = grown(leaves)
      for (let index = 0; index < n; index++) {
        const path = await proveInclusion(index, n, read)
        expect(path).toEqual(pathOf(index, leaves))
        const leaf = leafHash(leaves[index] as Uint8Array)
        expect(includes({ leaf, index, size: n, root: peaks.root(), path })).toBe(true)
      }
      expect(Math.max(...reads)).toBeLessThanOrEqual(2 * Math.ceil(Math.log2(n)))
    }
  })

  it('holds in older trees as well, from the same nodes', async () => {
    await fc.assert(
      fc.asyncProperty(sizeAndIndex, async ([part, index]) => {
        const leaves = leavesOf(70)
        const { read } = grown(leaves)
        expect(await proveInclusion(index, part, read)).toEqual(
          pathOf(index, leaves.slice(0, part)),
        )
      }),
    )
  })

  it('does not hold for anything else', async () => {
    await fc.assert(
      fc.asyncProperty(sizeAndIndex, fc.nat(), async ([size, index], seed) => {
        const leaves = leavesOf(size)
        const { read, peaks } = grown(leaves)
        const path = await proveInclusion(index, size, read)
        const leaf = leafHash(leaves[index] as Uint8Array)
        const proof = { leaf, index, size, root: peaks.root(), path }
        const flipped = (bytes: Uint8Array) => bytes.with(seed % 32, (bytes[seed % 32] ?? 0) ^ 1)
        const wrong = [
          { leaf: flipped(leaf) },
          { root: flipped(proof.root) },
          { index: index + 1 },
          { index: index - 1 },
          { index: index + 0.5 },
          { path: [...path, leaf] },
          { path: [leaf, ...path] },
          ...(path.length === 0 ? [] : [{ path: path.slice(1) }, { path: path.slice(0, -1) }]),
          ...path.map((hash, at) => ({ path: path.with(at, flipped(hash)) })),
          ...path.map((hash, at) => ({ path: path.with(at, hash.slice(1)) })),
        ]
        for (const change of wrong) expect(includes({ ...proof, ...change })).toBe(false)
      }),
    )
  })

  it('is bounded: a path that is too long is not walked', () => {
    const path = Array.from({ length: PATH_MAX + 1 }, () => new Uint8Array(32))
    const leaf = new Uint8Array(32)
    const size = Number.MAX_SAFE_INTEGER
    expect(includes({ leaf, index: 0, size, root: leaf, path })).toBe(false)
  })
})

describe('consistency', () => {
  it('is proved as RFC 6962 says', async () => {
    for (let n = 1; n <= 40; n++) {
      const leaves = leavesOf(n)
      const { read, peaks } = grown(leaves)
      for (let from = 1; from <= n; from++) {
        const path = await proveConsistency(from, n, read)
        expect(path).toEqual(proofOf(from, leaves))
        const fromRoot = rootOf(leaves.slice(0, from))
        expect(isConsistent({ from, fromRoot, to: n, toRoot: peaks.root(), path })).toBe(true)
      }
    }
  })

  it('holds from the empty log to any', async () => {
    const { read, peaks } = grown(leavesOf(7))
    const path = await proveConsistency(0, 7, read)
    const proof = { from: 0, fromRoot: rootOf([]), to: 7, toRoot: peaks.root(), path }
    expect(isConsistent(proof)).toBe(true)
    expect(isConsistent({ ...proof, fromRoot: peaks.root() })).toBe(false)
  })

  it('does not hold for anything else', async () => {
    const parts = sizeAndPart.filter(([, from]) => from > 0)
    await fc.assert(
      fc.asyncProperty(parts, fc.nat(), async ([size, from], seed) => {
        const leaves = leavesOf(size)
        const { read, peaks } = grown(leaves)
        const path = await proveConsistency(from, size, read)
        const fromRoot = rootOf(leaves.slice(0, from))
        const proof = { from, fromRoot, to: size, toRoot: peaks.root(), path }
        const flipped = (bytes: Uint8Array) => bytes.with(seed % 32, (bytes[seed % 32] ?? 0) ^ 1)
        const rewritten = leaves.with(
          seed % from,
          Uint8Array.from({ length: 36 }, () => 255),
        )
        const wrong = [
          { fromRoot: flipped(fromRoot) },
          { toRoot: flipped(proof.toRoot) },
          { fromRoot: rootOf(rewritten.slice(0, from)) },
          { toRoot: rootOf(rewritten) },
          { from: size + 1 },
          { path: [...path, fromRoot] },
          ...(path.length === 0 ? [] : [{ path: path.slice(1) }, { path: path.slice(0, -1) }]),
          ...path.map((hash, at) => ({ path: path.with(at, flipped(hash)) })),
        ]
        for (const change of wrong) expect(isConsistent({ ...proof, ...change })).toBe(false)
      }),
    )
  })
})

it('a hash of two is not that of a leaf with the same bytes', () => {
  const [a, b] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)]
  expect(leafHash(Uint8Array.of(...a, ...b))).not.toEqual(nodeHash(a, b))
})
