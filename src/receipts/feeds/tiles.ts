import { grow, type OpenBatch } from '../../wire/log-batch.ts'
import { type NodeRef, nodeHash, Peaks } from '../../wire/merkle.ts'
import { peakNodes } from '../../wire/merkle-proof.ts'

/**
 * Sixteen hashes of one level lie in one row, a tile; those of the three levels above follow from
 * them. A proof in a log of a million entries reads five tiles, and an entry costs 34 bytes.
 */
const TILE_LEVELS = 4
const TILE_WIDTH = 2 ** TILE_LEVELS
const HASH_BYTES = 32

/** `level` counts tiles: those of tile level 1 hold nodes of level 4. */
export interface TileRef {
  level: number
  index: number
}

/** The rows of these tiles, in the same order. The last tile of a level has fewer hashes. */
export type ReadTiles = (tiles: readonly TileRef[]) => Promise<readonly (Uint8Array | undefined)[]>

/** A log whose beginning never was here: all that is known of it. */
export interface Base {
  size: number
  peaks: readonly Uint8Array[]
}

/** Stands in a tile for what lies before the base, and is not looked at. */
const UNKNOWN = new Uint8Array(HASH_BYTES)

/** How many leaves lie below one tile. */
export const tileLeaves = (level: number): number => TILE_WIDTH ** (level + 1)

/** Whole subtrees of the tree, in the same order; undefined where one of them is gone. */
export async function readNodes(
  nodes: readonly NodeRef[],
  read: ReadTiles,
  base?: Base,
): Promise<Uint8Array[] | undefined> {
  const tiles = new Map(nodes.map(tileOf).map((tile) => [nameOf(tile), tile]))
  const rows = await read([...tiles.values()])
  const byName = new Map([...tiles.keys()].map((name, at) => [name, rows[at]]))
  const peaks = peaksByName(base)
  const hashes = nodes.map((node) => hashIn(byName.get(nameOf(tileOf(node))), node, peaks))
  return hashes.every((hash) => hash !== undefined) ? hashes : undefined
}

/** The end of a tree, which is all that appending to it takes, and the tiles that it changes. */
export class Growth {
  #peaks: Peaks
  /** The hashes of the unfinished tiles, by tile level. */
  readonly #edge: Uint8Array[][]
  #changed = new Map<string, { tile: TileRef; hashes: Uint8Array[] }>()

  private constructor(peaks: Peaks, edge: Uint8Array[][]) {
    this.#peaks = peaks
    this.#edge = edge
  }

  /** Of a tree of which nothing else is here. Throws `malformed` for peaks that are not of a tree. */
  static from({ size, peaks }: Base): Growth {
    const edge: Uint8Array[][] = []
    for (const { level } of edgeTiles(size)) {
      edge[level] = new Array(edgeCount(size, level)).fill(UNKNOWN)
    }
    return new Growth(new Peaks(size, peaks), edge)
  }

  static async load(size: number, read: ReadTiles, base?: Base): Promise<Growth> {
    const tiles = edgeTiles(size)
    const rows = await read(tiles)
    const rowOf = (wanted: TileRef) => rows[tiles.findIndex((tile) => isSame(tile, wanted))]
    const peaks = await readNodes(peakNodes(size), async (wanted) => wanted.map(rowOf), base)
    if (peaks === undefined) throw new Error('the end of the tree is not there')
    const edge: Uint8Array[][] = []
    for (const [at, { level }] of tiles.entries()) {
      // Of a log that was cut back, the row may have hashes that are no longer in it.
      edge[level] = hashesOf(rows[at] ?? UNKNOWN, edgeCount(size, level))
    }
    return new Growth(new Peaks(size, peaks), edge)
  }

  get size(): number {
    return this.#peaks.size
  }

  root(): Uint8Array {
    return this.#peaks.root()
  }

  /** To try something on: this one stays as it is. */
  copy(): Growth {
    return new Growth(
      this.#peaks.copy(),
      this.#edge.map((hashes) => [...hashes]),
    )
  }

  append(leaf: Uint8Array): void {
    this.#peaks.append(leaf, this.#note)
  }

  /** Throws `bad_log` when the batch is not what its head was signed for: then this one is spoilt. */
  follow(batch: OpenBatch): void {
    this.#peaks = grow(batch, this.#peaks, this.#note)
  }

  /** What is to be stored since this was asked for last. */
  takeChanged(): { tile: TileRef; row: Uint8Array }[] {
    const changed = [...this.#changed.values()]
    this.#changed = new Map()
    return changed.map(({ tile, hashes }) => ({ tile, row: rowOf(hashes) }))
  }

  readonly #note = ({ level, index }: NodeRef, hash: Uint8Array): void => {
    if (level % TILE_LEVELS !== 0) return
    const tile = { level: level / TILE_LEVELS, index: Math.floor(index / TILE_WIDTH) }
    const hashes = this.#edge[tile.level] ?? []
    hashes.push(hash)
    this.#changed.set(nameOf(tile), { tile, hashes })
    this.#edge[tile.level] = hashes.length === TILE_WIDTH ? [] : hashes
  }
}

const nameOf = ({ level, index }: TileRef | NodeRef): string => `${level}/${index}`

const isSame = (a: TileRef, b: TileRef): boolean => a.level === b.level && a.index === b.index

/** How many hashes the unfinished tile of a level has. */
const edgeCount = (size: number, level: number): number =>
  Math.floor(size / TILE_WIDTH ** level) % TILE_WIDTH

/** The unfinished tiles of a tree. */
export function edgeTiles(size: number): TileRef[] {
  const tiles: TileRef[] = []
  for (let level = 0, rest = size; rest > 0; level++, rest = Math.floor(rest / TILE_WIDTH)) {
    if (rest % TILE_WIDTH > 0) tiles.push({ level, index: Math.floor(rest / TILE_WIDTH) })
  }
  return tiles
}

function tileOf({ level, index }: NodeRef): TileRef {
  const width = 2 ** (level % TILE_LEVELS)
  return {
    level: Math.floor(level / TILE_LEVELS),
    index: Math.floor((index * width) / TILE_WIDTH),
  }
}

function peaksByName(base: Base | undefined): ReadonlyMap<string, Uint8Array> {
  const nodes = base === undefined ? [] : peakNodes(base.size)
  return new Map(nodes.map((node, at) => [nameOf(node), base?.peaks[at] ?? UNKNOWN]))
}

/** The hash of a node: a peak of the base, or in its tile, or joined from the two below it. */
function hashIn(
  row: Uint8Array | undefined,
  node: NodeRef,
  peaks: ReadonlyMap<string, Uint8Array>,
): Uint8Array | undefined {
  const peak = peaks.get(nameOf(node))
  if (peak !== undefined) return peak
  const { level, index } = node
  if (level % TILE_LEVELS === 0) {
    const from = (index % TILE_WIDTH) * HASH_BYTES
    const hash = row?.slice(from, from + HASH_BYTES)
    const isKnown = hash?.length === HASH_BYTES && hash.some((byte) => byte !== 0)
    return isKnown ? hash : undefined
  }
  const left = hashIn(row, { level: level - 1, index: index * 2 }, peaks)
  const right = left && hashIn(row, { level: level - 1, index: index * 2 + 1 }, peaks)
  return left && right && nodeHash(left, right)
}

const hashesOf = (row: Uint8Array, count: number): Uint8Array[] =>
  Array.from({ length: count }, (_, n) => row.slice(n * HASH_BYTES, (n + 1) * HASH_BYTES))

function rowOf(hashes: readonly Uint8Array[]): Uint8Array {
  const row = new Uint8Array(hashes.length * HASH_BYTES)
  for (const [at, hash] of hashes.entries()) row.set(hash, at * HASH_BYTES)
  return row
}
