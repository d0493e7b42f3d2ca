import { onTestFinished } from 'vitest'
import { systemClock } from '../../../src/base/clock.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { noMetrics } from '../../../src/base/metrics.ts'
import type { ModelStatus } from '../../../src/engines/engine.ts'
import type { GivenNamesStore } from '../../../src/engines/upstream/given-names.ts'
import {
  UpstreamEngine,
  type UpstreamEngineOptions,
} from '../../../src/engines/upstream/upstream-engine.ts'
import type { Chunk, Done, Tokens } from '../../../src/wire/chunk.ts'
import type { Job, Sampling, Work } from '../../../src/wire/job.ts'

export const PEER_ID = '12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5'

export const sampling: Sampling = {
  temperature: 0.7,
  topP: 1,
  seed: 7,
  choices: 1,
  stop: [],
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: [],
}

export const chat = (more: Partial<Sampling> = {}, content = 'What is a peer?'): Work => ({
  kind: 'chat',
  messages: [{ role: 'user', content }],
  sampling: { ...sampling, ...more },
})

let jobs = 0

export const jobOf = (work: Work = chat(), more: Partial<Job> = {}): Job => ({
  id: `job_${++jobs}`,
  model: 'up',
  work,
  cacheScope: 'acct_1',
  ...more,
})

const never = new AbortController().signal

/** A server under test: a fake one, or a real one. */
export interface AServer {
  url: string
  stop(): Promise<void>
}

export type Options = Partial<UpstreamEngineOptions> & {
  model?: string
  key?: string
  names?: GivenNamesStore
}

/** As the database would, in whatever process. */
export function namesInMemory(): GivenNamesStore {
  const rows = new Map<string, string>()
  return {
    get: async (upstream) => JSON.parse(rows.get(upstream) ?? 'null') ?? undefined,
    put: async (upstream, names) => void rows.set(upstream, JSON.stringify(names)),
  }
}

/** An engine over these servers, the first of them called `up`; ended with the test. */
export async function engineOver(
  servers: AServer | readonly AServer[],
  { model, key, names = namesInMemory(), ...options }: Options = {},
) {
  const all = 'url' in servers ? [servers] : servers
  const upstreams = all.map(({ url }, at) => ({
    name: at === 0 ? 'up' : `up${at + 1}`,
    url,
    ...(model !== undefined && { model }),
    ...(key !== undefined && { key: () => key }),
  }))
  const engine = new UpstreamEngine(
    { names, clock: systemClock, logger: silentLogger, metrics: noMetrics },
    {
      upstreams,
      peerId: PEER_ID,
      secret: new Uint8Array(32),
      againMs: 10,
      againMsMax: 20,
      ...options,
    },
  )
  await engine.start({ signal: never })
  onTestFinished(async () => {
    await engine.stop()
    await Promise.all(all.map((server) => server.stop()))
  })
  return engine
}

/** The same, once each of its models is as it stays. */
export async function readyEngine(servers: AServer | readonly AServer[], options?: Options) {
  const engine = await engineOver(servers, options)
  await until(engine, (all) => all.every(({ state }) => state !== 'loading'))
  return engine
}

export function until(
  engine: UpstreamEngine,
  fits: (all: ModelStatus[]) => boolean,
): Promise<ModelStatus[]> {
  return new Promise((resolve) => {
    const look = () => {
      const all = engine.status()
      if (!fits(all)) return
      unlisten()
      resolve(all)
    }
    const unlisten = engine.onChange(look)
    look()
  })
}

export interface Answered {
  chunks: Chunk[]
  tokens: Tokens[]
  text: string
  done: Done
  accepted: number
}

export async function answer(
  engine: UpstreamEngine,
  job = jobOf(),
  signal: AbortSignal = never,
): Promise<Answered> {
  const chunks: Chunk[] = []
  for await (const chunk of engine.generate(job, { signal })) chunks.push(chunk)
  const tokens = chunks.filter((chunk) => chunk.type === 'tokens')
  const accepted = chunks.find((chunk) => chunk.type === 'accepted')
  const text = tokens.map((each) => each.text).join('')
  return {
    chunks,
    tokens,
    text,
    done: chunks.at(-1) as Done,
    accepted: accepted?.inputTokens ?? -1,
  }
}

/** What it fails with. */
export async function fault(engine: UpstreamEngine, job = jobOf()): Promise<unknown> {
  try {
    await answer(engine, job)
  } catch (error) {
    return error
  }
  throw new Error('it did not fail')
}
