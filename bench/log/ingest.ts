import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  batchesOf,
  diskStage,
  job,
  peer,
  verifyLater,
} from '../../test/receipts/feeds/disk-stage.ts'
import { verify } from '../../test/receipts/feeds/stage.ts'

/** As many as go into one batch: 48 KiB. */
const PER_BATCH = 56
const AUTHORS = 60
const PEERS = 4
const BATCHES_PER_AUTHOR = 3
const PER_TURN = AUTHORS * PER_BATCH

/** One of the contestants: so many a second, and what one takes of processors, on all threads. */
export interface Rate {
  perSecond: number
  cpuUs: number
}

export interface IngestRound {
  /** Entries taken in, each with one receipt to verify. */
  ingest: Rate
  /** Signatures verified and nothing else: on all threads that ingest has, and on one. */
  allThreads: Rate
  oneThread: Rate
}

/** New logs of some peers, taken in by a peer that checks everything, on an empty disk. */
export async function ingestRounds(rounds: number): Promise<IngestRound[]> {
  const authors = Array.from({ length: AUTHORS }, (_, n) => peer(n + 1))
  const logs = authors.map((who) => {
    const count = PER_BATCH * BATCHES_PER_AUTHOR
    const jobs = Array.from({ length: count }, (_, n) => job(who, `job_${n}.1`))
    return batchesOf(who, jobs, PER_BATCH)
  })
  const results: IngestRound[] = []
  for (let round = -1; round < rounds; round++) {
    const result = await ingestRound(logs)
    // The first one compiles what the others run.
    if (round >= 0) results.push(result)
  }
  return results
}

/** All take turns, so that they meet the same machine. */
async function ingestRound(logs: ReturnType<typeof batchesOf>[]): Promise<IngestRound> {
  const dir = await mkdtemp(join(tmpdir(), 'pinaivu-bench-log-'))
  const { intake, store } = await diskStage(dir)
  const watches = { ingest: new Watch(), allThreads: new Watch(), oneThread: new Watch() }
  try {
    for (let turn = 0; turn < BATCHES_PER_AUTHOR; turn++) {
      await watches.oneThread.time(verifyOnOneThread)
      await watches.allThreads.time(verifyOnAllThreads)
      await watches.ingest.time(async () => {
        // From some peers at the same time, and from each one log after the other.
        const lane = async (from: number) => {
          for (let n = from; n < logs.length; n += PEERS) {
            const batch = logs[n]?.[turn]
            const { added } = batch ? await intake.ingest(batch) : { added: 0 }
            if (added !== PER_BATCH) throw new Error('not all was taken')
          }
        }
        await Promise.all(Array.from({ length: PEERS }, (_, from) => lane(from)))
      })
    }
  } finally {
    await store.close()
    await rm(dir, { recursive: true })
  }
  return {
    ingest: watches.ingest.rate,
    allThreads: watches.allThreads.rate,
    oneThread: watches.oneThread.rate,
  }
}

/** Adds up what the turns of one contestant take. */
class Watch {
  #turns = 0
  #ms = 0
  #cpuUs = 0

  async time(turn: () => void | Promise<void>): Promise<void> {
    const [begin, before] = [performance.now(), process.cpuUsage()]
    await turn()
    const { user, system } = process.cpuUsage(before)
    this.#ms += performance.now() - begin
    this.#cpuUs += user + system
    this.#turns += 1
  }

  get rate(): Rate {
    const count = this.#turns * PER_TURN
    return { perSecond: (count * 1000) / this.#ms, cpuUs: this.#cpuUs / count }
  }
}

/** Signatures of messages like a receipt's digest, by as many keys. */
const message = new Uint8Array(32).fill(7)
const signatures = Array.from({ length: PER_TURN }, (_, n) => {
  const who = peer((n % AUTHORS) + 1)
  return { key: who.publicKey, signature: who.sign(message) }
})

const assertHolds = (holds: boolean): void => {
  if (!holds) throw new Error('a signature does not hold')
}

function verifyOnOneThread(): void {
  for (const { key, signature } of signatures) assertHolds(verify(key, message, signature))
}

async function verifyOnAllThreads(): Promise<void> {
  const all = signatures.map(({ key, signature }) => verifyLater(key, message, signature))
  for (const holds of await Promise.all(all)) assertHolds(holds)
}
