import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { includes, isConsistent, leafHash, Peaks } from '../../src/wire/merkle.ts'
import { FeedsDigest } from '../../src/wire/sync-digest.ts'

const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'))
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const read = (path: string) => JSON.parse(readFileSync(`protocols/${path}`, 'utf8'))

type TreeCase = { path: string[]; holds: boolean } & (
  | { type: 'inclusion'; index: number; size: number; cid: string; root: string }
  | { type: 'consistency'; from: number; to: number; from_root: string; to_root: string }
)

interface Tree {
  leaves: string[]
  roots: string[]
  cases: TreeCase[]
}

describe('the vectors of the tree', () => {
  const { leaves, roots, cases }: Tree = read('log/vectors/tree.json')

  it('have the roots that come out here', () => {
    const peaks = new Peaks()
    const found = [hex(peaks.root())]
    for (const leaf of leaves) {
      peaks.append(leafHash(bytes(leaf)))
      found.push(hex(peaks.root()))
    }
    expect(found).toEqual(roots)
  })

  it('have paths that hold, and others that do not', () => {
    for (const each of cases) expect(holds(each), JSON.stringify(each)).toBe(each.holds)
    const kinds = cases.map(({ type, holds }) => `${type} ${holds}`)
    expect(new Set(kinds).size).toBe(4)
  })
})

function holds(each: TreeCase): boolean {
  const path = each.path.map(bytes)
  if (each.type === 'inclusion') {
    const { index, size, cid, root } = each
    return includes({ leaf: leafHash(bytes(cid)), index, size, root: bytes(root), path })
  }
  const { from, to, from_root, to_root } = each
  return isConsistent({ from, fromRoot: bytes(from_root), to, toRoot: bytes(to_root), path })
}

interface PlaceJson {
  author: string
  epoch: string
  size: number
  root: string
}

it('the vector of the digest comes out here', () => {
  const { buckets, cases }: { buckets: string; cases: PlaceJson[] } = read(
    'sync/vectors/digest.json',
  )
  const digest = new FeedsDigest()
  for (const { author, epoch, size, root } of cases) {
    digest.toggle({ author: bytes(author), epoch: bytes(epoch), size, root: bytes(root) })
  }
  expect(hex(digest.bytes)).toBe(buckets)
})
