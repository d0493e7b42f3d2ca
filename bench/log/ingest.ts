import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { batchesOf, diskStage, job, peer } from '../../test/receipts/feeds/disk-stage.ts'
import { verify } from '../../test/receipts/feeds/stage.ts'

/** As many as go into one batch: 48 KiB. */
const PER_BATCH = 56
const AUTHORS = 20
const BATCHES_PER_AUTHOR = 5

export interface IngestRound {
  /** Signatures verified a second, and nothing else. */
  ceiling: number
  /** Entries taken in a second, each with one receipt to verify. */
  ingested: number
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
  for (let round = 0; round < rounds; round++) {
    results.push({ ceiling: verifiedPerSecond(), ingested: await ingestedPerSecond(batches) })
  }
  return results
}

async function ingestedPerSecond(batches: ReturnType<typeof batchesOf>[]): Promise<number> {
  const dir = await mkdtemp(join(tmpdir(), 'pinaivu-bench-log-'))
  const { intake, store } = await diskStage(dir)
  try {
    let entries = 0
    const begin = performance.now()
    // One batch of each log after the other, as they come from many peers.
    for (let n = 0; n < BATCHES_PER_AUTHOR; n++) {
      for (const log of batches) {
        const batch = log[n]
        if (batch !== undefined) entries += (await intake.ingest(batch)).added
      }
    }
    return entries / ((performance.now() - begin) / 1000)
  } finally {
    await store.close()
    await rm(dir, { recursive: true })
  }
}

/** Of messages like a receipt's digest, by as many keys. */
function verifiedPerSecond(): number {
  const message = new Uint8Array(32).fill(7)
  const keys = Array.from({ length: AUTHORS }, (_, n) => peer(n + 1))
  const signed = keys.map((who) => ({ key: who.publicKey, signature: who.sign(message) }))
  const count = 3000
  const begin = performance.now()
  for (let n = 0; n < count; n++) {
    const { key, signature } = signed[n % signed.length] ?? { key: message, signature: message }
    if (!verify(key, message, signature)) throw new Error('a signature does not hold')
  }
  return count / ((performance.now() - begin) / 1000)
}
