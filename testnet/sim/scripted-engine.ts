import {
  type Chunk,
  type Clock,
  cancelledDone,
  type Engine,
  finishesOf,
  type HardwareFacts,
  type Job,
  type ModelFacts,
  type ModelStatus,
  PeerError,
  type Scheduled,
  type Service,
  scheduled,
} from '../../src/simulation.ts'
import { answerTo, modelIdOf, promptTokens, type ScriptedToken } from './script.ts'

const CONTEXT_LENGTH = 4096

const facts: ModelFacts = {
  kind: 'chat',
  architecture: 'llama',
  parameters: 1000,
  quant: 'F32',
  sizeBytes: 4000,
  contextLength: CONTEXT_LENGTH,
  vocabularySize: 32_000,
  embeddingLength: 8,
}

export interface Speed {
  slots: number
  /** Of each token of an answer. */
  tokenMs: number
  /** Of the whole prompt. */
  prefillMs: number
}

/** Models whose answers are written in a script; each token takes its time. */
export class ScriptedEngine implements Engine, Service {
  readonly #clock: Clock
  readonly #speed: Speed
  readonly #models = new Map<string, Scheduled>()
  readonly #loadListeners = new Set<(status: ModelStatus) => void>()
  /** While it breaks down at each job. */
  isBroken = false

  constructor(clock: Clock, models: readonly string[], speed: Speed) {
    this.#clock = clock
    this.#speed = speed
    for (const name of models) {
      const onLoad = () => this.#tellLoad(name)
      const { slots } = speed
      const run = (job: Job, { signal }: { signal: AbortSignal }) => this.#run(job, signal)
      this.#models.set(name, scheduled(run, { clock, onLoad }, { slots, queueMax: 16 }))
    }
  }

  async start(): Promise<void> {}

  async stop(): Promise<void> {}

  status(): ModelStatus[] {
    return [...this.#models.keys()].flatMap((name) => this.resolve(name) ?? [])
  }

  resolve(name: string): ModelStatus | undefined {
    const model = this.#models.get(name)
    if (model === undefined) return undefined
    const { running, queued } = model.load()
    const { slots, tokenMs } = this.#speed
    return {
      ...{ name, id: modelIdOf(name), state: 'ready', created: 1_700_000_000, demo: false, facts },
      ...{ slots, threads: 1, running, queued, tokensPerSecond: 1000 / tokenMs },
    }
  }

  hardware(): HardwareFacts {
    return { gpus: [], cpu: 'Scripted', cpuThreads: 1, ramBytes: 1, backend: 'cpu' }
  }

  onChange(): () => void {
    return () => {}
  }

  onLoad(listener: (status: ModelStatus) => void): () => void {
    this.#loadListeners.add(listener)
    return () => this.#loadListeners.delete(listener)
  }

  readonly generate = (job: Job, options: { signal: AbortSignal }): AsyncIterable<Chunk> => {
    const model = this.#models.get(job.model)
    if (model === undefined) throw new PeerError('model_not_found', 'There is no such model here.')
    return model(job, options)
  }

  #tellLoad(name: string): void {
    const status = this.resolve(name)
    if (status !== undefined) for (const listener of this.#loadListeners) listener(status)
  }

  async *#run(job: Job, signal: AbortSignal): AsyncGenerator<Chunk> {
    const { work } = job
    if (work.kind !== 'chat') throw new PeerError('unsupported', 'Chat alone is scripted here.')
    const { sampling } = work
    const prompt = work.messages.map(({ content }) => content).join('\n')
    const inputTokens = promptTokens(prompt)
    yield { type: 'accepted', inputTokens }
    if (!(await this.#passes(this.#speed.prefillMs, signal))) {
      yield cancelledDone(job, inputTokens)
      return
    }
    const answers = Array.from({ length: finishesOf(work) }, (_, choice) =>
      answerTo({ model: job.model, prompt, seed: sampling.seed, choice }),
    )
    const ends = answers.map(({ length }) => Math.min(length, sampling.maxTokens ?? length))
    const begins = answers.map((_, at) => begunWith(job, at))
    let outputTokens = 0
    for (let index = Math.min(...begins); index < Math.max(...ends); index++) {
      if (!(await this.#passes(this.#speed.tokenMs, signal))) {
        yield cancelledDone(job, inputTokens, outputTokens)
        return
      }
      if (this.isBroken) throw new PeerError('engine_failed', 'The engine broke down.')
      for (const [choice, answer] of answers.entries()) {
        if (index < (begins[choice] ?? 0) || index >= (ends[choice] ?? 0)) continue
        const { id, text } = answer[index] as ScriptedToken
        outputTokens++
        yield { type: 'tokens', choice, index, ids: [id], text }
      }
    }
    const finish = answers.map(({ length }, at) =>
      length > (ends[at] ?? 0) ? ('length' as const) : ('stop' as const),
    )
    yield { type: 'done', finish, usage: { inputTokens, cachedTokens: 0, outputTokens } }
  }

  /** Resolves after so long, to false at once when the job is given up. */
  async #passes(ms: number, signal: AbortSignal): Promise<boolean> {
    await this.#clock.sleep(ms, signal).catch(() => {})
    return !signal.aborted
  }
}

const begunWith = (job: Job, choice: number): number =>
  job.resume?.find((resumed) => resumed.choice === choice)?.ids.length ?? 0
