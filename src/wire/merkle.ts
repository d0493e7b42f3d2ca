import { malformed } from './malformed.ts'
import { sameBytes } from './octets.ts'
import { sha256 } from './sha256.ts'

// The tree of RFC 6962 over the CIDs of a feed's entries. Sizes go beyond 32 bits, so nothing here
// uses the operators of bits.

/** As many as a tree of 2^53 leaves needs. */
export const PATH_MAX = 53

/** The hash over a whole subtree: leaves `index * 2^level` to `(index + 1) * 2^level - 1`. */
export interface NodeRef {
  level: number
  index: number
}

const nodeInput = new Uint8Array(65)
nodeInput[0] = 0x01

/** Of an entry's CID, its 36 bytes. */
export function leafHash(cid: Uint8Array): Uint8Array {
  const input = new Uint8Array(1 + cid.length)
  input.set(cid, 1)
  return sha256(input)
}

export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  nodeInput.set(left, 1)
  nodeInput.set(right, 33)
  return sha256(nodeInput)
}

const emptyRoot = sha256(new Uint8Array())

/** The roots of a tree's whole subtrees, the largest first, joined to the root of all. */
export const joinPeaks = (hashes: readonly Uint8Array[]): Uint8Array =>
  hashes.length === 0 ? emptyRoot : hashes.reduceRight((right, left) => nodeHash(left, right))

/** How many whole subtrees there are: one for each bit of the size. */
export function peakCount(size: number): number {
  let count = 0
  for (let rest = size; rest > 0; rest = Math.floor(rest / 2)) count += rest % 2
  return count
}

/** All that it takes to append to a tree: a hash for each bit of its size. */
export class Peaks {
  #size: number
  readonly #hashes: Uint8Array[]

  /** Throws `malformed` when there are not as many as a tree of this size has. */
  constructor(size = 0, hashes: readonly Uint8Array[] = []) {
    if (hashes.length !== peakCount(size) || hashes.some(({ length }) => length !== 32)) {
      throw malformed('Peaks', `are not those of a log of ${size} entries`)
    }
    this.#size = size
    this.#hashes = [...hashes]
  }

  get size(): number {
    return this.#size
  }

  /** The largest subtree's first. */
  get hashes(): readonly Uint8Array[] {
    return this.#hashes
  }

  copy(): Peaks {
    return new Peaks(this.#size, this.#hashes)
  }

  /** `onNode` hears of the leaf and of each whole subtree that it completes, from below. */
  append(leaf: Uint8Array, onNode?: (node: NodeRef, hash: Uint8Array) => void): void {
    let hash = leaf
    let index = this.#size
    for (let level = 0; ; level++) {
      onNode?.({ level, index }, hash)
      if (index % 2 === 0) break
      hash = nodeHash(this.#hashes.pop() ?? emptyRoot, hash)
      index = (index - 1) / 2
    }
    this.#hashes.push(hash)
    this.#size++
  }

  root(): Uint8Array {
    return joinPeaks(this.#hashes)
  }
}

/** That `leaf` stands at `index` of the tree of this size and root. */
export interface Inclusion {
  leaf: Uint8Array
  index: number
  size: number
  root: Uint8Array
  path: readonly Uint8Array[]
}

/** RFC 9162, 2.1.3.2. */
export function includes({ leaf, index, size, root, path }: Inclusion): boolean {
  if (!isWhole(index) || !isWhole(size) || index >= size || path.length > PATH_MAX) return false
  const walk = new Walk(index, size - 1)
  let hash = leaf
  for (const sibling of path) {
    if (sibling.length !== 32 || walk.isAtTop) return false
    hash = walk.isRight() ? nodeHash(sibling, hash) : nodeHash(hash, sibling)
    walk.up()
  }
  return walk.isAtTop && sameBytes(hash, root)
}

/** That the tree of size `from` is the beginning of that of size `to`. */
export interface Consistency {
  from: number
  fromRoot: Uint8Array
  to: number
  toRoot: Uint8Array
  path: readonly Uint8Array[]
}

/** RFC 9162, 2.1.4.2. The empty log is the beginning of every other. */
export function isConsistent({ from, fromRoot, to, toRoot, path }: Consistency): boolean {
  if (!isWhole(from) || !isWhole(to) || from > to || path.length > PATH_MAX + 1) return false
  if (path.some(({ length }) => length !== 32)) return false
  if (from === 0) return path.length === 0 && sameBytes(fromRoot, emptyRoot)
  if (from === to) return path.length === 0 && sameBytes(fromRoot, toRoot)
  // A tree that is one whole subtree is its own first step.
  const [first, ...rest] = peakCount(from) === 1 ? [fromRoot, ...path] : path
  if (first === undefined) return false
  const walk = new Walk(from - 1, to - 1)
  while (walk.isRightChild) walk.up()
  let old = first
  let all = first
  for (const step of rest) {
    if (walk.isAtTop) return false
    if (walk.isRight()) {
      old = nodeHash(step, old)
      all = nodeHash(step, all)
    } else {
      all = nodeHash(all, step)
    }
    walk.up()
  }
  return walk.isAtTop && sameBytes(old, fromRoot) && sameBytes(all, toRoot)
}

const isWhole = (value: number): boolean => Number.isSafeInteger(value) && value >= 0

/** A node's way up, and the last node of its level beside it. */
class Walk {
  #node: number
  #last: number

  constructor(node: number, last: number) {
    this.#node = node
    this.#last = last
  }

  get isAtTop(): boolean {
    return this.#last === 0
  }

  get isRightChild(): boolean {
    return this.#node % 2 === 1
  }

  /** Whether the sibling is on the left. A last node without one goes up to where it has one. */
  isRight(): boolean {
    if (this.isRightChild) return true
    if (this.#node !== this.#last) return false
    while (!this.isRightChild && this.#node !== 0) this.up()
    return true
  }

  up(): void {
    this.#node = Math.floor(this.#node / 2)
    this.#last = Math.floor(this.#last / 2)
  }
}
