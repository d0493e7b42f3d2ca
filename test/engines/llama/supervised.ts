import { join } from 'node:path'
import { systemClock } from '../../../src/base/clock.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { engineLauncher } from '../../../src/engines/llama/child-process.ts'
import { LlamaEngine, type LlamaEngineOptions } from '../../../src/engines/llama/llama-engine.ts'
import { Supervisor, type SupervisorOptions } from '../../../src/engines/llama/supervisor.ts'
import type { Chunk, Generate } from '../../../src/wire/chunk.ts'
import type { FindDrafting } from '../../../src/wire/drafter.ts'
import type { Job } from '../../../src/wire/job.ts'

export const scriptedChild = join(import.meta.dirname, 'scripted-child.ts')

export const chatJob = (content: string, extra: Partial<Job> = {}): Job => ({
  id: 'job_test',
  model: 'scripted',
  cacheScope: 'scope',
  work: {
    kind: 'chat',
    messages: [{ role: 'user', content }],
    sampling: {
      temperature: 0,
      topP: 1,
      seed: 1,
      choices: 1,
      stop: [],
      presencePenalty: 0,
      frequencyPenalty: 0,
      logitBias: [],
    },
  },
  ...extra,
})

/** A supervised engine over an engine process, the scripted one unless another is named. */
export function supervised(
  modelPath: string,
  options: Partial<SupervisorOptions & LlamaEngineOptions> & {
    entry?: string
    findDrafting?: FindDrafting
  } = {},
) {
  const clock = systemClock
  const logger = silentLogger
  const launch = engineLauncher(
    { clock, logger },
    { env: process.env, entry: options.entry ?? scriptedChild },
  )
  const load = { modelPath, threads: 1, gpu: false } as const
  const supervisor = new Supervisor({ launch, clock, logger }, load, { backoffMs: 10, ...options })
  const engine = new LlamaEngine({ supervisor, clock, findDrafting: options.findDrafting }, options)
  return {
    supervisor,
    engine,
    state: (wanted: string) => reached(supervisor, wanted),
    async [Symbol.asyncDispose]() {
      engine.stop()
      await supervisor.stop()
    },
  }
}

function reached(supervisor: Supervisor, wanted: string): Promise<void> {
  return new Promise((resolve) => {
    if (supervisor.state === wanted) resolve()
    const end = supervisor.listen({
      onState(state) {
        if (state !== wanted) return
        end()
        resolve()
      },
    })
  })
}

export async function collect(
  generate: Generate,
  job: Job,
  signal: AbortSignal = new AbortController().signal,
): Promise<Chunk[]> {
  const chunks: Chunk[] = []
  for await (const chunk of generate(job, { signal })) chunks.push(chunk)
  return chunks
}

export const textOf = (chunks: Chunk[]): string =>
  chunks.map((chunk) => (chunk.type === 'tokens' ? chunk.text : '')).join('')
