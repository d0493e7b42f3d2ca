import * as fc from 'fast-check'

/** What is done to one place of some bytes. */
interface Change {
  do: 'set' | 'flip' | 'insert' | 'remove' | 'repeat' | 'cut'
  at: number
  length: number
  byte: number
}

const change: fc.Arbitrary<Change> = fc.record({
  do: fc.constantFrom('set', 'flip', 'flip', 'insert', 'remove', 'repeat', 'cut'),
  at: fc.nat(),
  length: fc.integer({ min: 1, max: 40 }),
  // Bits alone, ends of ranges, and what has a meaning in JSON.
  byte: fc.oneof(
    fc.constantFrom(0, 1, 2, 4, 8, 16, 32, 64, 128, 127, 255, ...Buffer.from('0",:[]{}-.e\\ u')),
    fc.nat({ max: 255 }),
  ),
})

/** These bytes with one to three places of them changed. */
export const changedBytes = (bytes: Uint8Array): fc.Arbitrary<Uint8Array> =>
  fc
    .array(change, { minLength: 1, maxLength: 3 })
    .map((changes) => changes.reduce(changeBytes, bytes))

function changeBytes(bytes: Uint8Array, { do: what, at, length, byte }: Change): Uint8Array {
  const start = at % (bytes.length + 1)
  const [before, after] = [bytes.subarray(0, start), bytes.subarray(start)]
  const old = after[0] ?? 0
  const join = (...parts: Uint8Array[]) => new Uint8Array(Buffer.concat([before, ...parts]))
  switch (what) {
    case 'set':
      return join(Uint8Array.of(byte), after.subarray(1))
    case 'flip':
      return join(Uint8Array.of(old ^ (byte || 1)), after.subarray(1))
    case 'insert':
      return join(Uint8Array.of(byte), after)
    case 'remove':
      return join(after.subarray(length))
    case 'repeat':
      return join(after.subarray(0, length), after)
    case 'cut':
      return before
  }
}

/** A value of lists and maps with one to three of its parts removed, doubled or another one. */
export const changedTree = <T>(tree: unknown, others: fc.Arbitrary<T>): fc.Arbitrary<unknown> =>
  fc
    .array(
      fc.record({
        do: fc.constantFrom('put', 'put', 'add', 'remove', 'repeat'),
        path: fc.array(fc.nat({ max: 40 }), { minLength: 1, maxLength: 5 }),
        other: others,
        key: fc.constantFrom('mood', 'a', 'at', 'v', 'size', 'index'),
      }),
      { minLength: 1, maxLength: 3 },
    )
    .map((changes) => changes.reduce(changeTree, tree))

interface TreeChange {
  do: string
  path: readonly number[]
  other: unknown
  key: string
}

type Tree = Record<string, unknown>

/** The path goes as deep as there are lists and maps. */
function changeTree(tree: unknown, { path, ...change }: TreeChange): unknown {
  const [step = 0, ...rest] = path
  if (!isInner(tree)) return change.other
  const isList = Array.isArray(tree)
  const keys = Object.keys(tree)
  const key = keys[step % keys.length]
  if (key === undefined) return isList ? [change.other] : { [change.key]: change.other }
  const part = tree[key]
  const isLeaf = rest.length === 0 || !isInner(part)
  const copy = (isList ? [...(tree as never as unknown[])] : { ...tree }) as Tree
  if (!isLeaf) copy[key] = changeTree(part, { path: rest, ...change })
  else if (change.do === 'put') copy[key] = change.other
  else if (change.do === 'remove' && isList) (copy as never as unknown[]).splice(Number(key), 1)
  else if (change.do === 'remove') delete copy[key]
  else if (isList) (copy as never as unknown[]).push(change.do === 'add' ? change.other : part)
  else copy[change.key] = change.do === 'add' ? change.other : part
  return copy
}

const isInner = (value: unknown): value is Tree =>
  Array.isArray(value) ||
  (typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype)
