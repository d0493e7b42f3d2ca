import { finishesOf } from '../../src/engines/lanes.ts'
import { identityFromSeed } from '../../src/identity/identity.ts'
import type { Network } from '../../src/network/network.ts'
import type { Chunk, Finish } from '../../src/wire/chunk.ts'
import type { Job } from '../../src/wire/job.ts'
import { chat, modelId, signal, stage } from '../market/serve-stage.ts'
import { type CoordinatorAttack, HostileCoordinator } from './coordinator-attacks.ts'

const HOSTILE = 20
const SLOTS = 4
const TOKENS = 6
const TOKEN_MS = 100
/** The longest of a provider's own deadlines. */
const AFTER_MS = 60_000
/** Jobs that it acknowledged before: it may have as many open. */
const KNOWN_BY = 6

export interface AssaultFigures {
  /** Of the honest coordinator's jobs. */
  failed: string[]
  wrong: number
  medianMs: number
  p99Ms: number
  /** Jobs of the hostile ones that the engine began, for each of the honest one's. */
  share: number
  /** Whether the honest one was called misbehaving. */
  slandered: boolean
  /** What the provider still holds when all are gone. */
  left: { open: number; timers: number }
}

/** One honest coordinator at a provider, and twenty who mean it no good. */
export async function assault(
  attack: CoordinatorAttack | undefined,
  { jobs, everyMs = 300, paceMs = 250 }: { jobs: number; everyMs?: number; paceMs?: number },
): Promise<AssaultFigures> {
  const { clock, hub, engine, provider, coordinator, faults } = await stage({ slots: SLOTS })
  let ofHostile = 0
  engine.script = async function* (job: Job, ending: AbortSignal): AsyncGenerator<Chunk> {
    const isEndless = job.work.kind === 'chat' && job.work.messages[0]?.content === 'endless'
    yield { type: 'accepted', inputTokens: 3 }
    let at = 0
    for (; !ending.aborted && (isEndless || at < TOKENS); at++) {
      await clock.sleep(TOKEN_MS, ending).catch(() => {})
      if (!ending.aborted) yield { type: 'tokens', choice: 0, index: at, ids: [at], text: `${at} ` }
    }
    const usage = { inputTokens: 3, cachedTokens: 0, outputTokens: at }
    const finish = ending.aborted ? 'cancelled' : 'stop'
    yield { type: 'done', finish: Array<Finish>(finishesOf(job.work)).fill(finish), usage }
  }
  const honest = await coordinator(2)
  const own = new Set<string>()
  const text = Array.from({ length: TOKENS }, (_, at) => `${at} `).join('')
  const failed: string[] = []
  const times: number[] = []
  let wrong = 0
  let ended = 0

  const oneJob = async (n: number) => {
    const beganAt = clock.elapsed()
    const jobId = `honest_${n}.1`
    own.add(jobId)
    const line = await honest.ask({ jobId, work: chat('hello') })
    while (!line.has('done') && !line.closed && !line.stream.ended.aborted) {
      await clock.sleep(20, signal)
    }
    ended++
    if (!line.has('done')) {
      failed.push(line.frames.map((frame) => ('code' in frame ? frame.code : frame.type)).join(' '))
      return
    }
    times.push(clock.elapsed() - beganAt)
    if (line.text() !== text) wrong++
    await line.ack()
  }
  // It is known by then.
  for (let n = 0; n < KNOWN_BY; n++) {
    const job = oneJob(-1 - n)
    await clock.advance(1_000)
    await job
  }
  times.length = 0
  ended = 0
  const before = engine.jobs.length

  const ending = new AbortController()
  const sides: Pick<Network, 'stop'>[] = []
  for (let n = 0; attack !== undefined && n < HOSTILE; n++) {
    const identity = identityFromSeed(new Uint8Array(32).fill(100 + n))
    const side = hub.network(identity.peerId)
    sides.push(side)
    await side.start({ signal })
    await side.connect(honest.provider, [hub.addressOf(honest.provider)], { signal })
    const parts = { network: side, identity, clock, provider: honest.provider }
    const hostile = new HostileCoordinator({ ...parts, model: modelId('test-chat') })
    void (async () => {
      while (!ending.signal.aborted) {
        await attack.assault(hostile).catch(() => {})
        await clock.sleep(paceMs, ending.signal).catch(() => {})
      }
    })()
  }
  for (let n = 0; n < jobs; n++) {
    void oneJob(n)
    await clock.advance(everyMs)
  }
  for (let n = 0; n < 300 && ended < jobs; n++) await clock.advance(1_000)
  ofHostile = engine.jobs.slice(before).filter(({ id }) => !own.has(id)).length
  ending.abort()
  for (const side of sides) await side.stop()
  await clock.advance(AFTER_MS)
  times.sort((a, b) => a - b)
  const at = (part: number) => times[Math.ceil(part * times.length) - 1] ?? Number.POSITIVE_INFINITY
  return {
    failed,
    wrong,
    medianMs: at(0.5),
    p99Ms: ended < jobs ? Number.POSITIVE_INFINITY : at(0.99),
    share: ofHostile / jobs,
    slandered: faults().some(({ peerId }) => peerId === honest.peerId),
    left: { open: provider.status().open, timers: clock.pending },
  }
}
