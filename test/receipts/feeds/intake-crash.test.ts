import { expect, it } from 'vitest'
import { seededRandom, systemRandom } from '../../../src/base/random.ts'
import type { FeedRow } from '../../../src/receipts/feeds/rows.ts'
import { openHead } from '../../../src/wire/head.ts'
import { leafHash, Peaks } from '../../../src/wire/merkle.ts'
import { sameBytes } from '../../../src/wire/octets.ts'
import { rounds } from '../../campaign.ts'
import { tempDir } from '../../storage/temp-dir.ts'
import { coordinator } from '../../wire/log-examples.ts'
import { entryOf, KEPT, others } from './crash-logs.ts'
import { diskStage } from './disk-stage.ts'
import { killed, LIFE_MS_MAX } from './killed.ts'
import { gather, type Stage, verifying } from './stage.ts'

/** Then a new folder: each round reads all that is in it. */
const ROUNDS_OF_A_FOLDER = 10

/** How far a log had come, by what was said of it. */
interface Said {
  size: number
  start: number
}

/** By the names that the child gives to the logs. */
function hear(said: Map<string, Said>, lines: readonly string[]): void {
  for (const line of lines) {
    const [what, name = '', number] = line.split(' ')
    const { size, start } = said.get(name) ?? { size: 0, start: 0 }
    if (what === 'took') said.set(name, { start, size: Number(number) })
    if (what === 'pruned') said.set(name, { size, start: Math.max(start, Number(number)) })
  }
}

/** The roots of a log with so many of these entries. */
function rootsUpTo(size: number): Uint8Array[] {
  const peaks = new Peaks()
  const roots = [peaks.root()]
  for (let n = 0; n < size; n++) {
    peaks.append(leafHash(entryOf(n).cid.bytes))
    roots.push(peaks.root())
  }
  return roots
}

/** Everything that is kept of a log agrees with the entries that are there. */
async function checkLog({ feeds }: Stage, feed: Parameters<typeof feeds.growth>[0], row: FeedRow) {
  const { size, start, bytes, head, target } = row
  const entries = await gather(feeds.entries(feed, 0, Number.MAX_SAFE_INTEGER))
  expect(entries.map(({ index }) => index)).toEqual(
    Array.from({ length: size - start }, (_, n) => start + n),
  )
  expect(entries.every((entry) => sameBytes(entry.bytes, entryOf(entry.index).bytes))).toBe(true)
  expect(bytes).toBe(entries.reduce((sum, entry) => sum + entry.bytes.length, 0))
  const roots = rootsUpTo(Math.max(size, target ? openHead(target, verifying).size : 0))
  expect((await feeds.growth(feed, row)).root()).toEqual(roots[size])
  for (const signed of [head, target]) {
    if (signed === undefined) continue
    const opened = openHead(signed, verifying)
    expect(opened.size > size).toBe(signed === target)
    expect(opened.root).toEqual(roots[opened.size])
  }
  expect(size - start).toBeGreaterThanOrEqual(Math.min(size, KEPT))
  return { size, start, bytes }
}

async function checkAll(dir: string, said: Map<string, Said>): Promise<void> {
  // No two starts draw the same epochs.
  const seed = systemRandom.below(2 ** 31)
  const peer = await diskStage(dir, { who: coordinator, seed })
  const { feeds, own, store } = peer
  const here = new Map<string, Said & { bytes: number }>()
  const finds = new Map<number, number>()
  for await (const [feed, row] of feeds.tables.feeds.range()) {
    const at = others.findIndex(({ publicKey }) => sameBytes(publicKey, feed.author))
    here.set(at < 0 ? 'own' : String(at), await checkLog(peer, feed, row))
    for (let n = row.start; n < row.size; n++) finds.set(n, (finds.get(n) ?? 0) + 1)
  }
  // What was acknowledged is there, and what was thrown away has not come back.
  for (const [name, { size, start }] of said) {
    expect(here.get(name)?.size).toBeGreaterThanOrEqual(size)
    expect(here.get(name)?.start).toBeGreaterThanOrEqual(start)
  }
  const longest = Math.max(0, ...[...here.values()].map(({ size }) => size))
  for (let n = 0; n < longest; n++) {
    const places = await feeds.find('entry', entryOf(n).cid.digest, { limit: 9 })
    expect(places.length).toBe(finds.get(n) ?? 0)
  }
  const all = [...here.values()].reduce((sum, { size, start }) => sum + size - start, 0)
  expect(await feeds.recent({ limit: Number.MAX_SAFE_INTEGER })).toHaveLength(all)
  const theirs = [...here].filter(([name]) => name !== 'own').map(([, log]) => log)
  const totals = await feeds.tables.totals.get('others')
  expect(totals?.feeds ?? 0).toBe(theirs.length)
  expect(totals?.bytes ?? 0).toBe(
    theirs.reduce((sum, { bytes, size, start }) => sum + bytes + (size - start) * 256, 0),
  )
  await own.stop()
  await store.close()
}

it('a peer that is killed while it takes in and prunes has no torn log, nor a wrong count', async () => {
  const seed = systemRandom.below(2 ** 31)
  const random = seededRandom(seed)
  let dir = ''
  let said = new Map<string, Said>()
  let took = 0
  for (let round = 0; round < rounds(4, 200); round++) {
    if (round % ROUNDS_OF_A_FOLDER === 0) {
      dir = await tempDir()
      said = new Map()
    }
    hear(said, await killed('intake-child.ts', [dir], random.below(LIFE_MS_MAX)))
    try {
      await checkAll(dir, said)
    } catch (error) {
      throw new Error(`seed ${seed}, round ${round}`, { cause: error })
    }
    took = Math.max(took, ...[...said.values()].map(({ size }) => size))
  }
  expect(took).toBeGreaterThan(0)
})
