import { systemClock } from '../../../src/base/clock.ts'
import { type Identity, identityFromSeed } from '../../../src/identity/identity.ts'
import { createVerifyLater } from '../../../src/identity/verify-native.ts'
import type { Backend, Row } from '../../../src/storage/backend.ts'
import { openLevel } from '../../../src/storage/level-backend.ts'
import { executionEntry, type SealedEntry } from '../../../src/wire/entry.ts'
import { openReceiptOf } from '../../../src/wire/execution.ts'
import { signHead } from '../../../src/wire/head.ts'
import type { Batch } from '../../../src/wire/log-batch.ts'
import { leafHash, Peaks } from '../../../src/wire/merkle.ts'
import { signOpenReceipt, signReceipt } from '../../../src/wire/receipt.ts'
import type { Sign } from '../../../src/wire/signed.ts'
import { execution, filled, network } from '../../wire/log-examples.ts'
import { author, type Stage, type StageOptions, stage } from './stage.ts'

/** A peer's logs in a folder, by the clock on the wall. */
export const diskStage = async (dir: string, options: StageOptions = {}): Promise<Stage> =>
  stage({ clock: systemClock, verifyLater, ...options, backend: await openLevel(dir) })

export const verifyLater = createVerifyLater()

export type Disk = Backend
export type Rows = readonly Row[]

/** A database with nothing on top. */
export const openDisk = (dir: string): Promise<Disk> => openLevel(dir)

/** And what is written for good at once, in its groups. */
export async function recordedStage(dir: string, options: StageOptions = {}) {
  const { backend, groups } = recorded(await openLevel(dir))
  return { ...(await stage({ clock: systemClock, verifyLater, ...options, backend })), groups }
}

/** Keeps what is written for good at once. */
function recorded(backend: Backend): { backend: Backend; groups: Rows[] } {
  const groups: Rows[] = []
  const write = (rows: Rows, sync: boolean): Promise<void> => {
    if (sync) groups.push(rows)
    return backend.write(rows, sync)
  }
  const rest: Omit<Backend, 'write'> = {
    get: (key) => backend.get(key),
    getMany: (keys) => backend.getMany(keys),
    range: (range) => backend.range(range),
    close: () => backend.close(),
  }
  return { backend: { ...rest, write }, groups }
}

export function peer(n: number): Identity {
  const seed = new Uint8Array(32).fill(1)
  new DataView(seed.buffer).setUint32(0, n)
  return identityFromSeed(seed)
}

/** A job like any other, of `who`; what is signed in it is by `sign`. */
export function job(
  who: Identity,
  jobId: string,
  sign: Sign = (message) => who.sign(message),
): SealedEntry {
  const body = example
  const nodePk = who.publicKey
  const { signature } = signOpenReceipt({ ...openReceiptOf(body), jobId, nodePk }, sign)
  const receipt = signReceipt({ ...body.receipt, jobId, nodePk }, sign)
  return executionEntry(body.times.finished, {
    ...body,
    receipt,
    open: { ...body.open, signature },
  })
}

const example = execution()

const EPOCH = filled(1, 8)

/** What a peer says that did these jobs: batches as they go over the wire, each under its head. */
export function batchesOf(
  who: Identity,
  entries: readonly SealedEntry[],
  perBatch: number,
  before = new Peaks(),
): Batch[] {
  const peaks = before.copy()
  const sign: Sign = (message) => who.sign(message)
  const batches: Batch[] = []
  for (let from = 0; from < entries.length; from += perBatch) {
    const first = before.size + from
    const part = entries.slice(from, from + perBatch)
    for (const { cid } of part) peaks.append(leafHash(cid.bytes))
    const log = author(who, EPOCH)
    const head = signHead(
      { ...log, size: peaks.size, root: peaks.root(), at: 1 },
      { network, sign },
    )
    batches.push({ head, first, entries: part.map(({ bytes }) => bytes), path: [], peaks: [] })
  }
  return batches
}

/** So many more jobs in the log of a peer as it is here, and what that peer says of them. */
export async function grown({ feeds }: Pick<Stage, 'feeds'>, who: Identity, count: number) {
  const feed = author(who, EPOCH)
  const { size = 0 } = (await feeds.tables.feeds.get(feed)) ?? {}
  const entries = Array.from({ length: count }, (_, n) => job(who, `job_${size + n}.1`))
  const before = new Peaks(size, size === 0 ? [] : await feeds.peaksAt(feed, size))
  return { entries, batches: batchesOf(who, entries, count, before) }
}
