import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { batchesOf, diskStage, job, peer } from '../../test/receipts/feeds/disk-stage.ts'
import { type Memory, memoryOf, startPeer } from '../peer.ts'

export const LOGS = 1000
const PER_BATCH = 56

/** After the last model is loaded, until memory is read. */
const REST_MS = 5_000

/** What a process with these logs says of itself. */
export interface Started {
  startMs: number
  /** After the start, and after all that was asked. */
  begun: Memory
  asked: Memory
  /** Of one proof and of one look-up by digest, p50 and p99. */
  proofMs: [number, number]
  findMs: [number, number]
}

/** What a whole peer with these logs in its data folder takes until its API is up, and at rest. */
export interface StartedPeer {
  apiMs: number
  memory: Memory
}

/**
 * A thousand logs on this disk, as they are taken in from others, with so many entries together.
 * Signatures of receipts in them are not made and not looked at: they would be most of the work.
 */
export async function fill(dir: string, entries: number): Promise<void> {
  const stage = await diskStage(dir, {
    verify: () => true,
    verifyLater: async () => true,
    who: peer(0),
  })
  const perLog = entries / LOGS
  for (let n = 1; n <= LOGS && perLog >= 1; n++) {
    const who = peer(n)
    const jobs = Array.from({ length: perLog }, (_, at) =>
      job(who, `job_${at}.1`, () => randomBytes(64)),
    )
    for (const batch of batchesOf(who, jobs, PER_BATCH)) await stage.intake.ingest(batch)
  }
  await stage.own.append([job(peer(0), 'job_0.1')], { publish: true })
  await stage.store.close()
}

export async function start(dir: string): Promise<Started> {
  const program = new URL('./start-child.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [program, dir], { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (more: string) => {
    text += more
  })
  await once(child, 'close')
  return JSON.parse(text) as Started
}

export async function startWholePeer(dir: string): Promise<StartedPeer> {
  const peer = await startPeer(dir)
  try {
    await new Promise((resolve) => setTimeout(resolve, REST_MS))
    return { apiMs: peer.apiMs, memory: await memoryOf(peer.pid) }
  } finally {
    await peer.stop()
  }
}
