import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../../../src/base/clock.ts'
import { EngineCore } from '../../../src/engines/llama/core/engine-core.ts'
import type { Drafter } from '../../../src/engines/llama/core/speculation/drafter.ts'
import type { FromEngine, LoadOptions } from '../../../src/engines/llama/ipc.ts'
import type { Chunk, Done, Tokens } from '../../../src/wire/chunk.ts'
import type { Resume } from '../../../src/wire/generate.ts'
import type { Job, Message, Sampling, Work } from '../../../src/wire/job.ts'

const models = join(dirname(fileURLToPath(import.meta.url)), '../../../models')
export const chatModel = join(models, 'pinaivu-demo-q8_0.gguf')
export const embedModel = join(models, 'pinaivu-demo-embed-q8_0.gguf')

export const greedy: Sampling = {
  temperature: 0,
  topP: 1,
  seed: 1,
  choices: 1,
  stop: [],
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: [],
}

export function ask(question: string | Message[], sampling: Partial<Sampling> = {}): Work {
  const messages: Message[] =
    typeof question === 'string' ? [{ role: 'user', content: question }] : question
  return { kind: 'chat', messages, sampling: { ...greedy, ...sampling } }
}

export function complete(prompts: string[], sampling: Partial<Sampling> = {}): Work {
  return { kind: 'completion', prompts, sampling: { ...greedy, ...sampling } }
}

type Failure = Extract<FromEngine, { type: 'run-failed' }>

/** One run's chunks, with what most tests ask of them. */
export class Heard {
  readonly chunks: Chunk[] = []
  readonly times: number[] = []
  failure: Failure | undefined
  readonly ended = Promise.withResolvers<void>()
  #first = Promise.withResolvers<void>()

  get firstTokens(): Promise<void> {
    return this.#first.promise
  }

  hear(chunk: Chunk): void {
    this.chunks.push(chunk)
    this.times.push(performance.now())
    if (chunk.type === 'tokens') this.#first.resolve()
    if (chunk.type === 'done') this.ended.resolve()
  }

  fail(failure: Failure): void {
    this.failure = failure
    this.ended.resolve()
  }

  get tokens(): Tokens[] {
    return this.chunks.filter((chunk) => chunk.type === 'tokens')
  }

  text(choice = 0): string {
    return this.tokens.flatMap((it) => (it.choice === choice ? [it.text] : [])).join('')
  }

  ids(choice = 0): number[] {
    return this.tokens.flatMap((it) => (it.choice === choice ? it.ids : []))
  }

  get done(): Done {
    const last = this.chunks.at(-1)
    if (last?.type !== 'done') throw new Error(`not done: ${JSON.stringify(this.failure ?? last)}`)
    return last
  }
}

/** An engine core with a model in this process. */
export class Harness {
  readonly messages: FromEngine[] = []
  readonly core: EngineCore
  readonly #runs = new Map<number, Heard>()
  #last = 0

  constructor(drafters?: readonly Drafter[]) {
    const send = (message: FromEngine) => this.#hear(message)
    this.core = new EngineCore({ send, clock: systemClock, drafters })
  }

  static async load(
    options: Partial<LoadOptions> = {},
    drafters?: readonly Drafter[],
  ): Promise<Harness> {
    const harness = new Harness(drafters)
    await harness.load(options)
    if (harness.last('ready') === undefined) throw new Error(JSON.stringify(harness.messages))
    return harness
  }

  async load(options: Partial<LoadOptions>): Promise<void> {
    const defaults = { modelPath: chatModel, gpu: false, threads: 1 } as const
    await this.core.handle({ type: 'load', options: { ...defaults, ...options } })
  }

  last<T extends FromEngine['type']>(type: T): Extract<FromEngine, { type: T }> | undefined {
    return this.messages.findLast(
      (message): message is Extract<FromEngine, { type: T }> => message.type === type,
    )
  }

  start(
    work: Work,
    cacheScope = 'somebody',
    resume?: readonly Resume[],
    queueShare = 1,
    watched = false,
  ): { run: number; heard: Heard } {
    const run = ++this.#last
    const heard = new Heard()
    this.#runs.set(run, heard)
    const goesOn = resume === undefined ? {} : { resume }
    const whose = { cacheScope, queueShare, watched }
    const job: Job = { id: `job_${run}`, model: 'pinaivu-demo', work, ...whose, ...goesOn }
    void this.core.handle({ type: 'run', run, job })
    return { run, heard }
  }

  async run(work: Work, cacheScope?: string, resume?: readonly Resume[]): Promise<Heard> {
    const { heard } = this.start(work, cacheScope, resume)
    await heard.ended.promise
    return heard
  }

  /** Its reader sees guesses too. */
  async watch(work: Work): Promise<Heard> {
    const { heard } = this.start(work, 'somebody', undefined, 1, true)
    await heard.ended.promise
    return heard
  }

  cancel(run: number): void {
    void this.core.handle({ type: 'cancel', run })
  }

  #hear(message: FromEngine): void {
    this.messages.push(message)
    if (message.type === 'chunks') {
      for (const [run, chunk] of message.chunks) this.#runs.get(run)?.hear(chunk)
    } else if (message.type === 'run-failed') {
      this.#runs.get(message.run)?.fail(message)
    }
  }
}
