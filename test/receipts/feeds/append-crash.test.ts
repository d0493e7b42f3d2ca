import { expect, it } from 'vitest'
import { silentLogger } from '../../../src/base/logger.ts'
import { seededRandom, systemRandom } from '../../../src/base/random.ts'
import { type EntryAt, FeedStore } from '../../../src/receipts/feeds/feed-store.ts'
import type { FeedRow } from '../../../src/receipts/feeds/rows.ts'
import { integerKey } from '../../../src/storage/codec.ts'
import { openStore } from '../../../src/storage/store.ts'
import { decodeEntry } from '../../../src/wire/entry.ts'
import { openHead, readHead } from '../../../src/wire/head.ts'
import { leafHash, Peaks } from '../../../src/wire/merkle.ts'
import { rounds } from '../../campaign.ts'
import { allRows } from '../../storage/rows.ts'
import { tempDir } from '../../storage/temp-dir.ts'
import { killed, LIFE_MS_MAX } from './killed.ts'
import { gather, verifying } from './stage.ts'

/** Then a new folder: each round reads all that is in it. */
const ROUNDS_OF_A_FOLDER = 20

const numbersOf = (lines: readonly string[], word: string): number[] =>
  lines.filter((line) => line.startsWith(word)).map((line) => Number(line.split(' ')[1]))

/** The number in each entry; throws unless its head is signed over exactly these entries. */
function numbersIn({ row, entries }: { row: FeedRow; entries: readonly EntryAt[] }): number[] {
  if (row.head === undefined) throw new Error('a feed without a head')
  const head = openHead(row.head, verifying)
  const peaks = new Peaks()
  const numbers = entries.map(({ bytes }) => {
    const { cid, entry } = decodeEntry(bytes)
    peaks.append(leafHash(cid.bytes))
    return entry.body.n as number
  })
  expect([head.size, head.size]).toEqual([row.size, entries.length])
  expect(head.root).toEqual(peaks.root())
  return numbers
}

async function readAll(dir: string) {
  const store = await openStore(dir, { logger: silentLogger })
  const feeds = new FeedStore({ store })
  const settled = store.table('settled', { key: integerKey, value: integerKey })
  const all: number[][] = []
  for await (const [feed, row] of feeds.tables.feeds.range()) {
    const entries = await gather(feeds.entries(feed, 0, Number.MAX_SAFE_INTEGER))
    all.push(numbersIn({ row, entries }))
    // The tree on the disk is that of the entries: the log can go on.
    const growth = await feeds.growth(feed, row)
    expect(growth.root()).toEqual(row.head && readHead(row.head).root)
  }
  const rows = (await allRows(settled)).map(([n]) => n)
  await store.close()
  return { logs: all, settled: rows }
}

/** Entries whose numbers are multiples of five are nobody's to see. */
const isPublic = (n: number): boolean => n % 5 !== 0

it('a peer that is killed while it appends has no torn log, and lost nothing it said', async () => {
  const seed = systemRandom.below(2 ** 31)
  const random = seededRandom(seed)
  let dir = ''
  let acknowledged: number[] = []
  let next = 0
  for (let round = 0; round < rounds(5, 200); round++) {
    const where = `seed ${seed}, round ${round}`
    if (round % ROUNDS_OF_A_FOLDER === 0) {
      dir = await tempDir()
      acknowledged = []
      next = 0
    }
    const lines = await killed('append-child.ts', [dir, String(next)], random.below(LIFE_MS_MAX))
    acknowledged.push(...numbersOf(lines, 'done'))
    const { logs, settled } = await readAll(dir)
    // An entry and the rows that came with it are there together.
    expect(
      logs.flat().toSorted((a, b) => a - b),
      where,
    ).toEqual(settled)
    next = (settled.at(-1) ?? -1) + 1
    const here = new Set(settled)
    expect(
      acknowledged.filter((n) => !here.has(n)),
      where,
    ).toEqual([])
    const shown = Math.max(0, ...numbersOf(lines, 'head'))
    expect(logs.flat().filter(isPublic).length, where).toBeGreaterThanOrEqual(shown)
    expect(logs.length, where).toBeLessThanOrEqual(2)
  }
  expect(acknowledged.length).toBeGreaterThan(0)
})
