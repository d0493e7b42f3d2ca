import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Growth, readNodes, type TileRef, tileLeaves } from '../../../src/receipts/feeds/tiles.ts'
import { leafHash, type NodeRef, nodeHash, Peaks } from '../../../src/wire/merkle.ts'
import { peakNodes, proveConsistency, proveInclusion } from '../../../src/wire/merkle-proof.ts'
import { pathOf, proofOf } from '../../wire/naive-tree.ts'

const SIZE_MAX = 700

/** What the leaves are made from, and their hashes. */
const cids = Array.from({ length: SIZE_MAX }, (_, n) => Uint8Array.of(n >> 8, n & 255))
const leaves = cids.map(leafHash)

/** Rows of tiles, as the store keeps them. */
class Disk {
  readonly rows = new Map<string, Uint8Array>()
  reads = 0

  readonly read = async (tiles: readonly TileRef[]) => {
    this.reads += tiles.length
    return tiles.map(({ level, index }) => this.rows.get(`${level}/${index}`))
  }

  keep(growth: Growth): void {
    for (const { tile, row } of growth.takeChanged()) {
      this.rows.set(`${tile.level}/${tile.index}`, row)
    }
  }

  /** As pruning does. */
  drop(before: number): void {
    for (const name of this.rows.keys()) {
      const [level = 0, index = 0] = name.split('/').map(Number)
      if ((index + 1) * tileLeaves(level) <= before) this.rows.delete(name)
    }
  }
}

/** Grown in steps, each of which begins with what the one before left on the disk. */
async function grown(size: number, steps: readonly number[], base = 0): Promise<Disk> {
  const disk = new Disk()
  const known = { size: base, peaks: peaksOf(base) }
  disk.keep(Growth.from(known))
  let growth = Growth.from(known)
  for (let at = base, step = 0; at < size; step++) {
    const end = Math.min(size, at + 1 + (steps[step % steps.length] ?? 0))
    for (; at < end; at++) growth.append(leaves[at] ?? new Uint8Array())
    disk.keep(growth)
    growth = await Growth.load(at, disk.read, known)
  }
  return disk
}

function peaksOf(size: number): readonly Uint8Array[] {
  const peaks = new Peaks()
  for (const leaf of leaves.slice(0, size)) peaks.append(leaf)
  return peaks.hashes
}

const size = fc.integer({ min: 1, max: SIZE_MAX })
const steps = fc.array(fc.nat(40), { minLength: 1, maxLength: 4 })

const reader =
  (disk: Disk, base = 0) =>
  async (nodes: readonly NodeRef[]) => {
    const hashes = await readNodes(nodes, disk.read, { size: base, peaks: peaksOf(base) })
    if (hashes === undefined) throw new Error('gone')
    return hashes
  }

describe('tiles', () => {
  it('give the proofs of the whole tree, however it grew', async () => {
    await fc.assert(
      fc.asyncProperty(size, steps, fc.nat(), async (n, by, pick) => {
        const disk = await grown(n, by)
        const index = pick % n
        const read = reader(disk)
        expect(await proveInclusion(index, n, read)).toEqual(pathOf(index, cids.slice(0, n)))
        const from = 1 + (pick % n)
        expect(await proveConsistency(from, n, read)).toEqual(proofOf(from, cids.slice(0, n)))
        expect(await read(peakNodes(n))).toEqual(peaksOf(n))
      }),
    )
  })

  it('give the proofs of what is left after pruning, and grow on', async () => {
    await fc.assert(
      fc.asyncProperty(size, steps, fc.nat(), fc.nat(), async (n, by, prune, pick) => {
        const before = prune % (n + 1)
        const disk = await grown(n, by)
        disk.drop(before)
        const read = reader(disk)
        expect(await read(peakNodes(before))).toEqual(peaksOf(before))
        if (before < n) {
          const index = before + (pick % (n - before))
          expect(await proveInclusion(index, n, read)).toEqual(pathOf(index, cids.slice(0, n)))
        }
        const from = Math.max(1, before)
        expect(await proveConsistency(from, n, read)).toEqual(proofOf(from, cids.slice(0, n)))
        const growth = await Growth.load(n, disk.read)
        growth.append(leafHash(Uint8Array.of(1)))
        expect(growth.size).toBe(n + 1)
      }),
    )
  })

  it('give the proofs of all that came since a log was followed from its middle', async () => {
    await fc.assert(
      fc.asyncProperty(size, steps, fc.nat(), fc.nat(), async (n, by, middle, pick) => {
        const base = middle % n
        const disk = await grown(n, by, base)
        const read = reader(disk, base)
        const index = base + (pick % (n - base))
        expect(await proveInclusion(index, n, read)).toEqual(pathOf(index, cids.slice(0, n)))
        const from = Math.max(1, base)
        expect(await proveConsistency(from, n, read)).toEqual(proofOf(from, cids.slice(0, n)))
        expect(
          (await Growth.load(n, disk.read, { size: base, peaks: peaksOf(base) })).root(),
        ).toEqual(new Peaks(n, peaksOf(n)).root())
      }),
    )
  })

  it('take a handful of rows for a proof and a row in sixteen for the tree', async () => {
    const disk = await grown(SIZE_MAX, [3])
    expect(disk.rows.size).toBe(44 + 3 + 1)
    disk.reads = 0
    await proveInclusion(333, SIZE_MAX, reader(disk))
    expect(disk.reads).toBeLessThanOrEqual(6)
  })

  it('say so when a part is gone', async () => {
    const disk = await grown(100, [7])
    disk.drop(64)
    expect(await readNodes([{ level: 0, index: 3 }], disk.read)).toBeUndefined()
    expect(await readNodes([{ level: 4, index: 0 }], disk.read)).toBeDefined()
    await expect(Growth.load(200, disk.read)).rejects.toThrow('not there')
  })

  it('of a log that was cut back do not know what was cut off', async () => {
    const disk = await grown(40, [9])
    const growth = await Growth.load(33, disk.read)
    growth.append(leafHash(Uint8Array.of(9)))
    disk.keep(growth)
    const again = await Growth.load(34, disk.read)
    expect(again.root()).toEqual(growth.root())
    const [node] = await reader(disk)([{ level: 1, index: 16 }])
    expect(node).toEqual(nodeHash(leaves[32] ?? new Uint8Array(), leafHash(Uint8Array.of(9))))
  })
})
