import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { batchesOf, diskStage, job, peer } from '../../test/receipts/feeds/disk-stage.ts'
import { verify } from '../../test/receipts/feeds/stage.ts'

/** As many as go into one batch: 48 KiB. */
const PER_BATCH = 56
const AUTHORS = 60
const PEERS = 4
const BATCHES_PER_AUTHOR = 3

export interface IngestRound {
  /** Signatures verified a second, and nothing else. */
  ceiling: number
  /** Entries taken in a second, each with one receipt to verify. */
  ingested: number
  /** Processor time of both for one entry, all threads: it does not depend on who else wants it. */
  verifyCpuUs: number
  ingestCpuUs: number
}

/** New logs of some peers, taken in by a peer that checks everything, on an empty disk. */
export async function ingestRounds(rounds: number): Promise<IngestRound[]> {
  const authors = Array.from({ length: AUTHORS }, (_, n) => peer(n + 1))
  const batches = authors.map((who) => {
    const count = PER_BATCH * BATCHES_PER_AUTHOR
    const jobs = Array.from({ length: count }, (_, n) => job(who, `job_${n}.1`))
    return batchesOf(who, jobs, PER_BATCH)
  })
  const results: IngestRound[] = []
  for (let round = 0; round < rounds; round++) results.push(await ingestRound(batches))
  return results
}

/** Both take turns, so that both meet the same machine. */
async function ingestRound(logs: ReturnType<typeof batchesOf>[]): Promise<IngestRound> {
  const dir = await mkdtemp(join(tmpdir(), 'pinaivu-bench-log-'))
  const { intake, store } = await diskStage(dir)
  const took = { verify: 0, ingest: 0, verifyCpu: 0, ingestCpu: 0 }
  let entries = 0
  try {
    for (let turn = 0; turn < BATCHES_PER_AUTHOR; turn++) {
      const begin = now()
      verifySome(AUTHORS * PER_BATCH)
      const middle = now()
      // From some peers at the same time, and from each one log after the other.
      const lane = async (from: number) => {
        for (let n = from; n < logs.length; n += PEERS) {
          const batch = logs[n]?.[turn]
          const { added } = batch ? await intake.ingest(batch) : { added: 0 }
          entries += added
        }
      }
      await Promise.all(Array.from({ length: PEERS }, (_, from) => lane(from)))
      const end = now()
      took.verify += middle.wall - begin.wall
      took.verifyCpu += middle.cpu - begin.cpu
      took.ingest += end.wall - middle.wall
      took.ingestCpu += end.cpu - middle.cpu
    }
  } finally {
    await store.close()
    await rm(dir, { recursive: true })
  }
  return {
    ceiling: (entries * 1000) / took.verify,
    ingested: (entries * 1000) / took.ingest,
    verifyCpuUs: took.verifyCpu / entries,
    ingestCpuUs: took.ingestCpu / entries,
  }
}

function now() {
  const { user, system } = process.cpuUsage()
  return { wall: performance.now(), cpu: user + system }
}

const message = new Uint8Array(32).fill(7)
const signed = Array.from({ length: AUTHORS }, (_, n) => {
  const who = peer(n + 1)
  return { key: who.publicKey, signature: who.sign(message) }
})

/** Signatures of messages like a receipt's digest, by as many keys. */
function verifySome(count: number): void {
  for (let n = 0; n < count; n++) {
    const { key, signature } = signed[n % signed.length] ?? { key: message, signature: message }
    if (!verify(key, message, signature)) throw new Error('a signature does not hold')
  }
}
