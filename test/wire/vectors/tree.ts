import { sha256 } from '@noble/hashes/sha2.js'
import { Cid } from '../../../src/wire/cid.ts'
import { pathOf, proofOf, rootOf } from '../naive-tree.ts'
import { hex } from './raw.ts'

// From the plain reading of RFC 6962, not from what is tested.

const leaves = Array.from(
  { length: 12 },
  (_, at) => new Cid('entry', sha256(Uint8Array.of(at))).bytes,
)
const root = (size: number): string => hex(rootOf(leaves.slice(0, size)))

interface Step {
  index: number
  size: number
}

const inclusion = ({ index, size }: Step, change: object = {}) => ({
  type: 'inclusion',
  index,
  size,
  cid: hex(leaves[index] ?? new Uint8Array()),
  root: root(size),
  path: pathOf(index, leaves.slice(0, size)).map(hex),
  holds: Object.keys(change).length === 0,
  ...change,
})

const consistency = (from: number, to: number, change: object = {}) => ({
  type: 'consistency',
  from,
  to,
  from_root: root(from),
  to_root: root(to),
  path: from === 0 ? [] : proofOf(from, leaves.slice(0, to)).map(hex),
  holds: Object.keys(change).length === 0,
  ...change,
})

const sizes = [1, 2, 3, 5, 7, 8, 12]
const all = sizes.flatMap((size) => Array.from({ length: size }, (_, index) => ({ index, size })))
const step = { index: 4, size: 7 }
const path = pathOf(4, leaves.slice(0, 7)).map(hex)
const between = proofOf(3, leaves.slice(0, 7)).map(hex)

export const tree = {
  leaves: leaves.map(hex),
  roots: Array.from({ length: leaves.length + 1 }, (_, size) => root(size)),
}

export const treeCases: object[] = [
  ...all.map((each) => inclusion(each)),
  inclusion(step, { index: 5 }),
  inclusion(step, { index: 7 }),
  inclusion(step, { size: 12 }),
  inclusion(step, { root: root(8) }),
  inclusion(step, { cid: hex(leaves[5] ?? new Uint8Array()) }),
  inclusion(step, { path: path.slice(1) }),
  inclusion(step, { path: [...path, root(1)] }),
  inclusion(step, { path: path.toReversed() }),
  inclusion({ index: 0, size: 1 }, { path: [root(1)] }),
  ...sizes.flatMap((to) =>
    Array.from({ length: to + 1 }, (_, from) => consistency(from, to)).filter(
      ({ from }) => to < 9 || from % 3 === 0,
    ),
  ),
  consistency(3, 7, { from_root: root(2) }),
  consistency(3, 7, { to_root: root(8) }),
  consistency(3, 7, { path: between.slice(1) }),
  consistency(3, 7, { path: [...between, root(1)] }),
  consistency(3, 7, { path: [] }),
  consistency(3, 7, { from: 4 }),
  consistency(7, 7, { from_root: root(3) }),
  consistency(7, 7, { path: [root(1)] }),
  consistency(8, 7, { path: [] }),
  consistency(0, 7, { path: [root(1)] }),
  consistency(0, 7, { from_root: root(1) }),
]
