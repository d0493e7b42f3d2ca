import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, systemClock } from '../base/clock.ts'
import { unlessAborted, within } from '../base/deadline.ts'
import { PeerError } from '../base/errors.ts'
import { type Random, systemRandom } from '../base/random.ts'
import { readIdentity } from '../identity/key-file.ts'
import { RawStore } from '../storage/raw-store.ts'
import { checked } from './checked.ts'
import { sealed } from './chunks.ts'
import { fileFailure } from './errors.ts'
import { gathered, nothingThere, readOwnFiles, withOwnFiles } from './gather.ts'
import { type AskPassphrase, type Cost, newHeader } from './header.ts'
import { type BackupRecord, encodeRecords, readRecords } from './records.ts'
import { finishRestore } from './swap.ts'
import { type Facts, facts, type Progress, Tally } from './tally.ts'
import { checkOutside, checkTarget, writeWhole } from './whole-file.ts'

export interface BackupOptions {
  file: string
  dataDir: string
  passphrase: AskPassphrase
  /** Writes over a file that is there. */
  force: boolean
  /** The version of this program. */
  program: string
  /** What the peer that runs on the folder tells of itself. Where none runs, its database is opened. */
  live?: () => Promise<AsyncIterable<Uint8Array> | undefined>
  cost?: Cost
  clock?: Clock
  random?: Random
  onProgress?: (progress: Progress) => void
  signal: AbortSignal
}

export interface BackupReport extends Facts {
  bytes: number
}

/** A running peer answers within less, whatever else it does. */
const SILENCE_MS = 60_000

/** Writes all that a peer keeps into one encrypted file. */
export async function createBackup(options: BackupOptions): Promise<BackupReport> {
  const { file, dataDir, passphrase, force, signal, cost, random = systemRandom } = options
  await checkTarget(file, force)
  await checkOutside(file, dataDir)
  await finishRestore(dataDir)
  const own = await readOwnFiles(dataDir).catch((error: unknown) => {
    throw fileFailure(`Cannot read ${dataDir}`, error)
  })
  const identity = await readIdentity(dataDir)
  if (identity === undefined) throw nothingThere(dataDir)
  const key = await newHeader(await passphrase(), { random, ...(cost && { cost }) })
  const live = await options.live?.()
  const { peerId } = identity
  const data = live === undefined ? fromFolder(options, peerId) : fromPeer(live, options, peerId)
  const tally = new Tally()
  const records = tally.watch(withOwnFiles(data, own))
  const bytes = await writeWhole(file, written(), { force, signal })
  return { ...facts(tally), bytes }

  async function* written(): AsyncGenerator<Uint8Array> {
    let length = key.header.length
    yield key.header
    for await (const chunk of sealed(encodeRecords(records), key)) {
      yield chunk
      length += chunk.length
      options.onProgress?.({ rows: tally.rows, files: tally.files, bytes: length })
    }
  }
}

async function* fromFolder(options: BackupOptions, peerId: string): AsyncGenerator<BackupRecord> {
  const { dataDir: folder, program, signal, clock = systemClock } = options
  // Opening makes a database where there is none.
  const current = await stat(join(folder, 'store', 'CURRENT')).catch(() => undefined)
  if (current === undefined) throw nothingThere(folder)
  const store = await RawStore.open(folder)
  try {
    yield* gathered({ store, clock }, { folder, peerId, program, signal })
  } finally {
    await store.close()
  }
}

/** Whatever answers, it is checked as if it were anybody's. */
async function* fromPeer(
  live: AsyncIterable<Uint8Array>,
  { signal, clock = systemClock }: BackupOptions,
  peerId: string,
): AsyncGenerator<BackupRecord> {
  try {
    for await (const record of checked(readRecords(unstalled(live, clock, signal)), 'data')) {
      if (record.type === 'manifest' && record.manifest.peerId !== peerId) {
        throw incomplete('it is another peer than the one of this folder')
      }
      yield record
    }
  } catch (cause) {
    if (!(cause instanceof PeerError) || cause.code !== 'backup_damaged') throw cause
    throw incomplete('it ended in the middle', cause)
  }
}

const incomplete = (why: string, cause?: unknown): PeerError =>
  new PeerError(
    'backup_failed',
    `The running peer did not tell all of itself: ${why}. No backup was written; try again.`,
    { cause },
  )

async function* unstalled(
  source: AsyncIterable<Uint8Array>,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const pieces = source[Symbol.asyncIterator]()
  try {
    for (;;) {
      const limit = { ms: SILENCE_MS, what: 'Waiting for the running peer', signal }
      const next = await within(clock, limit, (ending) => unlessAborted(pieces.next(), ending))
      if (next.done === true) return
      yield next.value
    }
  } finally {
    // Not waited for: where it hangs, it hangs in here too.
    void pieces.return?.()?.catch(() => {})
  }
}
